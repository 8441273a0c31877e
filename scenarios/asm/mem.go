// SPDX-License-Identifier: GPL-2.0-only

package asm

import (
	"fmt"
	"math"

	"github.com/tcsim/tcsim/jit/bpf"
)

// memInsn begins an instruction with a memory operand at submatches i to i+2 and one of the sizes.
func (s *statement) memInsn(op uint8, i int, sizes ...string) (in bpf.Insn, base uint8, err error) {
	size, base, off, err := s.mem(i)
	if err != nil {
		return in, 0, err
	}
	in.Off = off
	in.Op, err = access(op, size, sizes...)
	return in, base, err
}

func (s *statement) storeReg() error {
	in, base, err := s.memInsn(bpf.ClassSTX|bpf.ModeMem, 1, "u8", "u16", "u32", "u64")
	if err != nil {
		return err
	}
	in.Dst = base
	if in.Src, _, err = s.reg(4); err != nil {
		return err
	}
	return s.emit(in)
}

func (s *statement) storeImm() error {
	in, base, err := s.memInsn(bpf.ClassST|bpf.ModeMem, 1, "u8", "u16", "u32", "u64")
	if err != nil {
		return err
	}
	in.Dst = base
	if in.Imm, err = s.imm32(4); err != nil {
		return err
	}
	return s.emit(in)
}

func (s *statement) load() error {
	op, sizes := uint8(bpf.ClassLDX|bpf.ModeMem), []string{"u8", "u16", "u32", "u64"}
	if s.m[2][0] == 's' {
		op, sizes = bpf.ClassLDX|bpf.ModeMemSX, []string{"s8", "s16", "s32"}
	}
	in, base, err := s.memInsn(op, 2, sizes...)
	if err != nil {
		return err
	}
	in.Src = base
	if in.Dst, _, err = s.reg(1); err != nil {
		return err
	}
	return s.emit(in)
}

func (s *statement) loadAbs() error {
	op, err := access(bpf.ModeAbs, s.m[1], "u8", "u16", "u32")
	if err != nil {
		return err
	}
	n, err := s.imm32(2)
	if err != nil {
		return err
	}
	return s.emit(bpf.Insn{Op: op, Imm: n})
}

func (s *statement) loadInd() error {
	op, err := access(bpf.ModeInd, s.m[1], "u8", "u16", "u32")
	if err != nil {
		return err
	}
	src, _, err := s.reg(2)
	if err != nil {
		return err
	}
	n, err := s.imm32(3)
	if err != nil {
		return err
	}
	return s.emit(bpf.Insn{Op: op, Src: src, Imm: n})
}

var atomicOps = map[string]int32{
	"+": bpf.ALUAdd, "|": bpf.ALUOr, "&": bpf.ALUAnd, "^": bpf.ALUXor,
	"add": bpf.ALUAdd, "or": bpf.ALUOr, "and": bpf.ALUAnd, "xor": bpf.ALUXor,
}

// atomic emits an atomic operation with its memory operand at submatches mem to mem+2 and its
// register at submatch src.
func (s *statement) atomic(op int32, mem, src int) error {
	if s.m[mem] == "" { // clang says the width in the name of the operation
		s.m[mem] = map[string]string{"_64": "u64", "32_32": "u32"}[s.m[mem-1]]
	}
	in, base, err := s.memInsn(bpf.ClassSTX|bpf.ModeAtomic, mem, "u32", "u64")
	if err != nil {
		return err
	}
	in.Dst, in.Imm = base, op
	if in.Src, _, err = s.reg(src); err != nil {
		return err
	}
	return s.emit(in)
}

func (s *statement) lockOp() error { return s.atomic(atomicOps[s.m[4]], 1, 5) }

// sameAs checks that a fetching operation returns into the register that it takes.
func (s *statement) sameAs(i, j int) error {
	if s.m[i][1:] != s.m[j][1:] {
		return fmt.Errorf("expected the result in the operand's register %s, found %s", s.m[j], s.m[i])
	}
	return nil
}

func (s *statement) fetchOp() error {
	if err := s.sameAs(1, 7); err != nil {
		return err
	}
	return s.atomic(atomicOps[s.m[3]]|bpf.AtomicFetch, 4, 7)
}

func (s *statement) xchg() error {
	if err := s.sameAs(1, 6); err != nil {
		return err
	}
	return s.atomic(bpf.AtomicXchg, 3, 6)
}

