// SPDX-License-Identifier: GPL-2.0-only

package jit

func (i Insn) isLdImm64() bool { return i.Op == opLdImm64 }

// isSubCall reports whether the instruction calls a function of the same program.
func (i Insn) isSubCall() bool { return i.Op == opCall && i.Src == PseudoCall }

// callee returns the slot of the function that the instruction at i calls, or whose address it
// loads for a helper to call; ok is false if it does neither.
func (i Insn) callee(at InsnIndex) (to InsnIndex, ok bool) {
	if i.isSubCall() || i.isLdImm64() && i.Src == PseudoFunc {
		return at + 1 + InsnIndex(i.Imm), true
	}
	return 0, false
}

// width is the number of slots.
func (i Insn) width() InsnIndex {
	if i.isLdImm64() {
		return 2
	}
	return 1
}

// size is the width of a memory access in bytes.
func (i Insn) size() int { return [4]int{4, 2, 1, 8}[i.Op>>3&3] }

// isDivision reports whether the instruction divides.
func (i Insn) isDivision() bool {
	c, op := i.Class(), i.Op&0xf0
	return (c == clsALU || c == clsALU64) && (op == aluDiv || op == aluMod)
}

// known reports whether the opcode exists (RFC 9669 and what the kernel added).
func (i Insn) known() bool {
	op := i.Op & 0xf0
	switch i.Class() {
	case clsALU, clsALU64:
		return op <= aluEnd
	case clsLD:
		m := i.Op & 0xe0
		return i.isLdImm64() || (m == modeAbs || m == modeInd) && i.Op>>3&3 != 3
	case clsLDX:
		m := i.Op & 0xe0
		return m == modeMem || m == modeAbs || m == modeProbe32 || (m == modeMemSX || m == modeArenaSX) && i.Op>>3&3 != 3
	case clsST:
		m := i.Op & 0xe0
		return m == modeMem || m == modeProbe32
	case clsSTX:
		m := i.Op & 0xe0
		return m == modeMem || m == modeProbe32 || m == modeAtomic || m == 0xe0
	case clsJmp:
		return op <= jmpCond || i.Op == OpTailCall
	default:
		return op != jmpCall && op != jmpExit && op <= jmpSle
	}
}

// malformed says what is wrong with the operands of an instruction; "" if nothing is. rewritten
// allows what only the verifier writes.
func (i Insn) malformed(rewritten bool) string {
	op := i.Op & 0xf0
	switch c := i.Class(); {
	case c == clsSTX && (i.Op&0xe0 == modeAtomic || i.Op&0xe0 == modeProbeAtomic):
		return i.malformedAtomic()
	case c != clsALU && c != clsALU64:
		return ""
	case op == aluEnd:
		if i.Imm != 16 && i.Imm != 32 && i.Imm != 64 {
			return "a byte swap is of 16, 32 or 64 bits"
		}
	case op == aluMov && i.Op&srcReg != 0:
		movsx := i.Off == 0 || i.Off == 8 || i.Off == 16 || i.Off == 32 && c == clsALU64
		cast := c == clsALU64 && i.Off == addrSpaceCast && (i.Imm == castKernelImm || i.Imm == castUserImm)
		if !movsx && !cast && !(rewritten && c == clsALU64 && i.Off == percpuAddr) {
			return "bad offset of mov"
		}
	case i.isDivision():
		if i.Off != 0 && i.Off != 1 {
			return "bad offset of a division"
		}
		if i.Op&srcReg == 0 && i.Imm == 0 {
			return "division by zero"
		}
	case i.Off != 0:
		return "the offset must be 0"
	case i.Op&srcReg == 0 && (op == aluLsh || op == aluRsh || op == aluArsh):
		if n := int32(32); i.Imm < 0 || i.Imm >= n && (c == clsALU || i.Imm >= 2*n) {
			return "shift by more bits than there are"
		}
	}
	return ""
}

func (i Insn) malformedAtomic() string {
	switch i.Imm {
	case atomicLoadAcq, atomicStRel:
		return ""
	case aluAdd, aluOr, aluAnd, aluXor, aluAdd | atomicFetch, aluOr | atomicFetch, aluAnd | atomicFetch, aluXor | atomicFetch,
		atomicXchg, atomicCmpXchg:
		if i.size() < 4 {
			return "atomic operations are of 4 or 8 bytes"
		}
		return ""
	}
	return "unknown atomic operation"
}
