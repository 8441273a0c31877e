// SPDX-License-Identifier: GPL-2.0-only

package rewrite

import (
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/kernels"
)

// sizeBits are the size bits of an opcode for a number of bytes.
var sizeBits = map[int8]uint8{1: 0x10, 2: 0x08, 4: 0x00, 8: 0x18}

// contextAccess returns what replaces a load or store through the context (convert_ctx_accesses).
func contextAccess(t *kernels.Kernel, in bpf.Insn, p bpf.ProgType) ([]bpf.Insn, error) {
	table := t.Context.Fields(p)
	if table == nil {
		return nil, nil
	}
	size := int64(in.Size())
	at, shift := int64(in.Off), uint8(0)
	if in.Class() == bpf.ClassST && !t.Verifier.StoreContext {
		return nil, errors.New("a store of a constant into the context: 6.4 and later take it")
	}
	if err := mayAccess(p, at, size, in.Class() != bpf.ClassLDX); err != nil {
		return nil, err
	}
	if p.SKB() && at >= kernels.SKBCB && at+size <= kernels.SKBCBEnd {
		return []bpf.Insn{in}, nil
	}
	f, ok := table[at]
	if !ok || size < 4 {
		at = int64(in.Off) &^ 3
		f, ok = table[at]
		shift = uint8(int64(in.Off)-at) * 8
	}
	if !ok {
		if _, ok := kernels.NewestContext().Fields(p)[int64(in.Off)&^3]; ok {
			return nil, fmt.Errorf("where this kernel has the context field at offset %d is not known: %w", in.Off, kernels.ErrUnsupported)
		}
		return nil, fmt.Errorf("context field at offset %d is not modelled: %w", in.Off, kernels.ErrUnsupported)
	}
	if p.LinkLayer() {
		f.MayLack = false
	}
	if in.Class() != bpf.ClassLDX {
		return storeField(&f, in), nil
	}
	return loadField(&f, in, size, shift, t.Emit.AX), nil
}

// store writes the field.
func storeField(f *kernels.ContextField, in bpf.Insn) []bpf.Insn {
	in.Op = in.Op&^0x18 | sizeBits[f.Loads[0].Size]
	in.Off = f.Loads[0].Off
	switch {
	case f.Below == 0:
	case in.Class() == bpf.ClassSTX:
		return []bpf.Insn{{Op: bpf.ClassJmp | bpf.JmpGe, Dst: in.Src, Off: 1, Imm: f.Below}, in}
	case in.Imm >= f.Below:
		return []bpf.Insn{{Op: bpf.ClassJmp | bpf.JmpJA}}
	}
	return []bpf.Insn{in}
}

// load reads the field; size and shift select a part of its four bytes.
func loadField(f *kernels.ContextField, in bpf.Insn, size int64, shift, ax uint8) []bpf.Insn {
	var seq []bpf.Insn
	src, last := in.Src, f.Loads[len(f.Loads)-1]
	for i, l := range f.Loads {
		to := in.Dst
		if f.Shared && i == 0 {
			to = ax // bpf_convert_shinfo_access
		}
		seq = append(seq, bpf.Insn{Op: bpf.ClassLDX | bpf.ModeMem | sizeBits[l.Size], Dst: to, Src: src, Off: l.Off})
		switch {
		case f.Shared && i == 1:
			seq = append(seq, bpf.Insn{Op: bpf.ClassALU64 | bpf.SrcReg | bpf.ALUAdd, Dst: in.Dst, Src: ax})
		case f.MayLack && i == 0:
			seq = append(seq, bpf.Insn{Op: bpf.ClassJmp | bpf.JmpEq, Dst: in.Dst, Off: 1})
		}
		if !f.Shared || i > 0 {
			src = in.Dst
		}
	}
	if f.Shift != 0 {
		seq = append(seq, bpf.Insn{Op: bpf.ClassALU | bpf.ALULsh, Dst: in.Dst, Imm: f.Shift})
	}
	if f.Mask != 0 {
		seq = append(seq, bpf.Insn{Op: bpf.ClassALU | bpf.ALUAnd, Dst: in.Dst, Imm: f.Mask})
	}
	if f.Flag {
		seq = append(seq,
			bpf.Insn{Op: bpf.ClassJmp | bpf.JmpEq, Dst: in.Dst, Off: 1},
			bpf.Insn{Op: bpf.ClassALU | bpf.ALUMov, Dst: in.Dst, Imm: 1})
	}
	if f.Least != 0 {
		seq = append(seq,
			bpf.Insn{Op: bpf.ClassJmp | bpf.JmpGe, Dst: in.Dst, Off: 1, Imm: f.Least},
			bpf.Insn{Op: bpf.ClassALU64 | bpf.ALUMov, Dst: in.Dst})
	}
	if size < 4 && size < int64(last.Size) {
		if shift != 0 {
			seq = append(seq, bpf.Insn{Op: bpf.ClassALU | bpf.ALURsh, Dst: in.Dst, Imm: int32(shift)})
		}
		seq = append(seq, bpf.Insn{Op: bpf.ClassALU | bpf.ALUAnd, Dst: in.Dst, Imm: 1<<(size*8) - 1})
	}
	if in.Op&0xe0 == bpf.ModeMemSX {
		seq = append(seq, bpf.Insn{Op: bpf.ClassALU64 | bpf.SrcReg | bpf.ALUMov, Dst: in.Dst, Src: in.Dst, Off: int16(size * 8)})
	}
	return seq
}
