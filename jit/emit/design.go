// SPDX-License-Identifier: GPL-2.0-only

package emit

import (
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// Code is the code of a tail-call design: everything about prologue, calls, tail calls and epilogue that makes
// it work. The Config that it is emitted for supplies limits, offsets and thunks.
type Code interface {
	// Landing is how far after bpf_func a tail call enters (X86_TAIL_CALL_OFFSET).
	Landing(t *Config) image.CodeOff
	// Prologue is emit_prologue after the CFI preamble, with the pushes of callee-saved registers.
	Prologue(e *Writer)
	// Reload puts the counter, or the pointer to it, into rax before a call.
	Reload(e *Writer)
	// Indirect and Direct are the tail call sequences; they fill the site.
	Indirect(e *Writer, s *image.TailCallSite) error
	Direct(e *Writer, s *image.TailCallSite) error
	// Epilogue takes the frame down; the return follows it.
	Epilogue(e *Writer)
	// Poke appends what a change of the slot of a direct tail call does to it. old and new are the
	// landings of the programs in the slot, 0 for none.
	Poke(p *PokePlan, s image.PokeSite, old, new image.Addr)
	// Frame describes the stack frame while the body runs, without Body.
	Frame(f *Func) image.Frame
}

// Design is a tail-call design as emission sees it: its code, and what is true of it that decides bytes.
type Design struct {
	Code
	// Boundary says that a main program can be an exception boundary.
	Boundary bool
	// Rax is what rax holds when a program is called that can reach a tail call.
	Rax image.SlotKind
}

// FramePointer is what a design has that does not use rbp as it is for BPF_REG_FP: the register,
// and what is added to it in the offsets and moves in which the JIT sees that r10 is meant.
type FramePointer interface {
	FP() (x86.Reg, int32)
}

// takesBack is what a design has that does something after a call of a subprogram.
type takesBack interface {
	// TakeBack appends it and reports whether there is anything.
	TakeBack(e *Writer, callee *Func) bool
}
