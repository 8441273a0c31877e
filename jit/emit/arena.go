// SPDX-License-Identifier: GPL-2.0-only

package emit

import (
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/x86"
)

// Accesses to an arena (6.9 and later): r12 holds the address at which the kernel sees the arena's
// first byte and a pointer whose upper half is 0 is an offset from it. Every access may
// fault and has an entry in the exception table.
//
// Derived from arch/x86/net/bpf_jit_comp.c of 6.12.107 and 7.2: emit_ldx_index, emit_stx_index,
// emit_st_index, emit_atomic_rmw_index, emit_atomic_ld_st_index and the address space cast of do_jit.

// findArena asks where the program's arena is.
func (c *compiler) findArena() error {
	if c.v.Arena == 0 {
		return nil
	}
	if c.t.Emit.ISA&kernels.ISAArena == 0 {
		return fmt.Errorf("arenas: %w", kernels.ErrUnsupported)
	}
	env, ok := c.env.(image.ArenaEnv)
	if !ok {
		return errors.New("arenas have no addresses here")
	}
	var err error
	if c.arena, c.arenaUser, err = env.Arena(c.v.Arena - 1); err != nil {
		return err
	}
	if c.arena == 0 {
		return fmt.Errorf("arena %d is at address 0", c.v.Arena-1)
	}
	return nil
}

// arenaMem is [base+r12+off] with the shortest displacement but never none: emit_insn_suffix_SIB.
func arenaMem(base x86.Reg, off int16) x86.RM {
	if isImm8(int32(off)) {
		return x86.X8(base, x86.R12, 1, int8(off))
	}
	return x86.X32(base, x86.R12, 1, int32(off))
}

// arena checks an access of the instruction and runs emit.
func (e *Writer) arena(clear x86.Reg, emit func()) error {
	if e.Func.c.arena == 0 {
		return errors.New("access to an arena in a program without one")
	}
	at := e.Len()
	emit()
	e.mayFault(at, clear)
	return nil
}

func (e *Writer) arenaLoad(in *bpf.Insn) error {
	dst, src := e.regs[in.Dst], arenaMem(e.regs[in.Src], in.Off)
	return e.arena(dst, func() {
		switch in.Op & bpf.SizeMask {
		case bpf.SizeB:
			e.Movzx32RM8(dst, src)
		case bpf.SizeH:
			e.Movzx32RM16(dst, src)
		default:
			e.ldx(in.Op&bpf.SizeMask, dst, src)
		}
	})
}

func (e *Writer) arenaLoadSX(in *bpf.Insn) error {
	dst := e.regs[in.Dst]
	return e.arena(dst, func() { e.ldsx(in.Op&bpf.SizeMask, dst, arenaMem(e.regs[in.Src], in.Off)) })
}

func (e *Writer) arenaStoreReg(in *bpf.Insn) error {
	return e.arena(x86.RegNone, func() { e.stx(in.Op&bpf.SizeMask, arenaMem(e.regs[in.Dst], in.Off), e.regs[in.Src]) })
}

func (e *Writer) arenaStoreImm(in *bpf.Insn) error {
	return e.arena(x86.RegNone, func() { e.st(in, arenaMem(e.regs[in.Dst], in.Off)) })
}

// arenaAtomic is an atomic operation on an arena. A fault does not clear the register that would
// get the old value: the exception table clears that of loads only, by their class.
func (e *Writer) arenaAtomic(in *bpf.Insn) error {
	size := in.Op & bpf.SizeMask
	loadStore := in.Imm == bpf.AtomicLoadAcq || in.Imm == bpf.AtomicStRel
	if loadStore && e.Func.Config.Emit.ISA&kernels.ISALoadAcquire == 0 {
		return fmt.Errorf("load-acquire and store-release: %w", kernels.ErrUnsupported)
	}
	if !loadStore && (size == bpf.SizeB || size == bpf.SizeH) {
		return errors.New("1- and 2-byte atomics")
	}
	dst, src := e.regs[in.Dst], e.regs[in.Src]
	var err error
	failed := e.arena(x86.RegNone, func() {
		switch in.Imm {
		case bpf.AtomicLoadAcq:
			e.arenaLoadAcquire(in)
		case bpf.AtomicStRel:
			e.stx(size, arenaMem(dst, in.Off), src)
		default: // fetching and, or, xor do not exist for arenas (bpf_jit_supports_insn)
			err = e.atomicRMW(in.Imm, size == bpf.SizeDW, arenaMem(dst, in.Off), src)
		}
	})
	return errors.Join(failed, err)
}

func (e *Writer) arenaLoadAcquire(in *bpf.Insn) {
	dst, src := e.regs[in.Dst], arenaMem(e.regs[in.Src], in.Off)
	switch in.Op & bpf.SizeMask {
	case bpf.SizeB:
		e.Movzx32RM8(dst, src)
	case bpf.SizeH:
		e.Movzx32RM16(dst, src)
	default:
		e.ldx(in.Op&bpf.SizeMask, dst, src)
	}
}

// castUser makes of an arena offset the address that user space has for it; 0 stays 0
// (insn_is_cast_user).
func (e *Writer) castUser(in *bpf.Insn, dst, src x86.Reg) error {
	switch {
	case e.Func.Config.Emit.ISA&kernels.ISAArena == 0:
		return fmt.Errorf("address space cast (arena): %w", kernels.ErrUnsupported)
	case uint32(in.Imm) != bpf.CastUserImm:
		return fmt.Errorf("address space cast %#x: the verifier leaves only that to user space", uint32(in.Imm))
	case e.Func.c.arena == 0:
		return errors.New("address space cast in a program without an arena")
	}
	if dst != src {
		e.Mov32MR(x86.R(dst), src)
	}
	high := int32(e.Func.c.arenaUser >> 32)

	// dst = dst << 32 | user_vm_start >> 32, turned by half.
	e.Shl64MI8(x86.R(dst), 32)
	if dst == x86.RAX {
		e.Or64I(high)
	} else {
		e.Or64MI32(x86.R(dst), high)
	}
	e.Rol64MI8(x86.R(dst), 32)

	// if ((u32)dst == 0) dst = 0;
	e.Xor64MR(x86.R(aux), aux)
	e.Test32MR(x86.R(dst), dst)
	e.Cmove64RM(dst, x86.R(aux))
	return nil
}

// mayFault notes that the instruction from offset at to here may fault.
func (e *Writer) mayFault(at int, clear x86.Reg) {
	if e.Func.img != nil {
		e.Func.img.Faults = append(e.Func.img.Faults, image.FaultSite{Off: image.CodeOff(at), Next: image.CodeOff(e.Len()), Clear: clear})
	}
}
