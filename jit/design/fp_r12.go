// SPDX-License-Identifier: GPL-2.0-only

package design

import (
	"github.com/tcsim/tcsim/jit/emit"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// fpR12 is patch 6/9 of the June 2019 series: rbp is a real frame pointer, the program's frame
// pointer is r12, so every access through it takes a SIB byte. Refused because r12 is reserved.
//
//	rbp+8      return address
//	rbp        saved rbp
//	rbp-8      r15
//	rbp-16     r14
//	rbp-24     r13
//	rbp-32     r12
//	rbp-40     rbx
//	rbp-48     tail_call_cnt, used as the dword at rbp-44    <- r12
//	rbp-48-sd  stack of the program, sd bytes rounded up to 8 <- rsp
//
// Derived from a description of the patch: emit_prologue, emit_epilogue, emit_bpf_tail_call.
type fpR12 struct{ oneFrame }

func (fpR12) traits() Traits {
	return Traits{
		Name: "fp-r12", Source: "patch 6/9 of June 2019", Evidence: BySource,
		Counting: CountInvocation, Empty: EmptyCounts, Handover: HandFrame, Boundary: BoundaryNone,
		Shape: Shape{Reused: Yes, Hook: No, Counter: CounterPlace{CounterRBP, image.CounterValue, 4, fpR12Counter}},
	}
}

const fpR12Counter = -44

// Landing is PROLOGUE_SIZE.
func (fpR12) Landing(*emit.Config) image.CodeOff { return 25 }

// fp maps BPF_REG_FP in reg2hex.
func (fpR12) FP() (x86.Reg, int32) { return x86.R12, 0 }

func (fpR12) Prologue(e *emit.Writer) {
	e.Push64O(x86.RBP)                 // 55
	e.Mov64MR(x86.R(x86.RBP), x86.RSP) // 48 89 e5
	e.Push64O(x86.R15)                 // 41 57
	e.Push64O(x86.R14)                 // 41 56
	e.Push64O(x86.R13)                 // 41 55
	e.Push64O(x86.R12)                 // 41 54
	e.Push64O(x86.RBX)                 // 53

	// tail_call_cnt = 0;
	e.PushI8(0) // 6a 00

	e.Mov64MR(x86.R(x86.R12), x86.RSP)        // 49 89 e4
	e.Sub64MI32(x86.R(x86.RSP), e.Func.Depth) // 48 81 ec sd

	// Tail calls land here.
}

func (r fpR12) Indirect(e *emit.Writer, s *image.TailCallSite) error {
	return oneFrameTailCall(e, s, emit.Mem(x86.RBP, fpR12Counter), r.Landing(e.Func.Config))
}

func (fpR12) Epilogue(e *emit.Writer) {
	e.Lea64RM(x86.RSP, x86.M8(x86.RBP, -40)) // 48 8d 65 d8
	e.Pop64O(x86.RBX)                        // 5b
	e.Pop64O(x86.R12)                        // 41 5c
	e.Pop64O(x86.R13)                        // 41 5d
	e.Pop64O(x86.R14)                        // 41 5e
	e.Pop64O(x86.R15)                        // 41 5f
	e.Pop64O(x86.RBP)                        // 5d
}

func (r fpR12) Frame(f *emit.Func) image.Frame {
	b := emit.NewReusedFrame(f, 8)
	b.Save(x86.RBP, x86.R15, x86.R14, x86.R13, x86.R12, x86.RBX)
	b.Counter()
	b.Stack(f.Depth)
	return b.Reused(r.Landing(f.Config), x86.R15, x86.R14, x86.R13, x86.R12, x86.RBX)
}
