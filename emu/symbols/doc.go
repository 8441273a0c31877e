// SPDX-License-Identifier: GPL-2.0-only

// Package symbols writes code as an ELF file for debuggers and disassemblers: machine code at its addresses,
// symbols, a line table that leads to a listing (image.WriteListing), and how to unwind the stack at every
// instruction, which for code of a JIT cannot be guessed from its prologue.
//
//	file := symbols.File{Funcs: funcs, Listing: "code.lst", Folder: "/tmp"}
//	text, elf := file.Encode()
//
// Formats: System V ABI with its supplement for AMD64, DWARF 4.
package symbols
