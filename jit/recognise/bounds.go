// SPDX-License-Identifier: GPL-2.0-only

package recognise

import (
	"github.com/tcsim/tcsim/jit/x86"
)

// bounds looks for the comparison of the index with max_entries before the limit check, unless it stands after that.
func (r *recogniser) bounds(s *site) {
	i, _ := r.at(s.Start)
	if s.Direct || s.Bounds >= 0 {
		return
	}
	at := r.before(i, func(in *x86.Inst) bool { return !in.IsNop })
	if at < 0 {
		return
	}
	cmp := r.flagsOf(at)
	if to, ok := r.target(&r.insns[at]); !ok || r.insns[at].Branch != x86.BranchCond || to != s.End || cmp < 0 || r.insns[cmp].Op != "cmp" {
		return
	}
	s.Start = r.off(r.boundsAt(s, at))
}

// comparesIndex reports whether the conditional jump at position at sees a comparison of rdx with something that the code
// does not know.
func (r *recogniser) comparesIndex(at int) bool {
	cmp := r.flagsOf(at)
	if cmp < 0 || r.insns[cmp].Op != "cmp" {
		return false
	}
	test := &r.insns[cmp]
	_, imm := test.Imm()
	for _, o := range test.Ops() {
		if o.Kind == x86.OpReg && o.Reg == x86.RDX {
			return !imm
		}
	}
	return false
}

// boundsAt takes the conditional jump at position at for the one that skips indexes beyond the array, and returns the
// position of the first instruction that makes its comparison.
func (r *recogniser) boundsAt(s *site, at int) (first int) {
	cmp := r.flagsOf(at)
	test := &r.insns[cmp]
	s.Bounds, s.index = r.off(at), cmp
	if test.HasMem {
		s.offsets.MapMaxEntries = int32(test.Mem.Disp)
	}
	first = cmp
	for i := cmp - 1; i >= 0; i-- {
		in := &r.insns[i]
		trunc := in.Op == "mov" && in.OpBits == 32 && !in.HasMem && in.Operands[0].Reg == x86.RDX && in.Operands[1].Reg == x86.RDX &&
			in.Operands[1].Kind == x86.OpReg
		load := in.Op == "mov" && in.Load && in.Mem.Base == x86.RSI && !test.HasMem
		if !trunc && !load && !in.IsNop {
			break
		}
		switch {
		case in.IsNop:
			continue
		case load:
			s.offsets.MapMaxEntries = int32(in.Mem.Disp)
		default:
			s.cut = true
		}
		first = i
	}
	return first
}
