// SPDX-License-Identifier: GPL-2.0-only

package bpf

import "fmt"

var (
	aluText = map[uint8]string{
		ALUAdd: "+=", ALUSub: "-=", ALUMul: "*=", ALUDiv: "/=", ALUOr: "|=", ALUAnd: "&=",
		ALULsh: "<<=", ALURsh: ">>=", ALUMod: "%=", ALUXor: "^=", ALUMov: "=", ALUArsh: "s>>=",
	}
	jumpText = map[uint8]string{
		JmpEq: "==", JmpGt: ">", JmpGe: ">=", JmpSet: "&", JmpNe: "!=", JmpSgt: "s>", JmpSge: "s>=",
		JmpLt: "<", JmpLe: "<=", JmpSlt: "s<", JmpSle: "s<=",
	}
	sizeText   = [4]string{"u32", "u16", "u8", "u64"}
	sizeTextSX = [4]string{"s32", "s16", "s8", "s64"}
	atomicText = map[uint8]string{ALUAdd: "add", ALUOr: "or", ALUAnd: "and", ALUXor: "xor"}
	atomicOps  = map[uint8]string{ALUAdd: "+=", ALUOr: "|=", ALUAnd: "&=", ALUXor: "^="}
)

// Text returns the instruction in the verifier's syntax, as kernel/bpf/disasm.c forms it: "r6 = r1",
// "*(u64 *)(r10 -8) = r1", "if r1 s> 5 goto pc+3". Of ld_imm64 it shows the lower half of the
// constant only, see TextAt.
func (i Insn) Text() string {
	switch c := i.Class(); c {
	case ClassALU, ClassALU64:
		return i.aluText(c == ClassALU64)
	case ClassLDX:
		names, mode := sizeText, i.Op&0xe0
		if mode == ModeMemSX {
			names = sizeTextSX
		}
		return fmt.Sprintf("r%d = *(%s *)(r%d %+d)", i.Dst, names[i.Op>>3&3], i.Src, i.Off)
	case ClassST:
		if i.Op == OpNoSpec {
			return "nospec"
		}
		return fmt.Sprintf("*(%s *)(r%d %+d) = %d", sizeText[i.Op>>3&3], i.Dst, i.Off, i.Imm)
	case ClassSTX:
		if mode := i.Op & 0xe0; mode == ModeAtomic || mode == ModeProbeAtomic {
			return i.atomicText()
		}
		return fmt.Sprintf("*(%s *)(r%d %+d) = r%d", sizeText[i.Op>>3&3], i.Dst, i.Off, i.Src)
	case ClassLD:
		return i.loadText()
	default:
		return i.jumpText(c == ClassJmp)
	}
}

// TextAt returns the text of the instruction at a slot, with the whole constant of ld_imm64.
func TextAt(insns []Insn, at InsnIndex) string {
	i := insns[at]
	if !i.IsLdImm64() || int(at)+1 >= len(insns) {
		return i.Text()
	}
	hi := insns[at+1].Imm
	switch i.Src {
	case PseudoMap:
		return fmt.Sprintf("r%d = map[%d] ll", i.Dst, i.Imm)
	case PseudoMapValue:
		return fmt.Sprintf("r%d = map[%d][0]%+d ll", i.Dst, i.Imm, hi)
	}
	return fmt.Sprintf("r%d = %#x ll", i.Dst, uint64(uint32(i.Imm))|uint64(uint32(hi))<<32)
}

func (i Insn) aluText(wide bool) string {
	r := "w"
	if wide {
		r = "r"
	}
	dst := fmt.Sprintf("%s%d", r, i.Dst)
	src := fmt.Sprintf("%d", i.Imm)
	if i.Op&SrcReg != 0 {
		src = fmt.Sprintf("%s%d", r, i.Src)
	}
	op := i.Op & 0xf0
	switch {
	case op == ALUNeg:
		return fmt.Sprintf("%s = -%s", dst, dst)
	case op == ALUEnd && wide:
		return fmt.Sprintf("r%d = bswap%d r%d", i.Dst, i.Imm, i.Dst)
	case op == ALUEnd && i.Op&SrcReg != 0:
		return fmt.Sprintf("r%d = be%d r%d", i.Dst, i.Imm, i.Dst)
	case op == ALUEnd:
		return fmt.Sprintf("r%d = le%d r%d", i.Dst, i.Imm, i.Dst)
	case op == ALUMov && i.Op&SrcReg != 0 && (i.Off == 8 || i.Off == 16 || i.Off == 32):
		return fmt.Sprintf("%s = (s%d)%s", dst, i.Off, src)
	case op == ALUMov && i.Op&SrcReg != 0 && i.Off == -1:
		return fmt.Sprintf("%s = &(void __percpu *)(%s)", dst, src)
	case op == ALUMov && i.Op&SrcReg != 0 && i.Off == 1:
		return fmt.Sprintf("r%d = addr_space_cast(r%d, %d, %d)", i.Dst, i.Src, uint32(i.Imm)>>16, uint16(i.Imm))
	case (op == ALUDiv || op == ALUMod) && i.Off == 1:
		return fmt.Sprintf("%s s%s %s", dst, aluText[op], src)
	}
	if t, ok := aluText[op]; ok {
		return fmt.Sprintf("%s %s %s", dst, t, src)
	}
	return fmt.Sprintf("BUG_alu_%02x", i.Op)
}

