// SPDX-License-Identifier: GPL-2.0-only

package design

import (
	"github.com/tcsim/tcsim/jit/emit"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// backprop is what the author of the hierarchy fix argues against (mails of 6 and 21 December 2023):
// the count goes back to the caller in rcx, which takes it over after the call. Everything else is as
// in 6.7.
//
//	rbp+8     return address
//	rbp       saved rbp
//	rbp-sd    stack of the program, sd bytes rounded up to 8
//	rbp-sd-8  tail_call_cnt: pushed rax, used as the dword at rbp-sd-4
//	          rbx, r13, r14, r15 as used                                 <- rsp
//
// A what-if: it was never written.
type backprop struct{}

func (backprop) Landing(t *emit.Config) image.CodeOff { return emit.WithENDBR(t, 11) }

// head is the prologue up to the frame; clear makes the count 0, keep stores it.
func (backprop) head(e *emit.Writer, clear, keep bool) {
	// The place that a trampoline patches, then the initial count or filler.
	e.Nop(5) // 0f 1f 44 00 00
	if clear {
		e.Xor32MR(x86.R(x86.RAX), x86.RAX) // 31 c0
	} else {
		e.Nop(2) // 66 90
	}
	e.Push64O(x86.RBP)                 // 55
	e.Mov64MR(x86.R(x86.RBP), x86.RSP) // 48 89 e5

	// Tail calls land here.
	e.EndBR()
	e.TakeStack()
	if keep {
		e.Push64O(x86.RAX) // 50
	}
	e.PushSaved()
}

func (backprop) Reload(e *emit.Writer) {
	e.Mov64RM(x86.RAX, x86.M32(x86.RBP, -8-e.Func.Depth)) // 48 8b 85 disp32
}

// TakeBack stores what the called subprogram returned in rcx.
func (backprop) TakeBack(e *emit.Writer, callee *emit.Func) bool {
	if !callee.Reachable {
		return false
	}
	e.Mov64MR(x86.M32(x86.RBP, -8-e.Func.Depth), x86.RCX) // 48 89 8d disp32
	return true
}

// count jumps to out if the count has reached the limit, and adds one to it.
func (backprop) count(e *emit.Writer, s *image.TailCallSite) {
	e.Mov32RM(x86.RAX, x86.M32(x86.RBP, -4-e.Func.Depth)) // 8b 85 disp32
	e.Cmp32MI8(x86.R(x86.RAX), int8(e.Func.Config.Limit)) // 83 f8 21
	s.Limit = e.JumpOut(x86.FormJaeD8)
	e.Add32MI8(x86.R(x86.RAX), 1) // 83 c0 01
	s.Bump = image.CodeOff(e.Len())
	e.Mov32MR(x86.M32(x86.RBP, -4-e.Func.Depth), x86.RAX) // 89 85 disp32
}

// unwind takes the frame down to the saved rbp.
func (backprop) unwind(e *emit.Writer, s *image.TailCallSite) {
	s.Unwind = image.CodeOff(e.Len())
	e.PopSaved()
	e.Pop64O(x86.RAX) // 58
	e.GiveStack()
}

func (b backprop) Indirect(e *emit.Writer, s *image.TailCallSite) error {
	e.Bounds(s)
	b.count(e, s)
	e.LoadProg(s)
	b.unwind(e, s)
	return e.LeaveIndirect(s, b.Landing(e.Func.Config))
}

func (b backprop) Direct(e *emit.Writer, s *image.TailCallSite) error {
	b.count(e, s)
	e.Bypass(s)
	b.unwind(e, s)
	e.LeaveDirect(s)
	return nil
}

func (backprop) Poke(p *emit.PokePlan, s image.PokeSite, old, new image.Addr) {
	emit.PokeBypass(p, s, old, new)
}

func (b backprop) frameWith(f *emit.Func, keep bool) image.Frame {
	d := emit.NewFrame(f)
	d.Landing = b.Landing(f.Config)
	if keep {
		d.Push(image.SlotTailCallCnt)
		d.Frame.Counter = image.Counter{Form: image.CounterValue, Off: -f.Depth - 4, Size: 4}
	}
	return d.Done()
}

// backpropPoke is the first way: the epilogue of every program that can be in a prog array gives the
// count back. It would be poked when the program is put there; here it always is, and so every main
// program keeps a count. One that runs on its own gives it back as well, to a caller that did not ask.
type backpropPoke struct{ backprop }

func (backpropPoke) traits() Traits {
	return Traits{
		Name: "backprop-poke", Source: "what-if: first way in the mail of 6 December 2023", Evidence: BySource,
		Counting: CountInvocation, Empty: EmptyCounts, Handover: HandCount, Boundary: BoundaryNone,
		Faults: []Fault{{"helper-clobber", ShownByProgram, "trampolines do not keep the count that comes back in rcx"}},
		Shape:  Shape{Reused: No, Hook: Yes, Counter: CounterPlace{CounterStack, image.CounterValue, 4, -4}, Exit: ExitLoadsRSP},
	}
}

// keeps says that the function has a count.
func (backpropPoke) keeps(f *emit.Func) bool { return !f.Sub || f.Reachable }

func (b backpropPoke) Prologue(e *emit.Writer) { b.head(e, !e.Func.Sub, b.keeps(e.Func)) }

func (b backpropPoke) Epilogue(e *emit.Writer) {
	e.PopSaved()
	if b.keeps(e.Func) {
		// Five bytes, as a poke needs; the count is at rsp now.
		e.Mov64RM(x86.RCX, x86.M8(x86.RSP, 0)) // 48 8b 4c 24 00
	}
	e.Leave() // c9
}

func (b backpropPoke) Frame(f *emit.Func) image.Frame { return b.frameWith(f, b.keeps(f)) }

// backpropCheck is the second way: the epilogue of functions that can reach a tail call gives the
// count back if it is not 0. A caller cannot tell whether rcx holds a count: a program without tail
// calls that was reached by one leaves there what it worked with.
type backpropCheck struct{ backprop }

func (backpropCheck) traits() Traits {
	return Traits{
		Name: "backprop-check", Source: "what-if: second way in the mail of 6 December 2023", Evidence: BySource,
		Counting: CountInvocation, Empty: EmptyCounts, Handover: HandCount, Boundary: BoundaryNone,
		Faults: []Fault{
			{"limit", ShownByGraphs, "takes for a count what a program without one left in rcx"},
			{"helper-clobber", ShownByGraphs, "calls a subprogram with what a helper left in rax"},
		},
		Shape: Shape{Reused: No, Hook: Yes, Counter: CounterPlace{CounterStack, image.CounterValue, 4, -4}, Exit: ExitLoadsRBP},
	}
}

func (b backpropCheck) Prologue(e *emit.Writer) {
	b.head(e, e.Func.Reachable && !e.Func.Sub, e.Func.Reachable)
}

func (backpropCheck) Epilogue(e *emit.Writer) {
	if e.Func.Reachable {
		// if (tail_call_cnt) rcx = tail_call_cnt;
		e.Cmp32MI8(x86.M32(x86.RBP, -4-e.Func.Depth), 0)      // 83 bd disp32 00
		e.JeD8(7)                                             // 74 07
		e.Mov64RM(x86.RCX, x86.M32(x86.RBP, -8-e.Func.Depth)) // 48 8b 8d disp32
	}
	e.PopSaved()
	e.Leave() // c9
}

func (b backpropCheck) Frame(f *emit.Func) image.Frame { return b.frameWith(f, f.Reachable) }
