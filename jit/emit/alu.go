// SPDX-License-Identifier: GPL-2.0-only

package emit

import (
	"fmt"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/x86"
)

// aluForms are the forms of one operation: register, byte, and dword immediate, and the short
// form with the accumulator, for 32 and 64 bits.
type aluForms struct {
	mr, mi8, mi32, acc [2]x86.FormID
}

// simpleALU is simple_alu_opcodes and the switch of BPF_K arithmetic in do_jit.
var simpleALU = [16]aluForms{
	bpf.ALUAdd >> 4: {
		mr:   [2]x86.FormID{x86.FormAdd32MR, x86.FormAdd64MR},
		mi8:  [2]x86.FormID{x86.FormAdd32MI8, x86.FormAdd64MI8},
		mi32: [2]x86.FormID{x86.FormAdd32MI32, x86.FormAdd64MI32},
		acc:  [2]x86.FormID{x86.FormAdd32I, x86.FormAdd64I},
	},
	bpf.ALUSub >> 4: {
		mr:   [2]x86.FormID{x86.FormSub32MR, x86.FormSub64MR},
		mi8:  [2]x86.FormID{x86.FormSub32MI8, x86.FormSub64MI8},
		mi32: [2]x86.FormID{x86.FormSub32MI32, x86.FormSub64MI32},
		acc:  [2]x86.FormID{x86.FormSub32I, x86.FormSub64I},
	},
	bpf.ALUOr >> 4: {
		mr:   [2]x86.FormID{x86.FormOr32MR, x86.FormOr64MR},
		mi8:  [2]x86.FormID{x86.FormOr32MI8, x86.FormOr64MI8},
		mi32: [2]x86.FormID{x86.FormOr32MI32, x86.FormOr64MI32},
		acc:  [2]x86.FormID{x86.FormOr32I, x86.FormOr64I},
	},
	bpf.ALUAnd >> 4: {
		mr:   [2]x86.FormID{x86.FormAnd32MR, x86.FormAnd64MR},
		mi8:  [2]x86.FormID{x86.FormAnd32MI8, x86.FormAnd64MI8},
		mi32: [2]x86.FormID{x86.FormAnd32MI32, x86.FormAnd64MI32},
		acc:  [2]x86.FormID{x86.FormAnd32I, x86.FormAnd64I},
	},
	bpf.ALUXor >> 4: {
		mr:   [2]x86.FormID{x86.FormXor32MR, x86.FormXor64MR},
		mi8:  [2]x86.FormID{x86.FormXor32MI8, x86.FormXor64MI8},
		mi32: [2]x86.FormID{x86.FormXor32MI32, x86.FormXor64MI32},
		acc:  [2]x86.FormID{x86.FormXor32I, x86.FormXor64I},
	},
}

// wide returns 1 for the 64-bit classes and 0 for the 32-bit ones: an index into pairs of forms.
func wide(in *bpf.Insn) int {
	if c := in.Class(); c == bpf.ClassALU64 || c == bpf.ClassJmp {
		return 1
	}
	return 0
}

func (e *Writer) aluReg(in *bpf.Insn) error {
	e.MR(simpleALU[in.Op>>4].mr[wide(in)], x86.R(e.regs[in.Dst]), e.regs[in.Src])
	return nil
}

func (e *Writer) aluImm(in *bpf.Insn) error {
	forms, w, dst := &simpleALU[in.Op>>4], wide(in), e.regs[in.Dst]
	switch {
	case isImm8(in.Imm):
		e.MI8(forms.mi8[w], x86.R(dst), int8(in.Imm))
	case dst == x86.RAX && !e.Func.Config.Emit.LongForms:
		e.I32(forms.acc[w], in.Imm)
	default:
		e.MI32(forms.mi32[w], x86.R(dst), in.Imm)
	}
	return nil
}

func (e *Writer) neg(in *bpf.Insn) error {
	e.M([2]x86.FormID{x86.FormNeg32M, x86.FormNeg64M}[wide(in)], x86.R(e.regs[in.Dst]))
	return nil
}

// mov64 is EMIT_mov: nothing if both registers are the same.
func (e *Writer) mov64(dst, src x86.Reg) {
	if dst != src {
		e.Mov64MR(x86.R(dst), src)
	}
}

