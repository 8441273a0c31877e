// SPDX-License-Identifier: GPL-2.0-only

package bpf

func (i Insn) IsLdImm64() bool { return i.Op == OpLdImm64 }

// isSubCall reports whether the instruction calls a function of the same program.
func (i Insn) IsSubCall() bool { return i.Op == OpCall && i.Src == PseudoCall }

// callee returns the slot of the function that the instruction at i calls, or whose address it
// loads for a helper to call; ok is false if it does neither.
func (i Insn) Callee(at InsnIndex) (to InsnIndex, ok bool) {
	if i.IsSubCall() || i.IsLdImm64() && i.Src == PseudoFunc {
		return at + 1 + InsnIndex(i.Imm), true
	}
	return 0, false
}

// width is the number of slots.
func (i Insn) Width() InsnIndex {
	if i.IsLdImm64() {
		return 2
	}
	return 1
}

// size is the width of a memory access in bytes.
func (i Insn) Size() int { return [4]int{4, 2, 1, 8}[i.Op>>3&3] }

// isDivision reports whether the instruction divides.
func (i Insn) IsDivision() bool {
	c, op := i.Class(), i.Op&0xf0
	return (c == ClassALU || c == ClassALU64) && (op == ALUDiv || op == ALUMod)
}

// known reports whether the opcode exists (RFC 9669 and what the kernel added).
func (i Insn) Known() bool {
	op := i.Op & 0xf0
	switch i.Class() {
	case ClassALU, ClassALU64:
		return op <= ALUEnd
	case ClassLD:
		m := i.Op & 0xe0
		return i.IsLdImm64() || (m == ModeAbs || m == ModeInd) && i.Op>>3&3 != 3
	case ClassLDX:
		m := i.Op & 0xe0
		return m == ModeMem || m == ModeAbs || m == ModeProbe32 || (m == ModeMemSX || m == ModeArenaSX) && i.Op>>3&3 != 3
	case ClassST:
		m := i.Op & 0xe0
		return m == ModeMem || m == ModeProbe32
	case ClassSTX:
		m := i.Op & 0xe0
		return m == ModeMem || m == ModeProbe32 || m == ModeAtomic || m == 0xe0
	case ClassJmp:
		return op <= JmpCond || i.Op == OpTailCall
	default:
		return op != JmpCall && op != JmpExit && op <= JmpSle
	}
}

// Written reports whether the opcode is one of those that users write (bpf_opcode_in_insntable).
func (i Insn) Written() bool {
	op, reg, mode := i.Op&0xf0, i.Op&SrcReg != 0, i.Op&0xe0
	switch c := i.Class(); c {
	case ClassALU, ClassALU64:
		return op < ALUEnd && (op != ALUNeg || !reg) || op == ALUEnd && (c == ClassALU || !reg)
	case ClassLDX:
		return mode == ModeMem || mode == ModeMemSX && i.Size() != 8
	case ClassST:
		return mode == ModeMem
	case ClassSTX:
		return mode == ModeMem || mode == ModeAtomic
	case ClassJmp:
		alone := op == JmpJA || op == JmpCall || op == JmpExit || op == JmpCond
		return op <= JmpCond && !(alone && reg)
	case ClassJmp32:
		return op <= JmpSle && op != JmpCall && op != JmpExit && !(op == JmpJA && reg)
	}
	return i.Known()
}

