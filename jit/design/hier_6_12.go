// SPDX-License-Identifier: GPL-2.0-only

package design

import (
	"github.com/tcsim/tcsim/jit/emit"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/x86"
)

// hier is the design of 6.12 and later (116e04ba1459): one counter for the whole tree of calls, in
// the frame of the main program that was entered first; rax carries the count into a main program
// and a pointer to it everywhere else.
//
//	rbp+8      return address
//	rbp        saved rbp
//	rbp-sd     stack of the program, sd bytes rounded up to 8
//	rbp-sd-8   tail_call_cnt itself (a main program that got a count), else
//	           tail_call_cnt_ptr                                   (if reachable)
//	rbp-sd-16  tail_call_cnt_ptr                                   (if reachable)
//	           r12 (arena), rbx, r13, r14, r15 as used             <- rsp
//
// Derived from arch/x86/net/bpf_jit_comp.c of 6.12.107 and 7.2: emit_prologue,
// emit_prologue_tail_call, emit_bpf_tail_call_indirect, emit_bpf_tail_call_direct.
//
// The main program of one that throws saves r12 and all of rbx, r13, r14, r15.
type hier struct{}

func (hier) traits() Traits {
	return Traits{
		Name: "hier-6.12", Kernel: kernels.Hier612, Source: "6.12 and later (116e04ba1459)", Evidence: ByCapture,
		Counting: CountInvocation, Empty: EmptyFree, Handover: HandCountOrPointer, Boundary: BoundarySaves,
		Shape: Shape{Reused: No, Counter: CounterPlace{CounterStack, image.CounterPtr, 8, -16}},
	}
}

func (hier) Landing(t *emit.Config) image.CodeOff {
	if t.Emit.ENDBR {
		return 12 + emit.ENDBRSize
	}
	return 12
}

func (h hier) Prologue(e *emit.Writer) {
	f := e.Func
	// The place that a trampoline patches, then the initial count or filler.
	e.Nop(5) // 0f 1f 44 00 00
	if f.Reachable && !f.Sub {
		e.Xor64MR(x86.R(x86.RAX), x86.RAX) // 48 31 c0
	} else {
		e.Nop(3) // 0f 1f 00
	}
	if f.Info.ExceptionCB {
		e.TakeOverFrame()
	} else {
		e.Push64O(x86.RBP)                 // 55
		e.Mov64MR(x86.R(x86.RBP), x86.RSP) // 48 89 e5
	}

	// Tail calls land here.
	e.EndBR()
	if f.Depth != 0 {
		e.Sub64MI32(x86.R(x86.RSP), f.Depth) // 48 81 ec sd
	}
	if f.Reachable {
		h.prologueTailCall(e)
	}
	e.PushSaved()
}

// prologueTailCall is emit_prologue_tail_call. In a main program rax up to the limit is a count,
// which gets its home here, and anything above is a pointer.
func (hier) prologueTailCall(e *emit.Writer) {
	if !e.Func.Sub {
		e.Cmp64MI8(x86.R(x86.RAX), int8(e.Func.Config.Limit)) // 48 83 f8 21
		e.JaD8(6)                                             // 77 06

		// A count: store it, rax becomes the pointer to it.
		e.Push64O(x86.RAX)                 // 50
		e.Mov64MR(x86.R(x86.RAX), x86.RSP) // 48 89 e0
		e.JmpD8(1)                         // eb 01

		// A pointer: store it twice.
		e.Push64O(x86.RAX) // 50
		e.Push64O(x86.RAX) // 50
		return
	}
	e.Push64O(x86.RAX) // 50
	e.Push64O(x86.RAX) // 50
}

func (hier) Reload(e *emit.Writer) {
	e.Mov64RM(x86.RAX, x86.M32(x86.RBP, -16-e.Func.Depth)) // 48 8b 85 disp32
}

