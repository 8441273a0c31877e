// SPDX-License-Identifier: GPL-2.0-only

package verify

import "github.com/tcsim/tcsim/jit/bpf"

// makesArena reports whether arithmetic in a program with an arena gives an address in it: a cast, or
// anything that is done to such an address. In its rewritten form a cast is a 32-bit move; other
// numbers that such a move gives are not used as addresses.
func (x *explorer) makesArena(in bpf.Insn, dst *value) bool {
	if in.Op&0xf0 != bpf.ALUMov {
		return dst.typed == inArena && (x.submitted || in.Class() == bpf.ClassALU)
	}
	if x.submitted {
		return in.Op&bpf.SrcReg != 0 && in.Off == bpf.AddrSpaceCast && in.Imm == bpf.CastKernelImm
	}
	return in.Op&bpf.SrcReg != 0 && in.Off == 0 && in.Class() == bpf.ClassALU
}