// mov is emit_mov_reg. Where the frame pointer of programs is not the register itself, the copy is
// corrected, in 64 bits whatever w is.
func (e *Writer) mov(w int, dst, src x86.Reg) {
	if w == 1 {
		e.mov64(dst, src)
	} else {
		e.Mov32MR(x86.R(dst), src)
	}
	if shift := e.Func.c.fpShift; shift != 0 && src == e.regs[bpf.RegFP] {
		e.Add64MI8(x86.R(dst), int8(shift)) // 48 83 c0 d8
	}
}

func (e *Writer) movReg(in *bpf.Insn) error {
	dst, src, w := e.regs[in.Dst], e.regs[in.Src], wide(in)
	if in.Off == 0 {
		e.mov(w, dst, src)
		return nil
	}
	isa := e.Func.Config.Emit.ISA
	switch {
	case w == 1 && in.Off == bpf.PercpuAddr && isa&kernels.ISAPerCPU != 0:
		return e.percpuAddress(dst, src)
	case w == 1 && in.Off == bpf.AddrSpaceCast:
		return e.castUser(in, dst, src)
	case isa&kernels.ISASignExtend == 0:
		return fmt.Errorf("move with offset %d: %w", in.Off, kernels.ErrUnsupported)
	}
	return e.movsx(w, in.Off, dst, src)
}

// movsx is emit_movsx_reg, which for 32 bits from a byte always emits REX.
func (e *Writer) movsx(w int, bits int16, dst, src x86.Reg) error {
	switch {
	case w == 1 && bits == 8:
		e.Movsx64RM8(dst, x86.R(src))
	case w == 1 && bits == 16:
		e.Movsx64RM16(dst, x86.R(src))
	case w == 1 && bits == 32:
		e.Movsxd64RM(dst, x86.R(src))
	case w == 0 && bits == 8:
		e.Movsx32RM8REX(dst, x86.R(src))
	case w == 0 && bits == 16:
		e.Movsx32RM16(dst, x86.R(src))
	default:
		return fmt.Errorf("sign extension from %d bits", bits)
	}
	return nil
}

// percpuAddress adds this CPU's offset to a per-CPU pointer (insn_is_mov_percpu_addr).
func (e *Writer) percpuAddress(dst, src x86.Reg) error {
	off, err := e.Func.c.symbol("this_cpu_off")
	if err != nil {
		return err
	}
	e.mov64(dst, src)
	e.GS()
	e.Add64RM(dst, x86.Abs32(int32(off)))
	return nil
}

func (e *Writer) movImm(in *bpf.Insn) error {
	e.movImm32(wide(in) == 1, e.regs[in.Dst], in.Imm)
	return nil
}

// movImm32 is emit_mov_imm32: the shortest of a sign-extended move, xor and a 32-bit move.
func (e *Writer) movImm32(signExtend bool, dst x86.Reg, imm int32) {
	switch {
	case signExtend && imm < 0:
		e.Mov64MI32(x86.R(dst), imm)
	case imm == 0:
		e.Xor32MR(x86.R(dst), dst)
	default:
		e.Mov32OI(dst, uint32(imm))
	}
}

// movImm64 is emit_mov_imm64.
func (e *Writer) movImm64(dst x86.Reg, imm uint64) {
	switch {
	case imm == uint64(uint32(imm)):
		e.movImm32(false, dst, int32(imm))
	case e.Func.Config.Emit.SignedImm64 && int64(imm) == int64(int32(imm)):
		e.movImm32(true, dst, int32(imm))
	default:
		e.Mov64OI(dst, imm)
	}
}

// shiftForms are the forms by one, by an immediate, by cl, and of BMI2.
type shiftForms struct {
	m1, mi8, mc, bmi2 [2]x86.FormID
}

