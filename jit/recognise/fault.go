// SPDX-License-Identifier: GPL-2.0-only

package recognise

import (
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// faults returns the instructions of the body that may fault: accesses through r12, which only
// arenas use, and loads after a check of their address. Of kernels that do not check (until 5.11)
// the code does not show which loads may fault.
func (r *recogniser) faults() []image.FaultSite {
	var sites []image.FaultSite
	for i := r.pro.end; i < len(r.insns); i++ {
		in := &r.insns[i]
		if !in.HasMem || !in.Load && !in.Store || !r.inArena(in) && !r.checked(i) {
			continue
		}
		s := image.FaultSite{Off: r.off(i), Next: r.off(i + 1), Clear: x86.RegNone}
		if o := &in.Operands[0]; in.Load && !in.Store && o.Kind == x86.OpReg {
			s.Clear = o.Reg
		}
		sites = append(sites, s)
	}
	return sites
}

// inArena reports whether the address is an offset from the arena's base.
func (r *recogniser) inArena(in *x86.Inst) bool { return in.Mem.Index == x86.R12 && in.Mem.Scale == 1 }

// checked reports whether load i is what probeLimit and probeOneLine jump to; r11 is no program's.
//
//	cmp r11, r10 or add r11, off; ja or jae load; xor dst, dst; jmp after; load: ...
func (r *recogniser) checked(i int) bool {
	if i < 4 || !r.insns[i].Load || r.insns[i].Store || r.insns[i].Operands[0].Kind != x86.OpReg {
		return false
	}
	in, jump, clear, cond, test := &r.insns[i], &r.insns[i-1], &r.insns[i-2], &r.insns[i-3], &r.insns[i-4]
	return jump.Branch == x86.BranchJump && jump.Target == in.Next() &&
		clear.ZeroIdiom && clear.Operands[0].Reg == in.Operands[0].Reg &&
		cond.Branch == x86.BranchCond && cond.Target == in.PC &&
		test.Operands[0].Kind == x86.OpReg && test.Operands[0].Reg == x86.R11
}
