// SPDX-License-Identifier: GPL-2.0-only

package bpf

// regUse returns the registers that an instruction reads and writes.
func (i Insn) RegUse() (reads, writes uint16) {
	op := i.Op & 0xf0
	switch i.Class() {
	case ClassALU, ClassALU64:
		writes = regMask(i.Dst)
		if op != ALUMov {
			reads |= writes
		}
		if i.Op&SrcReg != 0 && op != ALUEnd {
			reads |= regMask(i.Src)
		}
	case ClassLD:
		if i.IsLdImm64() {
			return 0, regMask(i.Dst)
		}
		if reads = regMask(6); i.Op&0xe0 == ModeInd {
			reads |= regMask(i.Src)
		}
		return reads, calledRegs
	case ClassLDX:
		return regMask(i.Src), regMask(i.Dst)
	case ClassST:
		return regMask(i.Dst), 0
	case ClassSTX:
		return i.stxUse()
	default:
		switch {
		case i.Op == OpExit:
			return regMask(0), 0
		case i.Op == OpCall || i.Op == OpTailCall || i.Op == OpCallX:
			return argRegs, calledRegs
		case op == JmpJA || op == JmpCond:
			return 0, 0
		}
		reads = regMask(i.Dst)
		if i.Op&SrcReg != 0 {
			reads |= regMask(i.Src)
		}
	}
	return reads, writes
}

func (i Insn) stxUse() (reads, writes uint16) {
	reads = regMask(i.Dst, i.Src)
	if mode := i.Op & 0xe0; mode != ModeAtomic && mode != ModeProbeAtomic {
		return reads, 0
	}
	switch {
	case i.Imm == AtomicLoadAcq:
		return regMask(i.Src), regMask(i.Dst)
	case i.Imm == AtomicCmpXchg:
		return reads | 1, 1
	case i.Imm != AtomicStRel && i.Imm&AtomicFetch != 0:
		return reads, regMask(i.Src)
	}
	return reads, 0
}

// wideReads returns the registers that an instruction reads in full (is_reg64).
func (i Insn) WideReads() uint16 {
	reads, _ := i.RegUse()
	switch c := i.Class(); c {
	case ClassALU:
		if i.Op&0xf0 == ALUEnd && i.Imm == 64 {
			return reads
		}
		return 0
	case ClassJmp32:
		return 0
	case ClassSTX:
		if i.Size() == 8 {
			return reads
		}
		return regMask(i.Dst)
	case ClassJmp:
		if i.IsSubCall() {
			return 0
		}
	}
	return reads
}

// regMask is a set of registers, bit n being rn.
func regMask(regs ...uint8) (m uint16) {
	for _, r := range regs {
		m |= 1 << r
	}
	return m
}

const (
	argRegs    = uint16(0x3e) // r1 to r5
	calledRegs = uint16(0x3f) // r0 to r5
)
