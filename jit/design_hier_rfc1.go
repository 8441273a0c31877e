// SPDX-License-Identifier: GPL-2.0-only

package jit

import (
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

func (hierRFC1) Landing(t *Config) image.CodeOff { return withENDBR(t, 24) }

func (h hierRFC1) Prologue(e *emitter) {
	f := e.f
	// The place that a trampoline patches.
	e.Nop(5) // 0f 1f 44 00 00

	e.Push64O(x86.RBP)                 // 55
	e.Mov64MR(x86.R(x86.RBP), x86.RSP) // 48 89 e5
	if f.reachable && !f.sub {
		// rax is where the counter will be; it begins with 0.
		e.Mov64MR(x86.R(x86.RAX), x86.RBP) // 48 89 e8
		e.Sub64I(f.depth + 16)             // 48 2d sd+16
		e.Mov32MI32(x86.M0(x86.RAX), 0)    // c7 00 00 00 00 00
	} else {
		e.Nop(3) // 0f 1f 00
		e.Nop(6) // 66 0f 1f 44 00 00
		e.Nop(6) // 66 0f 1f 44 00 00
	}

	// Tail calls land here.
	e.endbr()
	if !f.reachable {
		e.takeStack()
		e.pushSaved()
		return
	}
	if !f.sub {
		// A copy of the counter. Everything here is stored below rsp.
		e.Push64O(x86.RAX)                                // 50
		e.Mov32RM(x86.RAX, x86.M0(x86.RAX))               // 8b 00
		e.Mov32MR(x86.M32(x86.RBP, -f.depth-16), x86.RAX) // 89 85 disp32
		e.Pop64O(x86.RAX)                                 // 58
	}
	e.Mov64MR(x86.M32(x86.RBP, -f.depth-8), x86.RAX) // 48 89 85 disp32
	e.Sub64MI32(x86.R(x86.RSP), f.depth+16)          // 48 81 ec sd+16
	e.pushSaved()
}

func (hierRFC1) Reload(e *emitter) {
	e.Mov64RM(x86.RAX, x86.M32(x86.RBP, -8-e.f.depth)) // 48 8b 85 disp32
}

// count jumps to out if the counter has reached the limit, and adds one to it.
func (h hierRFC1) count(e *emitter, s *image.TailCallSite) {
	h.Reload(e)
	e.Cmp32MI8(x86.M0(x86.RAX), int8(e.f.t.Limit)) // 83 38 21
	s.Limit = e.jumpOut(x86.FormJaeD8)
	s.Bump = image.CodeOff(e.Len())
	e.Add32MI8(x86.M0(x86.RAX), 1) // 83 00 01
}

// unwind takes the frame down to the saved rbp and leaves the pointer, which comes last, in rax.
func (hierRFC1) unwind(e *emitter, s *image.TailCallSite) {
	s.Unwind = image.CodeOff(e.Len())
	e.popSaved()
	e.Pop64O(x86.RAX) // 58
	e.Pop64O(x86.RAX) // 58
	e.giveStack()
}

func (h hierRFC1) Indirect(e *emitter, s *image.TailCallSite) error {
	e.bounds(s)
	h.count(e, s)
	e.loadProg(s)
	h.unwind(e, s)
	return e.leaveIndirect(s, h.Landing(e.f.t))
}

func (h hierRFC1) Direct(e *emitter, s *image.TailCallSite) error {
	h.count(e, s)
	e.bypass(s)
	h.unwind(e, s)
	e.leaveDirect(s)
	return nil
}

func (hierRFC1) Epilogue(e *emitter) {
	e.popSaved()
	e.Leave() // c9
}

func (hierRFC1) Poke(p *pokePlan, s image.PokeSite, old, new image.Addr) { pokeBypass(p, s, old, new) }

func (h hierRFC1) Frame(f *fn) image.Frame {
	b := newFrame(f)
	b.landing = h.Landing(f.t)
	if f.reachable {
		b.push(image.SlotTailCallPtr)
		if f.sub {
			b.push(image.SlotPad)
		} else {
			b.push(image.SlotTailCallCnt)
			b.frame.Scratch = true
		}
		b.frame.Counter = image.Counter{Form: image.CounterPtr, Off: -f.depth - 8, Size: 4}
	}
	return b.done()
}
