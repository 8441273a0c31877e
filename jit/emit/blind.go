// SPDX-License-Identifier: GPL-2.0-only

package emit

import (
	"fmt"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/kernels"
)

// Constant blinding (bpf_jit_blind_constants and bpf_jit_blind_insn, kernel/bpf/core.c, 4.7 and later): the
// JIT gets a program in which every constant of an instruction comes from BPF_REG_AX, which holds it
// combined with a random number. Here each instruction stays one, and is emitted as what the kernel makes
// of it.

// BlindConstants returns how many random numbers blinding draws for an instruction: two for both halves
// of a 16-byte load, one for others with a constant, 0 for those that stay as they are.
func BlindConstants(in bpf.Insn) int {
	switch {
	case in.IsLdImm64():
		if in.Src == bpf.PseudoFunc {
			return 0
		}
		return 2
	case in.Op&bpf.SrcReg != 0 && in.Class() != bpf.ClassST, in.Dst > bpf.RegFP || in.Src > bpf.RegFP:
		return 0
	}
	op := in.Op & 0xf0
	switch in.Class() {
	case bpf.ClassALU, bpf.ClassALU64:
		switch op {
		case bpf.ALUMov:
			if in.Imm == 0 {
				return 0 // becomes an exclusive or of the register with itself
			}
			return 1
		case bpf.ALUAdd, bpf.ALUSub, bpf.ALUAnd, bpf.ALUOr, bpf.ALUXor, bpf.ALUMul, bpf.ALUDiv, bpf.ALUMod:
			return 1
		}
	case bpf.ClassJmp, bpf.ClassJmp32:
		switch op {
		case bpf.JmpEq, bpf.JmpNe, bpf.JmpGt, bpf.JmpLt, bpf.JmpGe, bpf.JmpLe, bpf.JmpSgt, bpf.JmpSlt, bpf.JmpSge, bpf.JmpSle, bpf.JmpSet:
			return 1
		}
	case bpf.ClassST:
		if in.Op&bpf.ModeMask == bpf.ModeMem {
			return 1
		}
	}
	return 0
}

// blinds counts for each instruction of a function how many numbers were drawn before it.
func (f *Func) blinds() []int {
	if f.Config.Emit.Blind == nil {
		return nil
	}
	at := make([]int, len(f.insns)+1)
	for i := 0; i < len(f.insns); i++ {
		n := BlindConstants(f.insns[i])
		at[i+1] = at[i] + n
		if f.insns[i].IsLdImm64() {
			i++
			at[i+1] = at[i]
		}
	}
	return at
}

// random is number n of a function.
func (f *Func) random(n int) (uint32, error) {
	b := f.Config.Emit.Blind
	if b.Drawn == nil {
		x := b.Seed // FNV-1a of what tells one number from another
		for _, c := range []byte(f.c.v.Name()) {
			x = (x ^ uint64(c)) * 0x100000001b3
		}
		return uint32(mix(mix(x^uint64(f.idx)) ^ uint64(n))), nil
	}
	if f.idx >= len(b.Drawn) || n >= len(b.Drawn[f.idx]) {
		return 0, fmt.Errorf("number %d of function %d was not drawn", n, f.idx)
	}
	return b.Drawn[f.idx][n], nil
}

// mix is the finalizer of splitmix64.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// blinded appends instruction i as blinding leaves it; ok is false if it stays as it is.
func (e *Writer) blinded(i int) (ok bool, err error) {
	in, ax := e.Func.insns[i], e.Func.Config.Emit.AX
	if in.Dst != ax && in.Src != ax && in.Imm == 0 && (in.Op == bpf.ClassALU|bpf.ALUMov || in.Op == bpf.ClassALU64|bpf.ALUMov) {
		return true, e.all(bpf.Insn{Op: bpf.ClassALU64 | bpf.SrcReg | bpf.ALUXor, Dst: in.Dst, Src: in.Dst})
	}
	switch BlindConstants(in) {
	case 0:
		return false, nil
	case 2:
		return true, e.blindedWide(i)
	}
	w := uint8(bpf.ClassALU64)
	if in.Class() == bpf.ClassALU || in.Class() == bpf.ClassJmp32 {
		w = bpf.ClassALU
	}
	of := in
	of.Op, of.Src, of.Imm = in.Op|bpf.SrcReg, ax, 0
	if in.Class() == bpf.ClassST {
		of.Op = in.Op&^7 | bpf.ClassSTX
	}
	seq, err := e.constant(w, in.Imm, e.Func.drawn[i])
	if err != nil {
		return true, err
	}
	return true, e.all(append(seq, of)...)
}

// constant puts a constant into BPF_REG_AX with random number n of the function.
func (e *Writer) constant(w uint8, imm int32, n int) ([]bpf.Insn, error) {
	r, err := e.Func.random(n)
	ax := e.Func.Config.Emit.AX
	return []bpf.Insn{
		{Op: w | bpf.ALUMov, Dst: ax, Imm: int32(r) ^ imm},
		{Op: w | bpf.ALUXor, Dst: ax, Imm: int32(r)},
	}, err
}

// blindedWide appends a 16-byte load: the upper half first.
func (e *Writer) blindedWide(i int) error {
	in, ax := e.Func.insns[i], e.Func.Config.Emit.AX
	imm, err := e.wideImm(&in, &e.Func.insns[i+1])
	if err != nil {
		return err
	}
	high, err := e.constant(bpf.ClassALU64, int32(imm>>32), e.Func.drawn[i])
	if err != nil {
		return err
	}
	low, err := e.constant(bpf.ClassALU, int32(uint32(imm)), e.Func.drawn[i]+1)
	if err != nil {
		return err
	}
	seq := append(high,
		bpf.Insn{Op: bpf.ClassALU64 | bpf.ALULsh, Dst: ax, Imm: 32},
		bpf.Insn{Op: bpf.ClassALU64 | bpf.SrcReg | bpf.ALUMov, Dst: in.Dst, Src: ax})
	seq = append(seq, low...)
	return e.all(append(seq, bpf.Insn{Op: bpf.ClassALU64 | bpf.SrcReg | bpf.ALUOr, Dst: in.Dst, Src: ax})...)
}

// all appends instructions without their jumps.
func (e *Writer) all(seq ...bpf.Insn) error {
	for n := range seq {
		row := &opTable[seq[n].Op]
		if row.emit == nil {
			return fmt.Errorf("opcode %#02x: %w", seq[n].Op, kernels.ErrUnsupported)
		}
		if err := row.emit(e, &seq[n]); err != nil {
			return err
		}
	}
	return nil
}
