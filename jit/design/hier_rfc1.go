// SPDX-License-Identifier: GPL-2.0-only

package design

import (
	"github.com/tcsim/tcsim/jit/emit"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// hierRFC1 is the first proposal against the hierarchy (5 October 2023): counter and pointer to it
// in the frame of the program that was entered first, the pointer travels in rax. A main program
// copies the counter into its own frame when it is entered, also by a tail call, but keeps the
// pointer that it got: that of the frame that was taken down. What the program then stores in its
// stack, or the prologue's own push, can overwrite the counter that everybody uses.
//
//	rbp+8      return address
//	rbp        saved rbp
//	rbp-sd     stack of the program, sd bytes rounded up to 8
//	rbp-sd-8   tail_call_cnt_ptr                                   (if reachable)
//	rbp-sd-16  tail_call_cnt as a dword, or nothing in subprograms (if reachable)
//	           rbx, r13, r14, r15 as used                          <- rsp
//
// From a description of the patch "bpf, x64: Fix tailcall hierarchy" (RFC v1 2/3) on 6.6; what it
// leaves open is as in the second version: tests and order of the tail call, poking.
type hierRFC1 struct{}

func (hierRFC1) traits() Traits {
	return Traits{
		Name: "hier-rfc1", Source: "RFC of 5 October 2023, described", Evidence: BySource,
		Counting: CountInvocation, Empty: EmptyCounts, Handover: HandPointer, Boundary: BoundaryNone,
		Faults: []Fault{
			{"frame", ShownByGraphs, "the stack of a program comes to lie on the counter"},
			{"below-rsp", ShownAlways, "keeps tail_call_cnt below rsp while one program hands over to another"},
			{"semantics", ShownByInterrupt, "an interrupt overwrites tail_call_cnt below rsp"},
		},
		Shape: Shape{Reused: No, Setup: SetupFromRBP},
	}
}

func (hierRFC1) Landing(t *emit.Config) image.CodeOff { return emit.WithENDBR(t, 24) }

func (h hierRFC1) Prologue(e *emit.Writer) {
	f := e.Func
	// The place that a trampoline patches.
	e.Nop(5) // 0f 1f 44 00 00

	e.Push64O(x86.RBP)                 // 55
	e.Mov64MR(x86.R(x86.RBP), x86.RSP) // 48 89 e5
	if f.Reachable && !f.Sub {
		// rax is where the counter will be; it begins with 0.
		e.Mov64MR(x86.R(x86.RAX), x86.RBP) // 48 89 e8
		e.Sub64I(f.Depth + 16)             // 48 2d sd+16
		e.Mov32MI32(x86.M0(x86.RAX), 0)    // c7 00 00 00 00 00
	} else {
		e.Nop(3) // 0f 1f 00
		e.Nop(6) // 66 0f 1f 44 00 00
		e.Nop(6) // 66 0f 1f 44 00 00
	}

	// Tail calls land here.
	e.EndBR()
	if !f.Reachable {
		e.TakeStack()
		e.PushSaved()
		return
	}
	if !f.Sub {
		// A copy of the counter. Everything here is stored below rsp.
		e.Push64O(x86.RAX)                                // 50
		e.Mov32RM(x86.RAX, x86.M0(x86.RAX))               // 8b 00
		e.Mov32MR(x86.M32(x86.RBP, -f.Depth-16), x86.RAX) // 89 85 disp32
		e.Pop64O(x86.RAX)                                 // 58
	}
	e.Mov64MR(x86.M32(x86.RBP, -f.Depth-8), x86.RAX) // 48 89 85 disp32
	e.Sub64MI32(x86.R(x86.RSP), f.Depth+16)          // 48 81 ec sd+16
	e.PushSaved()
}

func (hierRFC1) Reload(e *emit.Writer) {
	e.Mov64RM(x86.RAX, x86.M32(x86.RBP, -8-e.Func.Depth)) // 48 8b 85 disp32
}

// count jumps to out if the counter has reached the limit, and adds one to it.
func (h hierRFC1) count(e *emit.Writer, s *image.TailCallSite) {
	h.Reload(e)
	e.Cmp32MI8(x86.M0(x86.RAX), int8(e.Func.Config.Limit)) // 83 38 21
	s.Limit = e.JumpOut(x86.FormJaeD8)
	s.Bump = image.CodeOff(e.Len())
	e.Add32MI8(x86.M0(x86.RAX), 1) // 83 00 01
}

// unwind takes the frame down to the saved rbp and leaves the pointer, which comes last, in rax.
func (hierRFC1) unwind(e *emit.Writer, s *image.TailCallSite) {
	s.Unwind = image.CodeOff(e.Len())
	e.PopSaved()
	e.Pop64O(x86.RAX) // 58
	e.Pop64O(x86.RAX) // 58
	e.GiveStack()
}

func (h hierRFC1) Indirect(e *emit.Writer, s *image.TailCallSite) error {
	e.Bounds(s)
	h.count(e, s)
	e.LoadProg(s)
	h.unwind(e, s)
	return e.LeaveIndirect(s, h.Landing(e.Func.Config))
}

func (h hierRFC1) Direct(e *emit.Writer, s *image.TailCallSite) error {
	h.count(e, s)
	e.Bypass(s)
	h.unwind(e, s)
	e.LeaveDirect(s)
	return nil
}

func (hierRFC1) Epilogue(e *emit.Writer) {
	e.PopSaved()
	e.Leave() // c9
}

func (hierRFC1) Poke(p *emit.PokePlan, s image.PokeSite, old, new image.Addr) {
	emit.PokeBypass(p, s, old, new)
}

func (h hierRFC1) Frame(f *emit.Func) image.Frame {
	b := emit.NewFrame(f)
	b.Landing = h.Landing(f.Config)
	if f.Reachable {
		b.Push(image.SlotTailCallPtr)
		if f.Sub {
			b.Push(image.SlotPad)
		} else {
			b.Push(image.SlotTailCallCnt)
			b.Frame.Scratch = true
		}
		b.Frame.Counter = image.Counter{Form: image.CounterPtr, Off: -f.Depth - 8, Size: 4}
	}
	return b.Done()
}
