// SPDX-License-Identifier: GPL-2.0-only

package design

import "github.com/tcsim/tcsim/jit/image"

// Shape is what machine code shows of its design: package recognise reads the same from bytes as
// Seen. A field that is 0 is not looked at. Designs with the same shape cannot be told apart.
type Shape struct {
	Reused  Answer       // tail calls go on in the caller's frame (image.Frame.Reused)
	Hook    Answer       // there is a place that a trampoline patches
	Counter CounterPlace // how functions with a counter reach it
	Returns int          // return addresses in the frame
	Head    int          // bytes between the place for trampolines and push rbp
	Setup   FrameSetup
	Exit    ExitCode
	Rebuilt Answer // direct tail calls put the frame up again after the jump
	Call    CounterCall
}

// Answer is whether something is so.
type Answer uint8

// The answers.
const (
	_ Answer = iota
	Yes
	No
)

// AnswerOf returns Yes or No.
func AnswerOf(b bool) Answer {
	if b {
		return Yes
	}
	return No
}

// CounterPlace is where a function's frame has the counter or the pointer to it.
type CounterPlace struct {
	Base CounterBase
	Form image.CounterForm
	Size uint8 // of the counter, in bytes
	Off  int32 // from the base
}

// CounterBase is what the distance of a counter is counted from.
type CounterBase uint8

// The bases.
const (
	_               CounterBase = iota
	CounterRBP                  // rbp, whatever stack the program has
	CounterStack                // the end of the program's stack
	CounterAnywhere             // a frame, whatever the distance
	CounterCalled               // none: the kernel's routines know where the counter is
)

// FrameSetup is what follows mov rbp, rsp.
type FrameSetup uint8

// What can follow.
const (
	_             FrameSetup = iota
	SetupReserves            // sub rsp with an immediate of 32 bits
	SetupPlace               // sub rsp, 16 and a store to rbp-8
	SetupFromRBP             // mov rax, rbp, or the nops of subprograms in its place
	SetupOther
)

// ExitCode is what stands before the pops of saved registers and leave, in the first epilogue.
type ExitCode uint8

// What can stand there.
const (
	_            ExitCode = iota
	ExitPopsRCX           // pop rcx, in a function that begins with SetupReserves
	ExitLoadsRSP          // rcx is loaded from the top of the stack
	ExitLoadsRBP          // rcx is loaded from the frame
	ExitPlain             // nothing of these
)

// CounterCall is what a tail call does with what a routine of the kernel returns.
type CounterCall uint8

// What it does.
const (
	_              CounterCall = iota
	CallCompares               // compares it with the limit
	CallComparesOf             // the same; the routine gets the address of the counter in rax
	CallReads                  // compares what it points to with the limit
	CallReadsLeft              // tests what it points to for 0
)

// Seen is what one function shows.
type Seen struct {
	Shape
	Depth int32 // of the program's stack; Counter.Off is from rbp
}

// matches reports whether a function can be of the design.
func (s *Shape) matches(f *Seen) bool {
	same := func(want, got Answer) bool { return want == 0 || got == 0 || want == got }
	return same(s.Reused, f.Reused) && same(s.Hook, f.Hook) && same(s.Rebuilt, f.Rebuilt) &&
		s.Counter.matches(f) &&
		(s.Returns == 0 || s.Returns == f.Returns) &&
		(s.Head == 0 || s.Head == f.Head) &&
		(s.Setup == 0 || s.Setup == f.Setup) &&
		(s.Exit == 0 || s.Exit == f.Exit) &&
		(s.Call == 0 || s.Call == f.Call)
}

func (p *CounterPlace) matches(f *Seen) bool {
	if p.Base == 0 {
		return true
	}
	if p.Base == CounterCalled {
		return f.Counter.Form == image.CounterNone
	}
	off := f.Counter.Off
	if p.Base == CounterStack {
		off += f.Depth
	}
	return p.Form == f.Counter.Form && p.Size == f.Counter.Size && (p.Off == off || p.Base == CounterAnywhere)
}

// Like returns the designs that a function can be of.
func Like(f *Seen) (out Set) {
	for _, d := range All() {
		if d.Traits().Shape.matches(f) {
			out |= SetOf(d)
		}
	}
	return out
}
