// SPDX-License-Identifier: GPL-2.0-only

// Package progen makes random BPF programs that verifiers accept by construction: it knows at each instruction
// which registers and bytes of stack hold numbers and which hold what addresses, and writes nothing that a
// verifier would have to prove. What a program may use is what a kernel has.
//
//	p := progen.Random(choices.New(seed, n), progen.Of(&target.Kernel))
//	p.BPF      // the program, as users write it
//	p.Defined  // before each instruction, the registers that BPF says something of
//
// All programs share Maps and Packet. The package knows nothing of compilers and machines.
package progen
