// SPDX-License-Identifier: GPL-2.0-only

package emit

import (
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/x86"
)

// ldx is emit_ldx: a byte or half word is extended to 64 bits, a word to 64 by the 32-bit move.
func (e *Writer) ldx(size uint8, dst x86.Reg, src x86.RM) {
	switch size {
	case bpf.SizeB:
		e.Movzx64RM8(dst, src)
	case bpf.SizeH:
		e.Movzx64RM16(dst, src)
	case bpf.SizeW:
		e.Mov32RM(dst, src)
	case bpf.SizeDW:
		e.Mov64RM(dst, src)
	}
}

// ldsx is emit_ldsx.
func (e *Writer) ldsx(size uint8, dst x86.Reg, src x86.RM) {
	switch size {
	case bpf.SizeB:
		e.Movsx64RM8(dst, src)
	case bpf.SizeH:
		e.Movsx64RM16(dst, src)
	case bpf.SizeW:
		e.Movsxd64RM(dst, src)
	}
}

// stx is emit_stx.
func (e *Writer) stx(size uint8, dst x86.RM, src x86.Reg) {
	switch size {
	case bpf.SizeB:
		e.Mov8MR(dst, src)
	case bpf.SizeH:
		e.Mov16MR(dst, src)
	case bpf.SizeW:
		e.Mov32MR(dst, src)
	case bpf.SizeDW:
		e.Mov64MR(dst, src)
	}
}

func (e *Writer) load(in *bpf.Insn) error {
	src := Mem(e.regs[in.Src], e.off(in))
	switch in.Op & bpf.ModeMask {
	case bpf.ModeMemSX, bpf.ModeProbeMemSX:
		e.ldsx(in.Op&bpf.SizeMask, e.regs[in.Dst], src)
	default:
		e.ldx(in.Op&bpf.SizeMask, e.regs[in.Dst], src)
	}
	return nil
}

func (e *Writer) storeReg(in *bpf.Insn) error {
	e.stx(in.Op&bpf.SizeMask, Mem(e.regs[in.Dst], e.off(in)), e.regs[in.Src])
	return nil
}

func (e *Writer) storeImm(in *bpf.Insn) error {
	e.st(in, Mem(e.regs[in.Dst], e.off(in)))
	return nil
}

// st is emit_st.
func (e *Writer) st(in *bpf.Insn, dst x86.RM) {
	switch in.Op & bpf.SizeMask {
	case bpf.SizeB:
		e.Mov8MI8(dst, int8(in.Imm))
	case bpf.SizeH:
		e.Mov16MI16(dst, int16(in.Imm))
	case bpf.SizeW:
		e.Mov32MI32(dst, in.Imm)
	case bpf.SizeDW:
		e.Mov64MI32(dst, in.Imm)
	}
}

// User space ends at userEnd (TASK_SIZE_MAX + PAGE_SIZE with 4-level page tables);
// vsyscallAddr is VSYSCALL_ADDR (arch/x86/include/asm).
const (
	userEnd      = 1 << 47
	vsyscallAddr = 0xffffffffff600000
)

// probeLoad is a load through a pointer that may be invalid: a check that it is no user address,
// then the load, for which the kernel has an exception table entry.
func (e *Writer) probeLoad(in *bpf.Insn) error {
	if in.Dst > 9 {
		return errors.New("destination of a checked load is not in r0..r9")
	}
	switch e.Func.Config.Emit.Probe {
	case kernels.ProbeLimit:
		e.probeLimit(in)
	case kernels.ProbeOneLine:
		e.probeOneLine(in)
	default:
		at := e.Len()
		err := e.load(in)
		e.mayFault(at, e.regs[in.Dst])
		return err
	}
	end := e.Len()
	if err := e.load(in); err != nil {
		return err
	}
	e.mayFault(end, e.regs[in.Dst])
	e.SetRel8(end) // the jump over the load
	return nil
}

// probeLimit is the check of 6.1. It ends with the jump over the load, still to be filled.
func (e *Writer) probeLimit(in *bpf.Insn) {
	src, off := e.regs[in.Src], int32(in.Off)
	e.Mov64OI(aux, userEnd+uint64(max(off, -off)))
	e.Cmp64MR(x86.R(src), aux)
	e.JbD8(0)
	below := e.Len()

	e.mov64(aux, src)
	e.Add64MI32(x86.R(aux), off)
	e.JaeD8(0)
	noCarry := e.Len()

	e.SetRel8(below)
	e.movImm32(false, e.regs[in.Dst], 0)
	e.JmpD8(0)
	e.SetRel8(noCarry)
}

