// SPDX-License-Identifier: GPL-2.0-only

// Package bpf owns eBPF instructions: slots as the kernel stores them, the opcodes, what an
// instruction reads and writes, programs with their functions and maps, and the text of an
// instruction. It knows no kernel and no machine code, and imports nothing of tcsim.
//
//	in := bpf.DecodeInsn(raw)
//	fmt.Println(in.Text())
package bpf
