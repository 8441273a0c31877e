// SPDX-License-Identifier: GPL-2.0-only

package design

import (
	"github.com/tcsim/tcsim/jit/emit"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/x86"
)

// rework is the design of 5.10 to 6.11: the frame is taken down before a tail call, the count
// travels in rax by value. It has two names: rework-5.10 (ebf7d1f508a7, e411901c0b77) and rework-6.7
// (2b5dcb31a19a), which changed only what trampolines do. The code of programs is the same.
//
//	rbp+8     return address
//	rbp       saved rbp
//	rbp-sd    stack of the program, sd bytes rounded up to 8
//	rbp-sd-8  tail_call_cnt: pushed rax, used as the dword at rbp-sd-4   (if reachable)
//	          rbx, r13, r14, r15 as used                                 <- rsp
//
// Derived from arch/x86/net/bpf_jit_comp.c of 5.10.223 and 6.1: emit_prologue,
// emit_bpf_tail_call_indirect, emit_bpf_tail_call_direct.
type rework struct{}

func (rework) traits() Traits {
	return Traits{
		Name: "rework-5.10", Kernel: kernels.Rework510, Source: "5.10 to 6.6 (ebf7d1f508a7, e411901c0b77)", Evidence: ByCapture,
		Counting: CountByValue, Empty: EmptyCounts, Handover: HandCount, Boundary: BoundaryNone,
		Shape: Shape{Reused: No, Hook: Yes, Counter: CounterPlace{CounterStack, image.CounterValue, 4, -4}, Exit: ExitPlain},
	}
}

func (rework) Landing(t *emit.Config) image.CodeOff {
	if t.Emit.ENDBR {
		return 11 + emit.ENDBRSize
	}
	return 11
}

func (rework) Prologue(e *emit.Writer) {
	f := e.Func
	// The place that a trampoline patches, then the initial count or filler.
	e.Nop(5) // 0f 1f 44 00 00
	if f.Reachable && !f.Sub {
		e.Xor32MR(x86.R(x86.RAX), x86.RAX) // 31 c0
	} else {
		e.Nop(2) // 66 90
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
		e.Push64O(x86.RAX) // 50
	}
	e.PushSaved()
}

func (rework) Reload(e *emit.Writer) {
	depth := e.Func.Depth
	if e.Func.Config.Emit.UnroundedReload {
		depth = e.Func.Info.StackDepth
	}
	e.Mov64RM(x86.RAX, x86.M32(x86.RBP, -depth-8)) // 48 8b 85 disp32
}

// refuse compares the count with the limit and jumps to out if it is reached: until 5.16 the
// kernel compares with one less and tests for above (MAX_TAIL_CALL_CNT was 32).
func (rework) refuse(e *emit.Writer, s *image.TailCallSite) {
	limit := int8(e.Func.Config.Limit)
	e.Mov32RM(x86.RAX, x86.M32(x86.RBP, -4-e.Func.Depth)) // 8b 85 disp32
	if e.Func.Config.Emit.LimitAbove {
		e.Cmp32MI8(x86.R(x86.RAX), limit-1) // 83 f8 20
		s.Limit = e.JumpOut(x86.FormJaD8)
	} else {
		e.Cmp32MI8(x86.R(x86.RAX), limit) // 83 f8 21
		s.Limit = e.JumpOut(x86.FormJaeD8)
	}
}

// bump adds one to the count.
func (rework) bump(e *emit.Writer, s *image.TailCallSite) {
	e.Add32MI8(x86.R(x86.RAX), 1) // 83 c0 01
	s.Bump = image.CodeOff(e.Len())
	e.Mov32MR(x86.M32(x86.RBP, -4-e.Func.Depth), x86.RAX) // 89 85 disp32
}

// unwind takes the frame down to the saved rbp.
func (rework) unwind(e *emit.Writer, s *image.TailCallSite) {
	s.Unwind = image.CodeOff(e.Len())
	e.PopSaved()
	e.Pop64O(x86.RAX) // 58
	if e.Func.Depth != 0 {
		e.Add64MI32(x86.R(x86.RSP), e.Func.Depth) // 48 81 c4 sd
	}
}

func (r rework) Indirect(e *emit.Writer, s *image.TailCallSite) error {
	offs := &e.Func.Config.Offsets
	// if (index >= array->map.max_entries) goto out; rsi is the array, edx the index.
	e.Mov32MR(x86.R(x86.RDX), x86.RDX)                            // 89 d2
	e.Cmp32MR(x86.M8(x86.RSI, int8(offs.MapMaxEntries)), x86.RDX) // 39 56 xx
	s.Bounds = e.JumpOut(x86.FormJbeD8)

	// if (tail_call_cnt++ >= limit) goto out;
	r.refuse(e, s)
	r.bump(e, s)

	// prog = array->ptrs[index]; if (!prog) goto out;
	e.Mov64RM(x86.RCX, x86.X32(x86.RSI, x86.RDX, 8, offs.ArrayPtrs)) // 48 8b 8c d6 disp32
	e.Test64MR(x86.R(x86.RCX), x86.RCX)                              // 48 85 c9
	s.Null = e.JumpOut(x86.FormJeD8)

	r.unwind(e, s)

	// goto *(prog->bpf_func + landing);
	e.Mov64RM(x86.RCX, x86.M8(x86.RCX, int8(offs.ProgBPFFunc))) // 48 8b 49 xx
	e.Add64MI8(x86.R(x86.RCX), int8(r.Landing(e.Func.Config)))  // 48 83 c1 xx
	if err := e.JumpRCX(s); err != nil {
		return err
	}
	e.Out()
	return nil
}

func (r rework) Direct(e *emit.Writer, s *image.TailCallSite) error {
	// if (tail_call_cnt++ >= limit) goto out;
	r.refuse(e, s)
	r.bump(e, s)

	// While the slot is empty this jumps to out; poked to a nop when it is filled.
	e.Bypass(s)

	r.unwind(e, s)

	// Poked to a jump to the landing of the program in the slot.
	s.Jump = image.CodeOff(e.Len())
	e.Nop(5)
	e.Out()
	return nil
}

func (rework) Epilogue(e *emit.Writer) {
	e.PopSaved()
	e.Leave() // c9
}

func (rework) Poke(p *emit.PokePlan, s image.PokeSite, old, new image.Addr) {
	emit.PokeBypass(p, s, old, new)
}

func (r rework) Frame(f *emit.Func) image.Frame {
	b := emit.NewFrame(f)
	b.Landing = r.Landing(f.Config)
	if f.Reachable {
		b.Push(image.SlotTailCallCnt)
		b.Frame.Counter = image.Counter{Form: image.CounterValue, Off: -f.Depth - 4, Size: 4}
	}
	return b.Done()
}

// rework67 is rework of kernels whose trampolines keep the count. From 6.7 on these have exceptions: the main program of
// one that throws saves r12 and all of rbx, r13, r14, r15 (arch/x86/net/bpf_jit_comp.c of 6.8.1, 6.11.11).
type rework67 struct{ rework }

func (r rework67) traits() Traits {
	t := r.rework.traits()
	t.Name, t.Kernel, t.Source = "rework-6.7", kernels.Rework67, "6.7 to 6.11, and 6.1 stable (2b5dcb31a19a)"
	t.Boundary = BoundarySaves
	return t
}
