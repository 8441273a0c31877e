// SPDX-License-Identifier: GPL-2.0-only

package design

import (
	"fmt"

	"github.com/tcsim/tcsim/jit/emit"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/x86"
)

// oneFrame is what the designs before 5.10 have in common: a tail call jumps after the prologue of
// its target, which goes on in the frame of the caller. The count stays where it is in that frame,
// so nothing is handed over and calls need no preparation. It all rests on the verifier's giving
// every program with a tail call the largest stack (Verifier.TailCallDepth).
type oneFrame struct{}

func (oneFrame) Reload(*emit.Writer) {}

// Direct and poke are those of the kernels before 5.5, which had no direct tail calls.
func (oneFrame) Direct(*emit.Writer, *image.TailCallSite) error {
	return fmt.Errorf("direct tail call (5.5 and later): %w", kernels.ErrUnsupported)
}

func (oneFrame) Poke(*emit.PokePlan, image.PokeSite, image.Addr, image.Addr) {}

// oneFrameTailCall is emit_bpf_tail_call of 4.2 to 5.9 (emit_bpf_tail_call_indirect since 5.5). Since
// 4.14 only two things changed: counter is where the count is, and landing the size of the prologue. The kernel computes the distances of the jumps; the labels give
// the same.
func oneFrameTailCall(e *emit.Writer, s *image.TailCallSite, counter x86.RM, landing image.CodeOff) error {
	offs := &e.Func.Config.Offsets
	// if (index >= array->map.max_entries) goto out; rsi is the array, edx the index.
	if e.Func.Config.Emit.WideBounds {
		e.Mov64RM(x86.RAX, x86.M8(x86.RSI, int8(offs.MapMaxEntries))) // 48 8b 46 xx
		e.Cmp64MR(x86.R(x86.RAX), x86.RDX)                            // 48 39 d0
	} else {
		e.Mov32MR(x86.R(x86.RDX), x86.RDX)                            // 89 d2
		e.Cmp32MR(x86.M8(x86.RSI, int8(offs.MapMaxEntries)), x86.RDX) // 39 56 xx
	}
	s.Bounds = e.JumpOut(x86.FormJbeD8)

	// if (tail_call_cnt > MAX_TAIL_CALL_CNT) goto out; tail_call_cnt++;
	oneFrameCount(e, s, counter)

	// prog = array->ptrs[index]; if (!prog) goto out;
	slot := x86.X32(x86.RSI, x86.RDX, 8, offs.ArrayPtrs)
	if e.Func.Config.Emit.SlotByLea {
		e.Lea64RM(x86.RAX, slot)            // 48 8d 84 d6 disp32
		e.Mov64RM(x86.RAX, x86.M0(x86.RAX)) // 48 8b 00
		e.Cmp64MI8(x86.R(x86.RAX), 0)       // 48 83 f8 00
	} else {
		e.Mov64RM(x86.RAX, slot)            // 48 8b 84 d6 disp32
		e.Test64MR(x86.R(x86.RAX), x86.RAX) // 48 85 c0
	}
	s.Null = e.JumpOut(x86.FormJeD8)

	// goto *(prog->bpf_func + prologue_size);
	e.Mov64RM(x86.RAX, x86.M8(x86.RAX, int8(offs.ProgBPFFunc))) // 48 8b 40 xx
	e.Add64MI8(x86.R(x86.RAX), int8(landing))                   // 48 83 c0 xx
	if err := e.JumpReg(s, x86.RAX); err != nil {
		return err
	}
	e.Out()
	return nil
}

// oneFrameCount compares the count with MAX_TAIL_CALL_CNT, which was one less than the number of
// tail calls that pass, and adds one to it.
func oneFrameCount(e *emit.Writer, s *image.TailCallSite, counter x86.RM) {
	e.Mov32RM(x86.RAX, counter)                             // 8b 45 disp8 or 8b 85 disp32
	e.Cmp32MI8(x86.R(x86.RAX), int8(e.Func.Config.Limit)-1) // 83 f8 20
	s.Limit = e.JumpOut(x86.FormJaD8)                       // 77 xx
	e.Add32MI8(x86.R(x86.RAX), 1)                           // 83 c0 01
	s.Bump = image.CodeOff(e.Len())
	e.Mov32MR(counter, x86.RAX) // 89 45 disp8 or 89 85 disp32
}
