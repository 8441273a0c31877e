// SPDX-License-Identifier: GPL-2.0-only

package design

import (
	"github.com/tcsim/tcsim/jit/emit"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/x86"
)

// fp53 is the design of 5.3 and 5.4 (fe8d9571dc50), which ended the discussion of June 2019: rbp is
// a real frame pointer and the program's, everything else lies below the program's stack.
//
//	rbp+8      return address
//	rbp        saved rbp
//	rbp-sd     stack of the program, sd bytes rounded up to 8
//	rbp-sd-8   rbx
//	rbp-sd-16  r13
//	rbp-sd-24  r14
//	rbp-sd-32  r15
//	rbp-sd-40  tail_call_cnt, used as the dword at rbp-548   <- rsp
//
// Programs with a tail call have sd = 512, which the 548 counts on.
//
// Derived from descriptions of arch/x86/net/bpf_jit_comp.c of these kernels: emit_prologue,
// emit_bpf_tail_call, the exit of do_jit.
type fp53 struct{ oneFrame }

func (fp53) traits() Traits {
	return Traits{
		Name: "fp53", Kernel: kernels.FP53, Source: "5.3 and 5.4 (fe8d9571dc50)", Evidence: ByOwnSource,
		Counting: CountInvocation, Empty: EmptyCounts, Handover: HandFrame, Boundary: BoundaryNone,
		Shape: Shape{Reused: Yes, Hook: No, Counter: CounterPlace{CounterStack, image.CounterValue, 4, -36}, Setup: SetupReserves},
	}
}

// fp53Counter is -36 - MAX_BPF_STACK, whatever the depth.
const fp53Counter = -36 - 512

// Landing is PROLOGUE_SIZE.
func (fp53) Landing(*emit.Config) image.CodeOff { return 20 }

func (fp53) Prologue(e *emit.Writer) {
	e.Push64O(x86.RBP)                        // 55
	e.Mov64MR(x86.R(x86.RBP), x86.RSP)        // 48 89 e5
	e.Sub64MI32(x86.R(x86.RSP), e.Func.Depth) // 48 81 ec sd
	e.Push64O(x86.RBX)                        // 53
	e.Push64O(x86.R13)                        // 41 55
	e.Push64O(x86.R14)                        // 41 56
	e.Push64O(x86.R15)                        // 41 57

	// tail_call_cnt = 0;
	e.PushI8(0) // 6a 00

	// Tail calls land here.
}

func (p fp53) Indirect(e *emit.Writer, s *image.TailCallSite) error {
	return oneFrameTailCall(e, s, emit.Mem(x86.RBP, fp53Counter), p.Landing(e.Func.Config))
}

func (fp53) Epilogue(e *emit.Writer) {
	e.Pop64O(x86.RBX) // 5b, tail_call_cnt
	e.Pop64O(x86.R15) // 41 5f
	e.Pop64O(x86.R14) // 41 5e
	e.Pop64O(x86.R13) // 41 5d
	e.Pop64O(x86.RBX) // 5b
	e.Leave()         // c9
}

func (p fp53) Frame(f *emit.Func) image.Frame {
	b := emit.NewReusedFrame(f, 8)
	b.Save(x86.RBP)
	b.Stack(f.Depth)
	b.Save(x86.RBX, x86.R13, x86.R14, x86.R15)
	b.Counter()
	return b.Reused(p.Landing(f.Config), x86.RBX, x86.R13, x86.R14, x86.R15)
}