func (s *statement) cmpxchg() error {
	if s.m[1][1:] != "0" {
		return fmt.Errorf("expected the result of cmpxchg in r0, found %s", s.m[1])
	}
	return s.atomic(bpf.AtomicCmpXchg, 3, 6)
}

func (s *statement) loadAcquire() error {
	in, base, err := s.memInsn(bpf.ClassSTX|bpf.ModeAtomic, 2, "u8", "u16", "u32", "u64")
	if err != nil {
		return err
	}
	in.Src, in.Imm = base, bpf.AtomicLoadAcq
	if in.Dst, _, err = s.reg(1); err != nil {
		return err
	}
	return s.emit(in)
}

func (s *statement) storeRelease() error {
	in, base, err := s.memInsn(bpf.ClassSTX|bpf.ModeAtomic, 1, "u8", "u16", "u32", "u64")
	if err != nil {
		return err
	}
	in.Dst, in.Imm = base, bpf.AtomicStRel
	if in.Src, _, err = s.reg(4); err != nil {
		return err
	}
	return s.emit(in)
}

// ldImm64 emits the two slots of a 64-bit load into submatch 1.
func (s *statement) ldImm64(src uint8, lo, hi int32) error {
	dst, wide, err := s.reg(1)
	if err == nil && !wide {
		err = fmt.Errorf("expected a 64-bit register, found %s", s.m[1])
	}
	if err != nil {
		return err
	}
	if err := s.emit(bpf.Insn{Op: bpf.OpLdImm64, Dst: dst, Src: src, Imm: lo}); err != nil {
		return err
	}
	return s.emit(bpf.Insn{Imm: hi})
}

func (s *statement) loadImm64() error {
	n, err := asmNumber(s.m[2])
	if err != nil {
		return err
	}
	return s.ldImm64(0, int32(n), int32(n>>32))
}

// loadMap reads map[name], the map itself, and map[name][0]+off, an address in its first value.
func (s *statement) loadMap() error {
	src, off := uint8(bpf.PseudoMap), int64(0)
	if s.m[3] != "" {
		src = bpf.PseudoMapValue
	}
	if s.m[4] != "" {
		n, err := asmNumber(s.m[4])
		if err != nil {
			return err
		}
		if off = n; n < 0 || n > math.MaxInt32 {
			return fmt.Errorf("expected an offset into the map value, found %s", s.m[4])
		}
	}
	s.unit.Maps = append(s.unit.Maps, Ref{len(s.unit.Insns), s.m[2], s.pos})
	return s.ldImm64(src, 0, int32(off))
}

// loadMapName reads clang's "r1 = jmp_table ll".
func (s *statement) loadMapName() error {
	s.unit.Maps = append(s.unit.Maps, Ref{len(s.unit.Insns), s.m[2], s.pos})
	return s.ldImm64(bpf.PseudoMap, 0, 0)
}

func (s *statement) castSpace() error {
	in, wide, err := s.aluInsn(bpf.ALUMov | bpf.SrcReg)
	if err != nil {
		return err
	}
	src, w, err := s.reg(2)
	if err == nil && !(w && wide) {
		err = fmt.Errorf("expected 64-bit registers, found %s and %s", s.m[1], s.m[2])
	}
	if err != nil {
		return err
	}
	to, err := asmNumber(s.m[3])
	if err != nil {
		return err
	}
	from, err := asmNumber(s.m[4])
	if err != nil {
		return err
	}
	if to < 0 || to > math.MaxUint16 || from < 0 || from > math.MaxUint16 {
		return fmt.Errorf("expected address spaces of 16 bits, found %s and %s", s.m[3], s.m[4])
	}
	in.Src, in.Off, in.Imm = src, 1, int32(uint32(to)<<16|uint32(from))
	return s.emit(in)
}

func (s *statement) movePerCPU() error {
	in, wide, err := s.aluInsn(bpf.ALUMov | bpf.SrcReg)
	if err != nil {
		return err
	}
	src, w, err := s.reg(2)
	if err == nil && !(w && wide) {
		err = fmt.Errorf("expected 64-bit registers, found %s and %s", s.m[1], s.m[2])
	}
	if err != nil {
		return err
	}
	in.Src, in.Off = src, -1
	return s.emit(in)
}
