// SPDX-License-Identifier: GPL-2.0-only

package design

import (
	"github.com/tcsim/tcsim/jit/emit"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// fp40 is the patch of the June 2019 mail that tries to do without r12: rbp is a real frame
// pointer, and the program's frame pointer is rbp - 40 wherever the JIT sees that it is meant.
//
//	rbp+8      return address
//	rbp        saved rbp
//	rbp-8      r15
//	rbp-16     r14
//	rbp-24     r13
//	rbp-32     rbx
//	rbp-40     tail_call_cnt, used as the dword at rbp-36    <- what r10 should be
//	rbp-40-sd  stack of the program, sd bytes rounded up to 8 <- rsp
//
// It sees it in the offset of a load or store that names r10, as base or as the stored value, and
// in a move from r10. So it is wrong where r10 is stored (rbp is, and if the base is another
// register, 40 bytes too low) and where it is an operand of arithmetic or a comparison.
//
// Derived from the patch in the mail: offset, emit_prologue, emit_epilogue, emit_bpf_tail_call,
// emit_mov_reg.
type fp40 struct{ oneFrame }

func (fp40) traits() Traits {
	return Traits{
		Name: "fp40", Source: "patch in a mail of June 2019 (BPF_REG_FP is rbp - 40)", Evidence: BySource,
		Counting: CountInvocation, Empty: EmptyCounts, Handover: HandFrame, Boundary: BoundaryNone,
		Faults: []Fault{
			{"frame", ShownByProgram, "a stored r10 is rbp, which is 40 bytes too high"},
			{"semantics", ShownByProgram, "r10 in arithmetic or a comparison is rbp, which is 40 bytes too high"},
		},
		Shape: Shape{Reused: Yes, Hook: No, Counter: CounterPlace{CounterRBP, image.CounterValue, 4, fp40Counter}, Setup: SetupOther},
	}
}

const fp40Counter = -36

// Landing is PROLOGUE_SIZE.
func (fp40) Landing(*emit.Config) image.CodeOff { return 20 }

// FP is what the patch's offset and emit_mov_reg take off.
func (fp40) FP() (x86.Reg, int32) { return x86.RBP, -40 }

func (fp40) Prologue(e *emit.Writer) {
	e.Push64O(x86.RBP)                 // 55
	e.Mov64MR(x86.R(x86.RBP), x86.RSP) // 48 89 e5
	e.Push64O(x86.R15)                 // 41 57
	e.Push64O(x86.R14)                 // 41 56
	e.Push64O(x86.R13)                 // 41 55
	e.Push64O(x86.RBX)                 // 53

	// tail_call_cnt = 0;
	e.PushI8(0) // 6a 00

	e.Sub64MI32(x86.R(x86.RSP), e.Func.Depth) // 48 81 ec sd

	// Tail calls land here.
}

func (p fp40) Indirect(e *emit.Writer, s *image.TailCallSite) error {
	return oneFrameTailCall(e, s, emit.Mem(x86.RBP, fp40Counter), p.Landing(e.Func.Config))
}

func (fp40) Epilogue(e *emit.Writer) {
	e.Lea64RM(x86.RSP, x86.M8(x86.RBP, -32)) // 48 8d 65 e0
	e.Pop64O(x86.RBX)                        // 5b
	e.Pop64O(x86.R13)                        // 41 5d
	e.Pop64O(x86.R14)                        // 41 5e
	e.Pop64O(x86.R15)                        // 41 5f
	e.Pop64O(x86.RBP)                        // 5d
}

func (p fp40) Frame(f *emit.Func) image.Frame {
	b := emit.NewReusedFrame(f, 8)
	b.Save(x86.RBP, x86.R15, x86.R14, x86.R13, x86.RBX)
	b.Counter()
	b.Stack(f.Depth)
	return b.Reused(p.Landing(f.Config), x86.R15, x86.R14, x86.R13, x86.RBX)
}
