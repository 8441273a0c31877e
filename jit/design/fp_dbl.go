// SPDX-License-Identifier: GPL-2.0-only

package design

import (
	"github.com/tcsim/tcsim/jit/emit"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// fpDbl is the idea of June 2019 (David Laight) that keeps the chain of frame pointers whole by a
// second frame in each program. To an unwinder tail_call_cnt is the second frame's return address.
//
//	rbp+56  return address
//	rbp+48  saved rbp
//	rbp+40  r15
//	rbp+32  r14
//	rbp+24  r13
//	rbp+16  rbx
//	rbp+8   tail_call_cnt, used as the dword at rbp+12
//	rbp     address of the saved rbp
//	rbp-sd  stack of the program, sd bytes rounded up to 8   <- rsp
//
// Derived from a description: emit_prologue, emit_epilogue, emit_bpf_tail_call.
type fpDbl struct{ oneFrame }

func (fpDbl) traits() Traits {
	return Traits{
		Name: "fp-dbl", Source: "idea of June 2019 (two frames)", Evidence: BySource,
		Counting: CountInvocation, Empty: EmptyCounts, Handover: HandFrame, Boundary: BoundaryNone,
		Shape: Shape{Reused: Yes, Hook: No, Counter: CounterPlace{CounterRBP, image.CounterValue, 4, fpDblCounter}},
	}
}

const fpDblCounter = 12

// Landing is PROLOGUE_SIZE.
func (fpDbl) Landing(*emit.Config) image.CodeOff { return 24 }

func (fpDbl) Prologue(e *emit.Writer) {
	e.Push64O(x86.RBP)                 // 55
	e.Mov64MR(x86.R(x86.RBP), x86.RSP) // 48 89 e5
	e.Push64O(x86.R15)                 // 41 57
	e.Push64O(x86.R14)                 // 41 56
	e.Push64O(x86.R13)                 // 41 55
	e.Push64O(x86.RBX)                 // 53

	// tail_call_cnt = 0;
	e.PushI8(0) // 6a 00

	// The second frame.
	e.Push64O(x86.RBP)                        // 55
	e.Mov64MR(x86.R(x86.RBP), x86.RSP)        // 48 89 e5
	e.Sub64MI32(x86.R(x86.RSP), e.Func.Depth) // 48 81 ec sd

	// Tail calls land here.
}

func (d fpDbl) Indirect(e *emit.Writer, s *image.TailCallSite) error {
	return oneFrameTailCall(e, s, emit.Mem(x86.RBP, fpDblCounter), d.Landing(e.Func.Config))
}

func (fpDbl) Epilogue(e *emit.Writer) {
	e.Leave()         // c9
	e.Pop64O(x86.RBX) // 5b, tail_call_cnt
	e.Pop64O(x86.RBX) // 5b
	e.Pop64O(x86.R13) // 41 5d
	e.Pop64O(x86.R14) // 41 5e
	e.Pop64O(x86.R15) // 41 5f
	e.Pop64O(x86.RBP) // 5d
}

func (d fpDbl) Frame(f *emit.Func) image.Frame {
	b := emit.NewReusedFrame(f, 56)
	b.Save(x86.RBP, x86.R15, x86.R14, x86.R13, x86.RBX)
	b.Counter()
	b.Push(image.SlotFrameLink)
	b.Stack(f.Depth)
	return b.Reused(d.Landing(f.Config), x86.R15, x86.R14, x86.R13, x86.RBX)
}
