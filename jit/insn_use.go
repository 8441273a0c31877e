// SPDX-License-Identifier: GPL-2.0-only

package jit

// regUse returns the registers that an instruction reads and writes.
func (i Insn) regUse() (reads, writes uint16) {
	op := i.Op & 0xf0
	switch i.Class() {
	case clsALU, clsALU64:
		writes = regMask(i.Dst)
		if op != aluMov {
			reads |= writes
		}
		if i.Op&srcReg != 0 && op != aluEnd {
			reads |= regMask(i.Src)
		}
	case clsLD:
		if i.isLdImm64() {
			return 0, regMask(i.Dst)
		}
		if reads = regMask(6); i.Op&0xe0 == modeInd {
			reads |= regMask(i.Src)
		}
		return reads, calledRegs
	case clsLDX:
		return regMask(i.Src), regMask(i.Dst)
	case clsST:
		return regMask(i.Dst), 0
	case clsSTX:
		return i.stxUse()
	default:
		switch {
		case i.Op == opExit:
			return regMask(0), 0
		case i.Op == opCall || i.Op == OpTailCall || i.Op == opCallX:
			return argRegs, calledRegs
		case op == jmpJA || op == jmpCond:
			return 0, 0
		}
		reads = regMask(i.Dst)
		if i.Op&srcReg != 0 {
			reads |= regMask(i.Src)
		}
	}
	return reads, writes
}

func (i Insn) stxUse() (reads, writes uint16) {
	reads = regMask(i.Dst, i.Src)
	if mode := i.Op & 0xe0; mode != modeAtomic && mode != modeProbeAtomic {
		return reads, 0
	}
	switch {
	case i.Imm == atomicLoadAcq:
		return regMask(i.Src), regMask(i.Dst)
	case i.Imm == atomicCmpXchg:
		return reads | 1, 1
	case i.Imm != atomicStRel && i.Imm&atomicFetch != 0:
		return reads, regMask(i.Src)
	}
	return reads, 0
}

// wideReads returns the registers of which an instruction reads all 64 bits (is_reg64).
func (i Insn) wideReads() uint16 {
	reads, _ := i.regUse()
	switch c := i.Class(); c {
	case clsALU:
		if i.Op&0xf0 == aluEnd && i.Imm == 64 {
			return reads
		}
		return 0
	case clsJmp32:
		return 0
	case clsSTX:
		if i.size() == 8 {
			return reads
		}
		return regMask(i.Dst)
	case clsJmp:
		if i.isSubCall() {
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
