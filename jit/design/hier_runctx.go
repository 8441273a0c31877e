// SPDX-License-Identifier: GPL-2.0-only

package design

import (
	"github.com/tcsim/tcsim/jit/emit"
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

func (hierRunCtx) Landing(t *emit.Config) image.CodeOff { return emit.WithENDBR(t, 16) }

func (hierRunCtx) Prologue(e *emit.Writer) {
	f := e.Func
	// The place that a trampoline patches.
	e.Nop(5) // 0f 1f 44 00 00

	if f.Reachable && !f.Sub {
		// rax = run_ctx->tail_call_cnt_ptr; rdi = run_ctx->ctx;
		e.Mov64RM(x86.RAX, x86.M8(x86.RDI, 8)) // 48 8b 47 08
		e.Mov64RM(x86.RDI, x86.M0(x86.RDI))    // 48 8b 3f
	} else {
		e.Nop(7) // 0f 1f 80 00 00 00 00
	}
	e.Push64O(x86.RBP)                 // 55
	e.Mov64MR(x86.R(x86.RBP), x86.RSP) // 48 89 e5

	// Tail calls land here.
	e.EndBR()
	e.TakeStack()
	if f.Reachable {
		e.Push64O(x86.RAX) // 50
	}
	e.PushSaved()
}

func (hierRunCtx) Reload(e *emit.Writer) {
	e.Mov64RM(x86.RAX, x86.M32(x86.RBP, -8-e.Func.Depth)) // 48 8b 85 disp32
}

// count jumps to out if the counter has reached the limit, and adds one to it.
func (h hierRunCtx) count(e *emit.Writer, s *image.TailCallSite) {
	h.Reload(e)
	e.Cmp32MI8(x86.M0(x86.RAX), int8(e.Func.Config.Limit)) // 83 38 21
	s.Limit = e.JumpOut(x86.FormJaeD8)
	s.Bump = image.CodeOff(e.Len())
	e.Add32MI8(x86.M0(x86.RAX), 1) // 83 00 01
}

// unwind takes the frame down to the saved rbp and leaves the pointer in rax.
func (hierRunCtx) unwind(e *emit.Writer, s *image.TailCallSite) {
	s.Unwind = image.CodeOff(e.Len())
	e.PopSaved()
	e.Pop64O(x86.RAX) // 58
	e.GiveStack()
}

func (h hierRunCtx) Indirect(e *emit.Writer, s *image.TailCallSite) error {
	e.Bounds(s)
	h.count(e, s)
	e.LoadProg(s)
	h.unwind(e, s)
	return e.LeaveIndirect(s, h.Landing(e.Func.Config))
}

func (h hierRunCtx) Direct(e *emit.Writer, s *image.TailCallSite) error {
	h.count(e, s)
	e.Bypass(s)
	h.unwind(e, s)
	e.LeaveDirect(s)
	return nil
}

func (hierRunCtx) Epilogue(e *emit.Writer) {
	e.PopSaved()
	e.Leave() // c9
}

func (hierRunCtx) Poke(p *emit.PokePlan, s image.PokeSite, old, new image.Addr) {
	emit.PokeBypass(p, s, old, new)
}

func (h hierRunCtx) Frame(f *emit.Func) image.Frame {
	b := emit.NewFrame(f)
	b.Landing = h.Landing(f.Config)
	if f.Reachable {
		b.Push(image.SlotTailCallPtr)
		b.Frame.Counter = image.Counter{Form: image.CounterPtr, Off: -f.Depth - 8, Size: 4}
		b.Frame.RunCtx = !f.Sub
	}
	return b.Done()
}
