// SPDX-License-Identifier: GPL-2.0-only

package design

import (
	"github.com/tcsim/tcsim/jit/emit"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/x86"
)

// directPoke is the design of 5.5 to 5.9 (428d5df1fa4f): the frame of 5.3 after a place for
// trampolines (fec56f5890d9), and tail calls with a constant key as one instruction that is poked.
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
// Derived from the listings in the commit message, which gives their bytes: emit_prologue,
// emit_bpf_tail_call_indirect, emit_bpf_tail_call_direct, the exit of do_jit.
type directPoke struct{ oneFrame }

func (directPoke) traits() Traits {
	return Traits{
		Name: "direct-poke", Kernel: kernels.DirectPoke, Source: "5.5 to 5.9, listings in the message of 428d5df1fa4f", Evidence: ByListing, Listings: []string{"", "inline-nodirect"},
		Counting: CountInvocation, Empty: EmptyCounts, Handover: HandFrame, Boundary: BoundaryNone,
		Shape: Shape{Reused: Yes, Hook: Yes, Counter: CounterPlace{CounterStack, image.CounterValue, 4, -36}, Setup: SetupReserves},
	}
}

// directPokeCounter is -36 - MAX_BPF_STACK, whatever the depth.
const directPokeCounter = -36 - 512

// Landing is X86_TAIL_CALL_OFFSET.
func (directPoke) Landing(*emit.Config) image.CodeOff { return 25 }

func (directPoke) Prologue(e *emit.Writer) {
	// The place that a trampoline patches.
	e.Nop(5) // 0f 1f 44 00 00

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

func (d directPoke) Indirect(e *emit.Writer, s *image.TailCallSite) error {
	return oneFrameTailCall(e, s, emit.Mem(x86.RBP, directPokeCounter), d.Landing(e.Func.Config))
}

func (directPoke) Direct(e *emit.Writer, s *image.TailCallSite) error {
	// if (tail_call_cnt > MAX_TAIL_CALL_CNT) goto out; tail_call_cnt++;
	oneFrameCount(e, s, emit.Mem(x86.RBP, directPokeCounter))

	// Poked to a jump to the landing of the program in the slot; falls through while that is empty.
	s.Jump = image.CodeOff(e.Len())
	e.Nop(5)
	e.Out()
	return nil
}

// Poke is prog_array_map_poke_run of these kernels (kernel/bpf/arraymap.c): nothing else depends on
// the instruction, so one change of it is all.
func (directPoke) Poke(p *emit.PokePlan, s image.PokeSite, old, new image.Addr) {
	p.Text(image.PartJump, s.Jump, old, new)
}

func (directPoke) Epilogue(e *emit.Writer) {
	e.Pop64O(x86.RBX) // 5b, tail_call_cnt
	e.Pop64O(x86.R15) // 41 5f
	e.Pop64O(x86.R14) // 41 5e
	e.Pop64O(x86.R13) // 41 5d
	e.Pop64O(x86.RBX) // 5b
	e.Leave()         // c9
}

func (d directPoke) Frame(f *emit.Func) image.Frame {
	b := emit.NewReusedFrame(f, 8)
	b.Save(x86.RBP)
	b.Stack(f.Depth)
	b.Save(x86.RBX, x86.R13, x86.R14, x86.R15)
	b.Counter()
	return b.Reused(d.Landing(f.Config), x86.RBX, x86.R13, x86.R14, x86.R15)
}
