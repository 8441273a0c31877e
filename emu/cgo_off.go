// SPDX-License-Identifier: GPL-2.0-only

//go:build !cgo

package emu

// Where Go finds no C compiler it switches cgo off, and then this package has no machine. The compiler's first message is to say what is
// missing: it names the receiver of this method.
func (tcsim_needs_a_C_compiler_and_libunicorn_2_1_1_or_newer) missing() {}
