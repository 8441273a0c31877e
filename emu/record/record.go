// SPDX-License-Identifier: GPL-2.0-only

// Package record is what a run of the machine leaves: the instructions that retired, the registers at
// marked ones, and streams of them in a file.
//
// The engine, which fills these records, and everything that interprets them meet here, so that
// interpreting a recorded run needs no engine.
package record

import "github.com/tcsim/tcsim/jit/x86"

// Retired is one executed instruction. Branch outcomes follow from the next record's RIP.
type Retired struct {
	RIP x86.Addr
	// EA is the effective address of the memory operand, without one that of the stack slot that
	// push, call, pop, ret and leave access; 0 if the instruction touches no memory. Of a division by a
	// register it is the number of bits of the quotient, which is what its time depends on.
	EA x86.Addr
}

// Site is the machine state directly before a call, return, tail call or other instruction that
// was marked when the image was loaded.
type Site struct {
	// Seq is the number of instructions retired before this one in the run.
	Seq uint64
	RIP x86.Addr

	RSP, RBP, RAX x86.Addr
	RBX, R12      uint64
	R13, R14, R15 uint64
	RDI, RSI, RDX uint64
	RCX, R8       uint64
	Stack         [2]uint64 // the 8-byte words at rsp and rsp+8; 0 if not mapped
	Counter       uint64    // tail_call_cnt as the function's Counter reaches it, low dword if it is 4 bytes wide
	CounterAddr   x86.Addr  // where it lives; 0 if the function has none
	CounterPtrAt  x86.Addr  // where the pointer to it lives; 0 if it is held by value
	// Prev is the instruction retired before this one; 0 at the start of a run. Where a refused tail
	// call ends it tells which test refused it.
	Prev x86.Addr
}