// probeOneLine is the check of 6.10 and later, likewise.
func (e *Writer) probeOneLine(in *bpf.Insn) {
	e.movImm64(ax, vsyscallAddr)
	e.mov64(aux, e.regs[in.Src])
	if in.Off != 0 {
		e.Add64MI32(x86.R(aux), int32(in.Off))
	}
	e.Sub64MR(x86.R(aux), ax)
	e.movImm64(ax, userEnd+(1<<64-vsyscallAddr))
	e.Cmp64MR(x86.R(aux), ax)
	e.JaD8(0)
	kernel := e.Len()

	e.movImm32(false, e.regs[in.Dst], 0)
	e.JmpD8(0)
	e.SetRel8(kernel)
}

func (e *Writer) atomic(in *bpf.Insn) error {
	size := in.Op & bpf.SizeMask
	isa := e.Func.Config.Emit.ISA
	dst, src, off := e.regs[in.Dst], e.regs[in.Src], e.off(in)
	switch in.Imm {
	case bpf.AtomicLoadAcq, bpf.AtomicStRel:
		if isa&kernels.ISALoadAcquire == 0 {
			return fmt.Errorf("load-acquire and store-release: %w", kernels.ErrUnsupported)
		}
		if in.Imm == bpf.AtomicLoadAcq {
			e.ldx(size, dst, Mem(src, off))
		} else {
			e.stx(size, Mem(dst, off), src)
		}
		return nil
	}
	if size == bpf.SizeB || size == bpf.SizeH {
		return errors.New("1- and 2-byte atomics")
	}
	if in.Imm != bpf.ALUAdd && isa&kernels.ISAAtomics == 0 {
		return fmt.Errorf("atomic operation %#x: %w", in.Imm, kernels.ErrUnsupported)
	}
	switch in.Imm {
	case bpf.ALUAnd | bpf.AtomicFetch, bpf.ALUOr | bpf.AtomicFetch, bpf.ALUXor | bpf.AtomicFetch:
		e.fetchLoop(in)
		return nil
	}
	return e.atomicRMW(in.Imm, size == bpf.SizeDW, Mem(dst, off), src)
}

// atomicRMW is emit_atomic_rmw (emit_atomic before 6.15).
func (e *Writer) atomicRMW(op int32, dw bool, dst x86.RM, src x86.Reg) error {
	w := 0
	if dw {
		w = 1
	}
	var form x86.FormID
	switch op {
	case bpf.ALUAdd, bpf.ALUAnd, bpf.ALUOr, bpf.ALUXor:
		form = simpleALU[op>>4].mr[w]
	case bpf.ALUAdd | bpf.AtomicFetch:
		form = [2]x86.FormID{x86.FormXadd32MR, x86.FormXadd64MR}[w]
	case bpf.AtomicXchg:
		form = [2]x86.FormID{x86.FormXchg32MR, x86.FormXchg64MR}[w]
	case bpf.AtomicCmpXchg:
		form = [2]x86.FormID{x86.FormCmpxchg32MR, x86.FormCmpxchg64MR}[w]
	default:
		return fmt.Errorf("unknown atomic operation %#x: %w", op, kernels.ErrUnsupported)
	}
	if op != bpf.AtomicXchg || e.Func.Config.Emit.LockXchg {
		e.Lock()
	}
	e.MR(form, dst, src)
	return nil
}

// fetchLoop does a fetching and, or, xor, for which there is no instruction, by compare-exchange.
func (e *Writer) fetchLoop(in *bpf.Insn) {
	size := in.Op & bpf.SizeMask
	w := 0
	if size == bpf.SizeDW {
		w = 1
	}
	dst, src := e.regs[in.Dst], e.regs[in.Src]

	// rax is needed for the comparison; r10 keeps R0 and stands in for it.
	e.mov64(ax, x86.RAX)
	if src == x86.RAX {
		src = ax
	}
	if dst == x86.RAX {
		dst = ax
	}
	addr := Mem(dst, int32(in.Off))

	loop := e.Len()
	e.ldx(size, x86.RAX, addr)
	e.mov(w, aux, x86.RAX)
	e.MR(simpleALU[in.Imm>>4].mr[w], x86.R(aux), src)
	e.Lock()
	e.MR([2]x86.FormID{x86.FormCmpxchg32MR, x86.FormCmpxchg64MR}[w], addr, aux)
	e.JneD8(int8(loop - e.Len() - 2))

	// The old value goes to src, R0 back to rax.
	e.mov(w, src, x86.RAX)
	e.mov64(x86.RAX, ax)
}
