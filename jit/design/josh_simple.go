// SPDX-License-Identifier: GPL-2.0-only

package design

import (
	"github.com/tcsim/tcsim/jit/emit"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// joshSimple is patch 4/9 of the June 2019 series that wanted frame pointers in programs: pushes
// and pops instead of moves. Its rbp is the program's frame pointer and still not a frame pointer
// that unwinders can follow.
//
//	rbp+48  return address
//	rbp+40  r15
//	rbp+32  r14
//	rbp+24  r13
//	rbp+16  saved rbp
//	rbp+8   rbx
//	rbp     tail_call_cnt, used as the dword at rbp+4
//	rbp-sd  stack of the program, sd bytes rounded up to 8   <- rsp
//
// Derived from the "-" lines of the patch that is mailed on top of it, which are this design:
// emit_prologue, emit_epilogue, emit_bpf_tail_call.
type joshSimple struct{ oneFrame }

func (joshSimple) traits() Traits {
	return Traits{
		Name: "josh-simple", Source: "patch 4/9 of June 2019, the \"-\" lines of the patch mailed on top of it", Evidence: BySource,
		Counting: CountInvocation, Empty: EmptyCounts, Handover: HandFrame, Boundary: BoundaryNone,
		Faults: []Fault{{"backtrace", ShownByGraphs, "rbp is moved down after it was linked, which breaks the chain of frames"}},
		Shape:  Shape{Reused: Yes, Hook: No, Counter: CounterPlace{CounterRBP, image.CounterValue, 4, joshSimpleCounter}},
	}
}

const joshSimpleCounter = 4

// Landing is PROLOGUE_SIZE.
func (joshSimple) Landing(*emit.Config) image.CodeOff { return 20 }

func (joshSimple) Prologue(e *emit.Writer) {
	e.Push64O(x86.R15) // 41 57
	e.Push64O(x86.R14) // 41 56
	e.Push64O(x86.R13) // 41 55
	e.Push64O(x86.RBP) // 55
	e.Push64O(x86.RBX) // 53

	// tail_call_cnt = 0;
	e.PushI8(0) // 6a 00

	e.Mov64MR(x86.R(x86.RBP), x86.RSP)        // 48 89 e5
	e.Sub64MI32(x86.R(x86.RSP), e.Func.Depth) // 48 81 ec sd

	// Tail calls land here.
}

func (j joshSimple) Indirect(e *emit.Writer, s *image.TailCallSite) error {
	return oneFrameTailCall(e, s, emit.Mem(x86.RBP, joshSimpleCounter), j.Landing(e.Func.Config))
}

func (joshSimple) Epilogue(e *emit.Writer) {
	e.Lea64RM(x86.RSP, x86.M8(x86.RBP, 8)) // 48 8d 65 08
	e.Pop64O(x86.RBX)                      // 5b
	e.Pop64O(x86.RBP)                      // 5d
	e.Pop64O(x86.R13)                      // 41 5d
	e.Pop64O(x86.R14)                      // 41 5e
	e.Pop64O(x86.R15)                      // 41 5f
}

func (j joshSimple) Frame(f *emit.Func) image.Frame {
	b := emit.NewReusedFrame(f, 48)
	b.Save(x86.R15, x86.R14, x86.R13, x86.RBP, x86.RBX)
	b.Counter()
	b.Stack(f.Depth)
	return b.Reused(j.Landing(f.Config), x86.R15, x86.R14, x86.R13, x86.RBX)
}
