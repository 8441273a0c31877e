// SPDX-License-Identifier: GPL-2.0-only

package emit

import (
	"fmt"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/x86"
)

// mul multiplies: imul with two or three operands, or on 5.10 mul through rax and r11.
func (e *Writer) mul(in *bpf.Insn) error {
	dst, w, isReg := e.regs[in.Dst], wide(in), in.Op&bpf.SrcReg != 0
	if e.Func.Config.Emit.MulDiv == kernels.MulDivR11 {
		e.mulR11(in)
		return nil
	}
	switch {
	case isReg:
		e.RM([2]x86.FormID{x86.FormImul32RM, x86.FormImul64RM}[w], dst, x86.R(e.regs[in.Src]))
	case isImm8(in.Imm):
		e.RMI8([2]x86.FormID{x86.FormImul32RMI8, x86.FormImul64RMI8}[w], dst, x86.R(dst), int8(in.Imm))
	default:
		e.RMI32([2]x86.FormID{x86.FormImul32RMI32, x86.FormImul64RMI32}[w], dst, x86.R(dst), in.Imm)
	}
	return nil
}

func (e *Writer) mulR11(in *bpf.Insn) {
	dst, w := e.regs[in.Dst], wide(in)
	if e.Func.Config.Emit.LongForms {
		e.mulLong(in)
		return
	}
	if dst != x86.RAX {
		e.Push64O(x86.RAX)
	}
	if dst != x86.RDX {
		e.Push64O(x86.RDX)
	}

	// The factors are r11 and rax.
	e.mov64(aux, dst)
	if in.Op&bpf.SrcReg != 0 {
		e.mov(w, x86.RAX, e.regs[in.Src])
	} else {
		e.movImm32(w == 1, x86.RAX, in.Imm)
	}
	e.M([2]x86.FormID{x86.FormMul32M, x86.FormMul64M}[w], x86.R(aux))

	if dst != x86.RDX {
		e.Pop64O(x86.RDX)
	}
	if dst != x86.RAX {
		e.mov64(dst, x86.RAX)
		e.Pop64O(x86.RAX)
	}
}

// mulLong is the multiplication until 4.16: both registers are always saved, and the result goes through r11.
func (e *Writer) mulLong(in *bpf.Insn) {
	e.Push64O(x86.RAX)
	e.Push64O(x86.RDX)
	e.mov64(aux, e.regs[in.Dst])
	if in.Op&bpf.SrcReg != 0 {
		e.mov64(x86.RAX, e.regs[in.Src])
	} else {
		e.Mov64MI32(x86.R(x86.RAX), in.Imm) // 48 c7 c0 imm
	}
	e.M([2]x86.FormID{x86.FormMul32M, x86.FormMul64M}[wide(in)], x86.R(aux))
	e.mov64(aux, x86.RAX)
	e.Pop64O(x86.RDX)
	e.Pop64O(x86.RAX)
	e.mov64(e.regs[in.Dst], aux)
}

// leaveOnZero is what divisions by a register did before the verifier guarded them (until 4.15): a program that
// divides by 0 returns 0.
func (e *Writer) leaveOnZero() {
	const rest = 11                    // bytes of the instruction after this: div, mov, pop, pop, mov
	e.Cmp64MI8(x86.R(aux), 0)          // 49 83 fb 00
	e.JneD8(9)                         // 75 09
	e.Pop64O(x86.RDX)                  // 5a
	e.Pop64O(x86.RAX)                  // 58
	e.Xor32MR(x86.R(x86.RAX), x86.RAX) // 31 c0
	e.JmpD32(e.Func.cleanup - (e.Func.addrs[e.cur+1] - rest))
}

// div divides or takes the remainder; a non-zero Off asks for signed division.
func (e *Writer) div(in *bpf.Insn) error {
	if in.Off != 0 && e.Func.Config.Emit.ISA&kernels.ISASignExtend == 0 {
		return fmt.Errorf("signed division: %w", kernels.ErrUnsupported)
	}
	if e.Func.Config.Emit.MulDiv == kernels.MulDivR11 {
		e.divR11(in)
		return nil
	}
	dst, w := e.regs[in.Dst], wide(in)
	if dst != x86.RAX {
		e.Push64O(x86.RAX)
	}
	if dst != x86.RDX {
		e.Push64O(x86.RDX)
	}

	// The divisor must not be in rax or rdx.
	src := aux
	if in.Op&bpf.SrcReg == 0 {
		e.Mov64MI32(x86.R(aux), in.Imm)
	} else if src = e.regs[in.Src]; src == x86.RAX || src == x86.RDX {
		e.mov64(aux, src)
		src = aux
	}

	if dst != x86.RAX {
		e.mov(w, x86.RAX, dst)
	}
	e.divide(in, src)

	switch {
	case in.Op&0xf0 == bpf.ALUMod && dst != x86.RDX:
		e.mov(w, dst, x86.RDX)
	case in.Op&0xf0 == bpf.ALUDiv && dst != x86.RAX:
		e.mov(w, dst, x86.RAX)
	}
	if dst != x86.RDX {
		e.Pop64O(x86.RDX)
	}
	if dst != x86.RAX {
		e.Pop64O(x86.RAX)
	}
	return nil
}

// divide extends rax into rdx and divides by src.
func (e *Writer) divide(in *bpf.Insn, src x86.Reg) {
	w := wide(in)
	if in.Off == 0 {
		e.Xor32MR(x86.R(x86.RDX), x86.RDX) // 31 d2
		e.M([2]x86.FormID{x86.FormDiv32M, x86.FormDiv64M}[w], x86.R(src))
		return
	}
	e.ZO([2]x86.FormID{x86.FormCdq, x86.FormCqo}[w])
	e.M([2]x86.FormID{x86.FormIdiv32M, x86.FormIdiv64M}[w], x86.R(src))
}

// divR11 is the division of 5.10: always with both registers saved and through r11.
func (e *Writer) divR11(in *bpf.Insn) {
	dst := e.regs[in.Dst]
	e.Push64O(x86.RAX)
	e.Push64O(x86.RDX)
	if in.Op&bpf.SrcReg != 0 {
		e.mov64(aux, e.regs[in.Src])
	} else {
		e.Mov64MI32(x86.R(aux), in.Imm)
	}
	e.mov64(x86.RAX, dst)
	if in.Op&bpf.SrcReg != 0 && e.Func.Config.Emit.DivLeaves {
		e.Xor32MR(x86.R(x86.RDX), x86.RDX) // 31 d2
		e.leaveOnZero()
		e.M([2]x86.FormID{x86.FormDiv32M, x86.FormDiv64M}[wide(in)], x86.R(aux))
	} else {
		e.divide(in, aux)
	}
	if in.Op&0xf0 == bpf.ALUMod {
		e.Mov64MR(x86.R(aux), x86.RDX)
	} else {
		e.Mov64MR(x86.R(aux), x86.RAX)
	}
	e.Pop64O(x86.RDX)
	e.Pop64O(x86.RAX)
	e.mov64(dst, aux)
}
