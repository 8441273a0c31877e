// SPDX-License-Identifier: GPL-2.0-only

package verify

import (
	"errors"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/verify/holds"
)

// makesArena reports whether arithmetic in a program with an arena gives an address in it: a cast, or
// anything that is done to such an address. In its rewritten form a cast is a 32-bit move; other
// numbers that such a move gives are not used as addresses.
func (x *explorer) makesArena(in bpf.Insn, dst *holds.Value) bool {
	if in.Op&0xf0 != bpf.ALUMov {
		return dst.Typed == holds.InArena && (x.submitted || in.Class() == bpf.ClassALU)
	}
	if x.submitted {
		return in.Op&bpf.SrcReg != 0 && in.Off == bpf.AddrSpaceCast && in.Imm == bpf.CastKernelImm
	}
	return in.Op&bpf.SrcReg != 0 && in.Off == 0 && in.Class() == bpf.ClassALU
}

// widthOf notes whether 64-bit arithmetic is on an address in an arena, which is 32 bits wide: such an instruction has one on
// all paths (adjust_reg_min_max_vals). Without an arena nothing becomes such an address (check_alu_op).
func (x *explorer) widthOf(s *state, in bpf.Insn) error {
	if x.submitted && !x.arena && in.Op == bpf.OpMovReg && in.Off == bpf.AddrSpaceCast {
		return errors.New("addr_space_cast insn can only be used in a program that has an associated arena")
	}
	if !x.arena || in.Class() != bpf.ClassALU64 || in.Op&0xf0 == bpf.ALUMov {
		return nil
	}
	f := s.top()
	arena := f.regs[in.Dst].Typed == holds.InArena || in.Op&bpf.SrcReg != 0 && x.submitted && f.regs[in.Src].Typed == holds.InArena
	if x.judges() && x.rules.SameArena && x.visitedAs[s.pc] != 0 && (x.visitedAs[s.pc] == 2) != arena {
		return errors.New("same insn cannot be used with and without arena pointer")
	}
	if x.visitedAs[s.pc] = 1; arena {
		x.visitedAs[s.pc], x.narrow[s.pc] = 2, true
	}
	return nil
}
