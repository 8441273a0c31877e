// SPDX-License-Identifier: GPL-2.0-only

package jit

import (
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// The steps that every tail call since 5.10 has, in the proposals too
// (emit_bpf_tail_call_indirect, arch/x86/net/bpf_jit_comp.c). The shipped designs spell them out.

// withENDBR is a landing that a second endbr64 moves in IBT builds.
func withENDBR(t *Target, landing image.CodeOff) image.CodeOff {
	if t.Emit.ENDBR {
		return landing + endbrSize
	}
	return landing
}

// bounds is: if (index >= array->map.max_entries) goto out; rsi is the array, edx the index.
func (e *emitter) bounds(s *image.TailCallSite, label int) {
	e.Mov32MR(reg(x86.RDX), x86.RDX)                                         // 89 d2
	e.Cmp32MR(x86.M8(x86.RSI, int8(e.f.c.t.Offsets.MapMaxEntries)), x86.RDX) // 39 56 xx
	s.Bounds = e.jumpLabel(x86.FormJbeD8, label)
}

// loadProg is: prog = array->ptrs[index]; if (!prog) goto out; prog is rcx.
func (e *emitter) loadProg(s *image.TailCallSite, label int) {
	e.Mov64RM(x86.RCX, x86.X32(x86.RSI, x86.RDX, 8, e.f.c.t.Offsets.ArrayPtrs)) // 48 8b 8c d6 disp32
	e.Test64MR(reg(x86.RCX), x86.RCX)                                           // 48 85 c9
	s.Null = e.jumpLabel(x86.FormJeD8, label)
}

// leaveIndirect is: goto *(prog->bpf_func + landing); the label out follows it.
func (e *emitter) leaveIndirect(s *image.TailCallSite, landing image.CodeOff) error {
	e.Mov64RM(x86.RCX, x86.M8(x86.RCX, int8(e.f.c.t.Offsets.ProgBPFFunc))) // 48 8b 49 xx
	e.Add64MI8(reg(x86.RCX), int8(landing))                                // 48 83 c1 xx
	if err := e.jumpRCX(s); err != nil {
		return err
	}
	e.f.indirectLabel = e.Len() - e.base
	return nil
}

// leaveDirect is the place that is poked to a jump to the landing of the program in the slot; the
// label out follows it.
func (e *emitter) leaveDirect(s *image.TailCallSite) {
	s.Jump = image.CodeOff(e.Len())
	e.Nop(5) // 0f 1f 44 00 00
	e.f.directLabel = e.Len() - e.base
}

// takeStack and giveStack are the frame's program stack, if it has one.
func (e *emitter) takeStack() {
	if e.f.depth != 0 {
		e.Sub64MI32(reg(x86.RSP), e.f.depth) // 48 81 ec sd
	}
}

func (e *emitter) giveStack() {
	if e.f.depth != 0 {
		e.Add64MI32(reg(x86.RSP), e.f.depth) // 48 81 c4 sd
	}
}

// pokeJump pokes the one place of a design in which no other instruction depends on it.
func pokeJump(p *pokePlan, s image.PokeSite, old, new image.Addr) {
	p.text(image.PartJump, s.Jump, old, new)
}