func (i Insn) atomicText() string {
	r, n, size := "w", "", sizeText[i.Op>>3&3]
	if i.Op>>3&3 == 3 {
		r, n = "r", "64"
	}
	at := fmt.Sprintf("(%s *)(r%d %+d)", size, i.Dst, i.Off)
	op := uint8(i.Imm) & 0xf0
	switch {
	case i.Imm == AtomicCmpXchg:
		return fmt.Sprintf("%s0 = atomic%s_cmpxchg(%s, %s0, %s%d)", r, n, at, r, r, i.Src)
	case i.Imm == AtomicXchg:
		return fmt.Sprintf("%s%d = atomic%s_xchg(%s, %s%d)", r, i.Src, n, at, r, i.Src)
	case i.Imm == AtomicLoadAcq:
		return fmt.Sprintf("%s%d = load_acquire((%s *)(r%d %+d))", r, i.Dst, size, i.Src, i.Off)
	case i.Imm == AtomicStRel:
		return fmt.Sprintf("store_release((%s *)(r%d %+d), %s%d)", size, i.Dst, i.Off, r, i.Src)
	case atomicText[op] == "" || i.Imm&^0xf1 != 0:
		return fmt.Sprintf("BUG_atomic_%#x", i.Imm)
	case i.Imm&AtomicFetch != 0:
		return fmt.Sprintf("%s%d = atomic%s_fetch_%s((%s *)(r%d %+d), %s%d)", r, i.Src, n, atomicText[op], size, i.Dst, i.Off, r, i.Src)
	}
	return fmt.Sprintf("lock *%s %s %s%d", at, atomicOps[op], r, i.Src)
}

func (i Insn) loadText() string {
	switch {
	case i.Op == OpLdImm64 && i.Src == PseudoMap:
		return fmt.Sprintf("r%d = map[%d] ll", i.Dst, i.Imm)
	case i.Op == OpLdImm64 && i.Src == PseudoMapValue:
		return fmt.Sprintf("r%d = map[%d][0] ll", i.Dst, i.Imm)
	case i.Op == OpLdImm64:
		return fmt.Sprintf("r%d = %#x ll", i.Dst, uint32(i.Imm))
	case i.Op&0xe0 == ModeAbs:
		return fmt.Sprintf("r0 = *(%s *)skb[%d]", sizeText[i.Op>>3&3], i.Imm)
	case i.Op&0xe0 == ModeInd:
		return fmt.Sprintf("r0 = *(%s *)skb[r%d %+d]", sizeText[i.Op>>3&3], i.Src, i.Imm)
	case i.Op == 0:
		return "second half of ld_imm64"
	}
	return fmt.Sprintf("BUG_ld_%02x", i.Op)
}

func (i Insn) jumpText(wide bool) string {
	r := "w"
	if wide {
		r = "r"
	}
	op := i.Op & 0xf0
	switch {
	case op == JmpCall && i.Src == PseudoCall:
		return fmt.Sprintf("call pc%+d", i.Imm)
	case op == JmpCall && i.Src == PseudoKfunc:
		return fmt.Sprintf("call kfunc#%d", i.Imm)
	case op == JmpCall && i.Op&SrcReg != 0:
		return fmt.Sprintf("callx r%d", i.Dst)
	case op == JmpCall:
		return fmt.Sprintf("call #%d", i.Imm)
	case i.Op == OpTailCall:
		return fmt.Sprintf("tail_call #%d", i.Imm)
	case op == JmpExit:
		return "exit"
	case op == JmpJA && wide && i.Op&SrcReg != 0:
		return fmt.Sprintf("gotox r%d", i.Dst)
	case op == JmpJA && wide:
		return fmt.Sprintf("goto pc%+d", i.Off)
	case op == JmpJA:
		return fmt.Sprintf("gotol pc%+d", i.Imm)
	case op == JmpCond:
		return fmt.Sprintf("may_goto pc%+d", i.Off)
	case jumpText[op] == "":
		return fmt.Sprintf("BUG_jmp_%02x", i.Op)
	case i.Op&SrcReg != 0:
		return fmt.Sprintf("if %s%d %s %s%d goto pc%+d", r, i.Dst, jumpText[op], r, i.Src, i.Off)
	}
	return fmt.Sprintf("if %s%d %s %d goto pc%+d", r, i.Dst, jumpText[op], i.Imm, i.Off)
}
