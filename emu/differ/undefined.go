// SPDX-License-Identifier: GPL-2.0-only

package differ

import (
	"math/bits"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/jit/x86"
)

// Bits of the flags register.
const (
	flagCF = 1 << 0
	flagPF = 1 << 2
	flagAF = 1 << 4
	flagZF = 1 << 6
	flagSF = 1 << 7
	flagDF = 1 << 10
	flagOF = 1 << 11

	statusFlags = flagCF | flagPF | flagAF | flagZF | flagSF | flagOF
)

// undefined are the flags that instructions leave undefined (Intel SDM vol. 1, appendix A), but for shifts
// and rotations, where it depends on the count.
var undefined = map[string]uint64{
	"and": flagAF, "or": flagAF, "xor": flagAF, "test": flagAF,
	"mul": flagSF | flagZF | flagAF | flagPF, "imul": flagSF | flagZF | flagAF | flagPF,
	"div": statusFlags, "idiv": statusFlags,
	"bsf": statusFlags &^ flagZF, "bsr": statusFlags &^ flagZF,
	"tzcnt": flagOF | flagSF | flagPF | flagAF, "lzcnt": flagOF | flagSF | flagPF | flagAF,
	"bt": flagOF | flagSF | flagAF | flagPF, "bts": flagOF | flagSF | flagAF | flagPF,
	"btr": flagOF | flagSF | flagAF | flagPF, "btc": flagOF | flagSF | flagAF | flagPF,
	"andn": flagAF | flagPF, "bextr": flagAF | flagSF | flagPF, "bzhi": flagAF | flagPF,
	"blsr": flagAF | flagPF, "blsi": flagAF | flagPF, "blsmsk": flagAF | flagPF,
}

// undefinedFlags is what an instruction leaves undefined of the flags.
func undefinedFlags(v *Variant, in *emu.CPU) uint64 {
	i := &v.Inst
	switch i.Op {
	case "shl", "shr", "sar", "sal", "shld", "shrd":
		n := count(v, in)
		switch {
		case n == 0:
			return 0
		case n >= uint64(i.OpBits):
			return flagAF | flagOF | flagCF
		case n == 1:
			return flagAF
		}
		return flagAF | flagOF
	case "rol", "ror", "rcl", "rcr":
		if n := count(v, in); n > 1 {
			return flagOF
		}
		return 0
	}
	return undefined[i.Op]
}

// count is by how much a shift shifts.
func count(v *Variant, in *emu.CPU) uint64 {
	i := &v.Inst
	n := in.Regs[x86.RCX]
	if imm, ok := i.Imm(); ok {
		n = uint64(imm)
	} else if op := v.Form.op[0]; op == 0xd0 || op == 0xd1 {
		n = 1
	}
	if i.OpBits == 64 {
		return n & 63
	}
	return n & 31
}

// undefinedResult says that a register holds nothing defined: bsf and bsr of 0 have no result.
func undefinedResult(v *Variant, in *emu.CPU, r x86.Reg) bool {
	i := &v.Inst
	if i.Op != "bsf" && i.Op != "bsr" || i.Operands[0].Reg != r {
		return false
	}
	src := i.Operands[1]
	if src.Kind != x86.OpReg {
		return true
	}
	return bits.Len64(in.Regs[src.Reg]&(uint64(1)<<(i.OpBits-1)<<1-1)) == 0
}
