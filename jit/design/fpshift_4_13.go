// SPDX-License-Identifier: GPL-2.0-only

package design

import (
	"github.com/tcsim/tcsim/jit/emit"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/x86"
)

// fpshift is the design of 4.13 to 5.2 (177366bf7ceb): the stack of a program has the size that it
// needs, and rbp, which is the program's frame pointer, is 40 below the real frame. Unwinders that
// follow rbp get lost.
//
//	rbp+48  return address
//	rbp+40  saved rbp
//	rbp+32  tail_call_cnt, used as the dword at rbp+36
//	rbp+24  r15
//	rbp+16  r14
//	rbp+8   r13
//	rbp     rbx
//	rbp-sd  stack of the program, sd bytes rounded up to 8   <- rsp
//
// Derived from descriptions of arch/x86/net/bpf_jit_comp.c of these kernels: emit_prologue,
// emit_bpf_tail_call, the exit of do_jit.
type fpshift struct{ oneFrame }

func (fpshift) traits() Traits {
	return Traits{
		Name: "fpshift-4.13", Kernel: kernels.FPShift413, Source: "4.13 to 5.2 (177366bf7ceb)", Evidence: ByOwnSource,
		Counting: CountInvocation, Empty: EmptyCounts, Handover: HandFrame, Boundary: BoundaryNone,
		Faults: []Fault{{"backtrace", ShownByGraphs, "rbp is moved down after it was linked, which breaks the chain of frames"}},
		Shape:  Shape{Reused: Yes, Hook: No, Counter: CounterPlace{CounterRBP, image.CounterValue, 4, fpshiftCounter}},
	}
}

const (
	fpshiftAux     = 40 // AUX_STACK_SPACE: four registers and tail_call_cnt
	fpshiftCounter = 36 // addressed with 32 bits
)

// Landing is PROLOGUE_SIZE.
func (fpshift) Landing(*emit.Config) image.CodeOff { return 37 }

func (fpshift) Prologue(e *emit.Writer) {
	e.Push64O(x86.RBP)                                   // 55
	e.Mov64MR(x86.R(x86.RBP), x86.RSP)                   // 48 89 e5
	e.Sub64MI32(x86.R(x86.RSP), e.Func.Depth+fpshiftAux) // 48 81 ec sd+40
	e.Sub64MI8(x86.R(x86.RBP), fpshiftAux)               // 48 83 ed 28
	e.Mov64MR(x86.M8(x86.RBP, 0), x86.RBX)               // 48 89 5d 00
	e.Mov64MR(x86.M8(x86.RBP, 8), x86.R13)               // 4c 89 6d 08
	e.Mov64MR(x86.M8(x86.RBP, 16), x86.R14)              // 4c 89 75 10
	e.Mov64MR(x86.M8(x86.RBP, 24), x86.R15)              // 4c 89 7d 18

	// tail_call_cnt = 0;
	e.Xor32MR(x86.R(x86.RAX), x86.RAX)      // 31 c0
	e.Mov64MR(x86.M8(x86.RBP, 32), x86.RAX) // 48 89 45 20

	// Tail calls land here.
}

func (s fpshift) Indirect(e *emit.Writer, site *image.TailCallSite) error {
	return oneFrameTailCall(e, site, x86.M32(x86.RBP, fpshiftCounter), s.Landing(e.Func.Config))
}

func (fpshift) Epilogue(e *emit.Writer) {
	e.Mov64RM(x86.RBX, x86.M8(x86.RBP, 0))  // 48 8b 5d 00
	e.Mov64RM(x86.R13, x86.M8(x86.RBP, 8))  // 4c 8b 6d 08
	e.Mov64RM(x86.R14, x86.M8(x86.RBP, 16)) // 4c 8b 75 10
	e.Mov64RM(x86.R15, x86.M8(x86.RBP, 24)) // 4c 8b 7d 18
	e.Add64MI8(x86.R(x86.RBP), fpshiftAux)  // 48 83 c5 28
	e.Leave()                               // c9
}

func (s fpshift) Frame(f *emit.Func) image.Frame {
	b := emit.NewReusedFrame(f, 48)
	b.Save(x86.RBP)
	b.Counter()
	b.Save(x86.R15, x86.R14, x86.R13, x86.RBX)
	b.Stack(f.Depth)
	return b.Reused(s.Landing(f.Config), x86.RBX, x86.R13, x86.R14, x86.R15)
}