// malformed says what is wrong with the operands of an instruction; "" if nothing is. rewritten
// allows what only the verifier writes.
func (i Insn) Malformed(rewritten bool) string {
	op := i.Op & 0xf0
	if !rewritten && i.reserved() {
		return reservedFields
	}
	switch c := i.Class(); {
	case c == ClassSTX && (i.Op&0xe0 == ModeAtomic || i.Op&0xe0 == ModeProbeAtomic):
		return i.malformedAtomic()
	case c != ClassALU && c != ClassALU64:
		return ""
	case op == ALUEnd:
		if i.Imm != 16 && i.Imm != 32 && i.Imm != 64 {
			return "a byte swap is of 16, 32 or 64 bits"
		}
	case op == ALUMov && i.Op&SrcReg != 0:
		movsx := i.Off == 0 || i.Off == 8 || i.Off == 16 || i.Off == 32 && c == ClassALU64
		cast := c == ClassALU64 && i.Off == AddrSpaceCast && (i.Imm == CastKernelImm || i.Imm == CastUserImm)
		if !movsx && !cast && !(rewritten && c == ClassALU64 && i.Off == PercpuAddr) {
			return "bad offset of mov"
		}
	case i.IsDivision():
		if i.Off != 0 && i.Off != 1 {
			return "bad offset of a division"
		}
		if i.Op&SrcReg == 0 && i.Imm == 0 {
			return "division by zero"
		}
	case i.Off != 0:
		return "the offset must be 0"
	case i.Op&SrcReg == 0 && (op == ALULsh || op == ALURsh || op == ALUArsh):
		if n := int32(32); i.Imm < 0 || i.Imm >= n && (c == ClassALU || i.Imm >= 2*n) {
			return "shift by more bits than there are"
		}
	}
	return ""
}

const reservedFields = "fields that must be 0 are not (uses reserved fields)"

// Reserved says that an instruction has a value in a field that it does not use, where kernels refuse that; "" if it has not.
func (i Insn) Reserved() string {
	if i.reserved() {
		return reservedFields
	}
	return ""
}

// reserved reports whether a field has a value that the instruction does not use, where kernels refuse that
// (resolve_pseudo_ldimm64, do_check, check_alu_op, check_ld_abs, visit_insn).
func (i Insn) reserved() bool {
	op, reg, mode := i.Op&0xf0, i.Op&SrcReg != 0, i.Op&0xe0
	switch c := i.Class(); c {
	case ClassALU, ClassALU64:
		switch {
		case op == ALUNeg:
			return reg || i.Src != 0 || i.Off != 0 || i.Imm != 0
		case op == ALUEnd:
			return i.Src != 0 || i.Off != 0 || c == ClassALU64 && reg
		case reg:
			return i.Imm != 0 && !(op == ALUMov && i.Off == AddrSpaceCast)
		}
		return i.Src != 0 || op == ALUMov && i.Off != 0
	case ClassLD:
		if i.IsLdImm64() {
			return i.Off != 0
		}
		return i.Dst != 0 || i.Off != 0 || mode == ModeAbs && i.Src != 0
	case ClassLDX:
		return i.Imm != 0 || mode != ModeMem && mode != ModeMemSX
	case ClassST:
		return i.Src != 0
	case ClassSTX:
		return mode == ModeMem && i.Imm != 0
	}
	return i.reservedJump()
}

func (i Insn) reservedJump() bool {
	op, reg, narrow := i.Op&0xf0, i.Op&SrcReg != 0, i.Class() == ClassJmp32
	switch {
	case i.Op == OpTailCall:
		return false
	case op == JmpCall:
		return narrow || reg || i.Dst != 0 || i.Off != 0 // of kernel functions the number of a module, of which none is given
	case op == JmpExit:
		return narrow || reg || i.Dst != 0 || i.Src != 0 || i.Imm != 0
	case op == JmpJA:
		return reg || i.Dst != 0 || i.Src != 0 || !narrow && i.Imm != 0 || narrow && i.Off != 0
	case op == JmpCond:
		return i.Dst != 0 || i.Src != 0 || i.Imm != 0
	case reg:
		return i.Imm != 0
	}
	return i.Src != 0
}

func (i Insn) malformedAtomic() string {
	switch i.Imm {
	case AtomicLoadAcq, AtomicStRel:
		return ""
	case ALUAdd, ALUOr, ALUAnd, ALUXor, ALUAdd | AtomicFetch, ALUOr | AtomicFetch, ALUAnd | AtomicFetch, ALUXor | AtomicFetch,
		AtomicXchg, AtomicCmpXchg:
		if i.Size() < 4 {
			return "atomic operations are of 4 or 8 bytes"
		}
		return ""
	}
	return "unknown atomic operation"
}
