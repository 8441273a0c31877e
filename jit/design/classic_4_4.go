// SPDX-License-Identifier: GPL-2.0-only

package design

import (
	"github.com/tcsim/tcsim/jit/emit"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/x86"
)

// classic is the design of the first kernels with tail calls, in the form of 4.4 to 4.12
// (b52f00e6a715 without its xor r13, r13): every frame has the same size.
//
//	rbp+8    return address
//	rbp      saved rbp
//	rbp-512  stack of the program, always 512 bytes
//	rbp-520  tail_call_cnt, used as the dword at rbp-516
//	rbp-528  r15
//	rbp-536  r14
//	rbp-544  r13
//	rbp-552  rbx                                             <- rsp
//
// Derived from descriptions of arch/x86/net/bpf_jit_comp.c of these kernels: emit_prologue,
// emit_bpf_tail_call, the exit of do_jit.
type classic struct{ oneFrame }

func (classic) traits() Traits {
	return Traits{
		Name: "classic-4.4", Kernel: kernels.Classic44, Source: "4.5 to 4.12 (b52f00e6a715)", Evidence: ByOwnSource,
		Counting: CountInvocation, Empty: EmptyCounts, Handover: HandFrame, Boundary: BoundaryNone,
		Shape: Shape{Reused: Yes, Hook: No, Counter: CounterPlace{CounterRBP, image.CounterValue, 4, classicCounter}},
	}
}

const (
	classicStack   = 512 + 32 + 8 // STACKSIZE: MAX_BPF_STACK, four registers, tail_call_cnt
	classicCounter = -516
)

// Landing is PROLOGUE_SIZE.
func (classic) Landing(t *emit.Config) image.CodeOff {
	if t.Emit.ClearR13 {
		return 51
	}
	return 48
}

func (classic) Prologue(e *emit.Writer) {
	e.Push64O(x86.RBP)                         // 55
	e.Mov64MR(x86.R(x86.RBP), x86.RSP)         // 48 89 e5
	e.Sub64MI32(x86.R(x86.RSP), classicStack)  // 48 81 ec 28 02 00 00
	e.Mov64MR(x86.M32(x86.RBP, -552), x86.RBX) // 48 89 9d d8 fd ff ff
	e.Mov64MR(x86.M32(x86.RBP, -544), x86.R13) // 4c 89 ad e0 fd ff ff
	e.Mov64MR(x86.M32(x86.RBP, -536), x86.R14) // 4c 89 b5 e8 fd ff ff
	e.Mov64MR(x86.M32(x86.RBP, -528), x86.R15) // 4c 89 bd f0 fd ff ff

	// tail_call_cnt = 0;
	e.Xor32MR(x86.R(x86.RAX), x86.RAX) // 31 c0
	if e.Func.Config.Emit.ClearR13 {
		e.Xor64MR(x86.R(x86.R13), x86.R13) // 4d 31 ed
	}
	e.Mov64MR(x86.M32(x86.RBP, -520), x86.RAX) // 48 89 85 f8 fd ff ff

	// Tail calls land here.
}

func (c classic) Indirect(e *emit.Writer, s *image.TailCallSite) error {
	return oneFrameTailCall(e, s, emit.Mem(x86.RBP, classicCounter), c.Landing(e.Func.Config))
}

func (classic) Epilogue(e *emit.Writer) {
	e.Mov64RM(x86.RBX, x86.M32(x86.RBP, -552)) // 48 8b 9d d8 fd ff ff
	e.Mov64RM(x86.R13, x86.M32(x86.RBP, -544)) // 4c 8b ad e0 fd ff ff
	e.Mov64RM(x86.R14, x86.M32(x86.RBP, -536)) // 4c 8b b5 e8 fd ff ff
	e.Mov64RM(x86.R15, x86.M32(x86.RBP, -528)) // 4c 8b bd f0 fd ff ff
	e.Leave()                                  // c9
}

func (c classic) Frame(f *emit.Func) image.Frame {
	b := emit.NewReusedFrame(f, 8)
	b.Save(x86.RBP)
	b.Stack(512)
	b.Counter()
	b.Save(x86.R15, x86.R14, x86.R13, x86.RBX)
	return b.Reused(c.Landing(f.Config), x86.RBX, x86.R13, x86.R14, x86.R15)
}
