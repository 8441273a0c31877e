// SPDX-License-Identifier: GPL-2.0-only

package image

// Module is code and data of the kernel that came with the JIT which made an image, and that the image refers to:
// routines that a patch adds beside the JIT, and their variables. All images that a JIT made for one place have the
// same.
type Module struct {
	Text Piece
	Data []Piece // writable
	// PerCPU are variables of each CPU with what they begin with; Addr is a displacement from the gs base. Some can be
	// of one image alone.
	PerCPU []Piece
	// Symbols are the functions.
	Symbols map[string]Addr
}

// Piece is some bytes at an address.
type Piece struct {
	Addr  Addr
	Bytes []byte
}
