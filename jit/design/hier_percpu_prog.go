// SPDX-License-Identifier: GPL-2.0-only

package design

import (
	"github.com/tcsim/tcsim/jit/emit"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// hierPerCPUProgA is the first of two variants of 26 February 2024 with a counter per CPU and
// program: entering a main program resets the counter of that program, and a pointer to it travels
// in rax.
//
//	rbp+8     return address
//	rbp       saved rbp
//	rbp-sd    stack of the program, sd bytes rounded up to 8
//	rbp-sd-8  tail_call_cnt_ptr                                    (if reachable)
//	          rbx, r13, r14, r15 as used                           <- rsp
//
//	gs:       tail_call_cnt of the program that was entered, a dword
//
// From a description in the thread of the second version; what it leaves open is as in 6.7 and, where
// the pointer is handed on, as in hierRFC2.
type hierPerCPUProgA struct{}

func (hierPerCPUProgA) traits() Traits {
	return Traits{
		Name: "hier-percpu-prog-a", Source: "mails of 26 February 2024, described", Evidence: BySource,
		Counting: CountInvocation, Empty: EmptyCounts, Handover: HandPointer, Boundary: BoundaryNone,
		Routines: []image.RoutineKind{image.ProgramCounter, image.ProgramReset},
		Shape:    Shape{Reused: No, Hook: Yes, Counter: CounterPlace{Base: CounterAnywhere, Form: image.CounterPtr, Size: 4}, Returns: 1, Head: 15},
	}
}

func (hierPerCPUProgA) Landing(t *emit.Config) image.CodeOff { return emit.WithENDBR(t, 24) }

// progPrologue is what both variants begin with, up to the landing.
func progPrologue(e *emit.Writer) {
	f := e.Func
	// The place that a trampoline patches.
	e.Nop(5) // 0f 1f 44 00 00

	// The counter of this program on this CPU becomes 0, rax the pointer to it.
	if f.Reachable && !f.Sub {
		e.LoadOwnCounter(x86.RAX)                              // 48 b8 imm64
		e.CallRoutine(image.Routine{Kind: image.ProgramReset}) // e8 rel32
	} else {
		e.Nop(11) // 66 66 2e 0f 1f 84 00 00 00 00 00
		e.Nop(4)  // 0f 1f 40 00
	}
	e.Push64O(x86.RBP)                 // 55
	e.Mov64MR(x86.R(x86.RBP), x86.RSP) // 48 89 e5
	e.EndBR()
}

func (hierPerCPUProgA) Prologue(e *emit.Writer) {
	progPrologue(e)

	// Tail calls land here.
	e.TakeStack()
	if e.Func.Reachable {
		e.Push64O(x86.RAX) // 50
	}
	e.PushSaved()
}

func (hierPerCPUProgA) Reload(e *emit.Writer) {
	e.Mov64RM(x86.RAX, x86.M32(x86.RBP, -8-e.Func.Depth)) // 48 8b 85 disp32
}

// count jumps to out if the counter has reached the limit, and adds one to it.
func (h hierPerCPUProgA) count(e *emit.Writer, s *image.TailCallSite) {
	h.Reload(e)
	e.Cmp32MI8(x86.M0(x86.RAX), int8(e.Func.Config.Limit)) // 83 38 21
	s.Limit = e.JumpOut(x86.FormJaeD8)
	s.Bump = image.CodeOff(e.Len())
	e.Add32MI8(x86.M0(x86.RAX), 1) // 83 00 01
}

// unwind takes the frame down to the saved rbp and leaves the pointer in rax.
func (hierPerCPUProgA) unwind(e *emit.Writer, s *image.TailCallSite) {
	s.Unwind = image.CodeOff(e.Len())
	e.PopSaved()
	e.Pop64O(x86.RAX) // 58
	e.GiveStack()
}

func (h hierPerCPUProgA) Indirect(e *emit.Writer, s *image.TailCallSite) error {
	e.Bounds(s)
	h.count(e, s)
	e.LoadProg(s)
	h.unwind(e, s)
	return e.LeaveIndirect(s, h.Landing(e.Func.Config))
}

func (h hierPerCPUProgA) Direct(e *emit.Writer, s *image.TailCallSite) error {
	h.count(e, s)
	e.Bypass(s)
	h.unwind(e, s)
	e.LeaveDirect(s)
	return nil
}

func (hierPerCPUProgA) Epilogue(e *emit.Writer) {
	e.PopSaved()
	e.Leave() // c9
}

func (hierPerCPUProgA) Poke(p *emit.PokePlan, s image.PokeSite, old, new image.Addr) {
	emit.PokeBypass(p, s, old, new)
}

func (h hierPerCPUProgA) Frame(f *emit.Func) image.Frame {
	b := emit.NewFrame(f)
	b.Landing = h.Landing(f.Config)
	if f.Reachable {
		b.Push(image.SlotTailCallPtr)
		b.Frame.Counter = image.Counter{Form: image.CounterPtr, Off: -f.Depth - 8, Size: 4}
	}
	return b.Done()
}

// hierPerCPUProgB is the second variant: nothing is handed on, every program uses the counter of its
// own at its tail calls, so that each has the whole budget.
//
//	rbp+8   return address
//	rbp     saved rbp
//	rbp-sd  stack of the program, sd bytes rounded up to 8
//	        rbx, r13, r14, r15 as used                             <- rsp
//
//	gs:     tail_call_cnt of each program, a dword; reset when it is entered from outside
type hierPerCPUProgB struct{ kernelCounter }

func (hierPerCPUProgB) traits() Traits {
	return Traits{
		Name: "hier-percpu-prog-b", Source: "mails of 26 February 2024, described", Evidence: BySource,
		Counting: CountByProgram, Empty: EmptyCounts, Handover: HandNothing, Boundary: BoundaryNone,
		Routines: []image.RoutineKind{image.ProgramCounter, image.ProgramReset, image.ProgramFetch},
		Shape:    Shape{Reused: No, Counter: CounterPlace{Base: CounterCalled}, Call: CallComparesOf},
	}
}

func (hierPerCPUProgB) Landing(t *emit.Config) image.CodeOff { return emit.WithENDBR(t, 24) }

func (hierPerCPUProgB) Prologue(e *emit.Writer) {
	progPrologue(e)

	// Tail calls land here.
	e.TakeStack()
	e.PushSaved()
}

// count jumps to out if the program's counter had reached the limit; it has been incremented in any
// case.
func (hierPerCPUProgB) count(e *emit.Writer, s *image.TailCallSite) {
	e.LoadOwnCounter(x86.RAX) // 48 b8 imm64
	s.Bump = image.CodeOff(e.Len())
	e.CallRoutine(image.Routine{Kind: image.ProgramFetch}) // e8 rel32
	e.Cmp32MI8(x86.R(x86.RAX), int8(e.Func.Config.Limit))  // 83 f8 21
	s.Limit = e.JumpOut(x86.FormJaeD8)
}

func (h hierPerCPUProgB) Indirect(e *emit.Writer, s *image.TailCallSite) error {
	e.Bounds(s)
	h.count(e, s)
	e.LoadProg(s)
	h.unwind(e, s)
	return e.LeaveIndirect(s, h.Landing(e.Func.Config))
}

func (h hierPerCPUProgB) Direct(e *emit.Writer, s *image.TailCallSite) error {
	h.count(e, s)
	e.Bypass(s)
	h.unwind(e, s)
	e.LeaveDirect(s)
	return nil
}

func (h hierPerCPUProgB) Frame(f *emit.Func) image.Frame {
	b := emit.NewFrame(f)
	b.Landing = h.Landing(f.Config)
	b.Frame.Counter = f.PerCPUCounter(f.OwnCounter())
	return b.Done()
}
