// SPDX-License-Identifier: GPL-2.0-only

package jit

import (
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// hierRunCtx is the fourth version of the hierarchy fix (May 2024): who runs a program that can reach
// a tail call passes a struct of the context and a pointer to a counter of its own; the prologue takes
// them apart, and the pointer travels in rax.
//
//	rbp+8     return address
//	rbp       saved rbp
//	rbp-sd    stack of the program, sd bytes rounded up to 8
//	rbp-sd-8  tail_call_cnt_ptr                                    (if reachable)
//	          rbx, r13, r14, r15 as used                           <- rsp
//
// From a description of the patch "bpf, x64: Fix tailcall hierarchy" (v4 2/3); what it leaves open is
// as in 6.7 and, where the pointer is handed on, as in hierRFC2. A program attached to a subprogram of
// one that reaches no tail call (freplace) gets no such struct; that is not modelled.
type hierRunCtx struct{}

func (hierRunCtx) traits() Traits {
	return Traits{
		Name: "hier-runctx", Source: "v4 of May 2024, described", Evidence: BySource,
		Counting: CountInvocation, Empty: EmptyCounts, Handover: HandPointer, Boundary: BoundaryNone,
		Faults: []Fault{{"fault", ShownByProgram, "a program that replaces a function gets no counter from the caller of that"}},
		Shape:  Shape{Reused: No, Hook: Yes, Counter: CounterPlace{Base: CounterAnywhere, Form: image.CounterPtr, Size: 4}, Returns: 1, Head: 7},
	}
}

func (hierRunCtx) Landing(t *Config) image.CodeOff { return withENDBR(t, 16) }

func (hierRunCtx) Prologue(e *emitter) {
	f := e.f
	// The place that a trampoline patches.
	e.Nop(5) // 0f 1f 44 00 00

	if f.reachable && !f.sub {
		// rax = run_ctx->tail_call_cnt_ptr; rdi = run_ctx->ctx;
		e.Mov64RM(x86.RAX, x86.M8(x86.RDI, 8)) // 48 8b 47 08
		e.Mov64RM(x86.RDI, x86.M0(x86.RDI))    // 48 8b 3f
	} else {
		e.Nop(7) // 0f 1f 80 00 00 00 00
	}
	e.Push64O(x86.RBP)                 // 55
	e.Mov64MR(x86.R(x86.RBP), x86.RSP) // 48 89 e5

	// Tail calls land here.
	e.endbr()
	e.takeStack()
	if f.reachable {
		e.Push64O(x86.RAX) // 50
	}
	e.pushSaved()
}

func (hierRunCtx) Reload(e *emitter) {
	e.Mov64RM(x86.RAX, x86.M32(x86.RBP, -8-e.f.depth)) // 48 8b 85 disp32
}

// count jumps to out if the counter has reached the limit, and adds one to it.
func (h hierRunCtx) count(e *emitter, s *image.TailCallSite) {
	h.Reload(e)
	e.Cmp32MI8(x86.M0(x86.RAX), int8(e.f.t.Limit)) // 83 38 21
	s.Limit = e.jumpOut(x86.FormJaeD8)
	s.Bump = image.CodeOff(e.Len())
	e.Add32MI8(x86.M0(x86.RAX), 1) // 83 00 01
}

// unwind takes the frame down to the saved rbp and leaves the pointer in rax.
func (hierRunCtx) unwind(e *emitter, s *image.TailCallSite) {
	s.Unwind = image.CodeOff(e.Len())
	e.popSaved()
	e.Pop64O(x86.RAX) // 58
	e.giveStack()
}

func (h hierRunCtx) Indirect(e *emitter, s *image.TailCallSite) error {
	e.bounds(s)
	h.count(e, s)
	e.loadProg(s)
	h.unwind(e, s)
	return e.leaveIndirect(s, h.Landing(e.f.t))
}

func (h hierRunCtx) Direct(e *emitter, s *image.TailCallSite) error {
	h.count(e, s)
	e.bypass(s)
	h.unwind(e, s)
	e.leaveDirect(s)
	return nil
}

func (hierRunCtx) Epilogue(e *emitter) {
	e.popSaved()
	e.Leave() // c9
}

func (hierRunCtx) Poke(p *pokePlan, s image.PokeSite, old, new image.Addr) {
	pokeBypass(p, s, old, new)
}

func (h hierRunCtx) Frame(f *fn) image.Frame {
	b := newFrame(f)
	b.landing = h.Landing(f.t)
	if f.reachable {
		b.push(image.SlotTailCallPtr)
		b.frame.Counter = image.Counter{Form: image.CounterPtr, Off: -f.depth - 8, Size: 4}
		b.frame.RunCtx = !f.sub
	}
	return b.done()
}