var shifts = [16]shiftForms{
	bpf.ALULsh >> 4: {
		m1:   [2]x86.FormID{x86.FormShl32M1, x86.FormShl64M1},
		mi8:  [2]x86.FormID{x86.FormShl32MI8, x86.FormShl64MI8},
		mc:   [2]x86.FormID{x86.FormShl32MC, x86.FormShl64MC},
		bmi2: [2]x86.FormID{x86.FormShlx32RMV, x86.FormShlx64RMV},
	},
	bpf.ALURsh >> 4: {
		m1:   [2]x86.FormID{x86.FormShr32M1, x86.FormShr64M1},
		mi8:  [2]x86.FormID{x86.FormShr32MI8, x86.FormShr64MI8},
		mc:   [2]x86.FormID{x86.FormShr32MC, x86.FormShr64MC},
		bmi2: [2]x86.FormID{x86.FormShrx32RMV, x86.FormShrx64RMV},
	},
	bpf.ALUArsh >> 4: {
		m1:   [2]x86.FormID{x86.FormSar32M1, x86.FormSar64M1},
		mi8:  [2]x86.FormID{x86.FormSar32MI8, x86.FormSar64MI8},
		mc:   [2]x86.FormID{x86.FormSar32MC, x86.FormSar64MC},
		bmi2: [2]x86.FormID{x86.FormSarx32RMV, x86.FormSarx64RMV},
	},
}

func (e *Writer) shiftImm(in *bpf.Insn) error {
	forms, w, dst := &shifts[in.Op>>4], wide(in), e.regs[in.Dst]
	if in.Imm == 1 && !e.Func.Config.Emit.LongForms {
		e.M(forms.m1[w], x86.R(dst))
	} else {
		e.MI8(forms.mi8[w], x86.R(dst), int8(in.Imm))
	}
	return nil
}

func (e *Writer) shiftReg(in *bpf.Insn) error {
	forms, w := &shifts[in.Op>>4], wide(in)
	dst, src := e.regs[in.Dst], e.regs[in.Src]
	if e.Func.Config.Emit.BMI2 && src != x86.RCX {
		e.RMV(forms.bmi2[w], dst, x86.R(dst), src)
		return nil
	}
	if e.Func.Config.Emit.Shift == kernels.ShiftLazy {
		e.shiftLazy(forms.mc[w], dst, src)
	} else {
		e.shiftSaveRCX(forms.mc[w], dst, src)
	}
	return nil
}

// shiftSaveRCX is how do_jit of 5.10 and 6.1 shifts by a register.
func (e *Writer) shiftSaveRCX(form x86.FormID, dst, src x86.Reg) {
	orig := dst
	if dst == x86.RCX {
		e.mov64(aux, dst)
		dst = aux
	}
	if src != x86.RCX {
		e.Push64O(x86.RCX)
		e.mov64(x86.RCX, src)
	}
	e.M(form, x86.R(dst))
	if src != x86.RCX {
		e.Pop64O(x86.RCX)
	}
	if orig == x86.RCX {
		e.mov64(orig, aux)
	}
}

// shiftLazy is how do_jit of 6.2 and later shifts by a register without BMI2.
func (e *Writer) shiftLazy(form x86.FormID, dst, src x86.Reg) {
	orig := dst
	if src != x86.RCX {
		if dst == x86.RCX {
			e.mov64(aux, dst)
			dst = aux
		} else {
			e.Push64O(x86.RCX)
		}
		e.mov64(x86.RCX, src)
	}
	e.M(form, x86.R(dst))
	if src != x86.RCX {
		if orig == x86.RCX {
			e.mov64(orig, aux)
		} else {
			e.Pop64O(x86.RCX)
		}
	}
}

// bswap reverses the bytes of the low 16, 32 or 64 bits and clears the rest.
func (e *Writer) bswap(in *bpf.Insn) error {
	dst := e.regs[in.Dst]
	switch in.Imm {
	case 16:
		e.Ror16MI8(x86.R(dst), 8)
		e.Movzx32RM16(dst, x86.R(dst))
	case 32:
		e.Bswap32O(dst)
	case 64:
		e.Bswap64O(dst)
	default:
		return fmt.Errorf("byte swap of %d bits", in.Imm)
	}
	return nil
}

// toLE clears all but the low 16 or 32 bits.
func (e *Writer) toLE(in *bpf.Insn) error {
	dst := e.regs[in.Dst]
	switch in.Imm {
	case 16:
		e.Movzx32RM16(dst, x86.R(dst))
	case 32:
		e.Mov32MR(x86.R(dst), dst)
	case 64:
	default:
		return fmt.Errorf("conversion of %d bits", in.Imm)
	}
	return nil
}