// refuse jumps to out if the counter that the pointer points to has reached the limit.
func (h hier) refuse(e *emit.Writer, s *image.TailCallSite) {
	h.Reload(e)
	e.Cmp64MI8(x86.M0(x86.RAX), int8(e.Func.Config.Limit)) // 48 83 38 21
	s.Limit = e.JumpOut(x86.FormJaeD8)
}

// bump adds one to the counter.
func (hier) bump(e *emit.Writer, s *image.TailCallSite) {
	s.Bump = image.CodeOff(e.Len())
	e.Add64MI8(x86.M0(x86.RAX), 1) // 48 83 00 01
}

// unwind takes the frame down to the saved rbp. The second pop leaves in rax the count if it lives
// in this frame and the pointer otherwise.
func (hier) unwind(e *emit.Writer, s *image.TailCallSite) {
	s.Unwind = image.CodeOff(e.Len())
	e.PopSaved()
	e.Pop64O(x86.RAX) // 58
	e.Pop64O(x86.RAX) // 58
	if e.Func.Depth != 0 {
		e.Add64MI32(x86.R(x86.RSP), e.Func.Depth) // 48 81 c4 sd
	}
}

func (h hier) Indirect(e *emit.Writer, s *image.TailCallSite) error {
	offs := &e.Func.Config.Offsets
	// if (index >= array->map.max_entries) goto out; rsi is the array, edx the index.
	e.Mov32MR(x86.R(x86.RDX), x86.RDX)                            // 89 d2
	e.Cmp32MR(x86.M8(x86.RSI, int8(offs.MapMaxEntries)), x86.RDX) // 39 56 xx
	s.Bounds = e.JumpOut(x86.FormJbeD8)

	// if (*tail_call_cnt_ptr >= limit) goto out;
	h.refuse(e, s)

	// prog = array->ptrs[index]; if (!prog) goto out;
	e.Mov64RM(x86.RCX, x86.X32(x86.RSI, x86.RDX, 8, offs.ArrayPtrs)) // 48 8b 8c d6 disp32
	e.Test64MR(x86.R(x86.RCX), x86.RCX)                              // 48 85 c9
	s.Null = e.JumpOut(x86.FormJeD8)

	// Only a tail call that is taken counts.
	h.bump(e, s)
	h.unwind(e, s)

	// goto *(prog->bpf_func + landing);
	e.Mov64RM(x86.RCX, x86.M8(x86.RCX, int8(offs.ProgBPFFunc))) // 48 8b 49 xx
	e.Add64MI8(x86.R(x86.RCX), int8(h.Landing(e.Func.Config)))  // 48 83 c1 xx
	if err := e.JumpRCX(s); err != nil {
		return err
	}
	e.Out()
	return nil
}

func (h hier) Direct(e *emit.Writer, s *image.TailCallSite) error {
	// if (*tail_call_cnt_ptr >= limit) goto out;
	h.refuse(e, s)

	// While the slot is empty this jumps to out; poked to a nop when it is filled.
	e.Bypass(s)

	// Only a tail call that is taken counts.
	h.bump(e, s)
	h.unwind(e, s)

	// Poked to a jump to the landing of the program in the slot.
	s.Jump = image.CodeOff(e.Len())
	e.Nop(5)
	e.Out()
	return nil
}

func (hier) Epilogue(e *emit.Writer) {
	e.PopSaved()
	e.Leave() // c9
}

func (hier) Poke(p *emit.PokePlan, s image.PokeSite, old, new image.Addr) {
	emit.PokeBypass(p, s, old, new)
}

func (h hier) Frame(f *emit.Func) image.Frame {
	b := emit.NewFrame(f)
	b.Landing = h.Landing(f.Config)
	if f.Reachable {
		if f.Sub {
			b.Push(image.SlotTailCallPtr)
		} else {
			b.Push(image.SlotTailCallCntOrPtr)
		}
		b.Push(image.SlotTailCallPtr)
		b.Frame.Counter = image.Counter{Form: image.CounterPtr, Off: -f.Depth - 16, Size: 8}
	}
	return b.Done()
}
