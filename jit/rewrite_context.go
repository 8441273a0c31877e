// SPDX-License-Identifier: GPL-2.0-only

package jit

import (
	"errors"
	"fmt"
)

// sizeBits are the size bits of an opcode for a number of bytes.
var sizeBits = map[int8]uint8{1: 0x10, 2: 0x08, 4: 0x00, 8: 0x18}

// contextAccess returns what replaces a load or store through the context (convert_ctx_accesses).
func contextAccess(t *Kernel, in Insn, p ProgType) ([]Insn, error) {
	table := t.Context.fields(p)
	if table == nil {
		return nil, nil
	}
	size := int64(in.size())
	at, shift := int64(in.Off), uint8(0)
	if in.Class() == clsST && !t.Verifier.StoreContext {
		return nil, errors.New("a store of a constant into the context: 6.4 and later take it")
	}
	if err := mayAccess(p, at, size, in.Class() != clsLDX); err != nil {
		return nil, err
	}
	if p.SKB() && at >= skbCB && at+size <= skbCBEnd {
		return []Insn{in}, nil
	}
	f, ok := table[at]
	if !ok || size < 4 {
		at = int64(in.Off) &^ 3
		f, ok = table[at]
		shift = uint8(int64(in.Off)-at) * 8
	}
	if !ok {
		if _, ok := newestContext().fields(p)[int64(in.Off)&^3]; ok {
			return nil, fmt.Errorf("where this kernel has the context field at offset %d is not known: %w", in.Off, ErrUnsupported)
		}
		return nil, fmt.Errorf("context field at offset %d is not modelled: %w", in.Off, ErrUnsupported)
	}
	if p.LinkLayer() {
		f.MayLack = false
	}
	if in.Class() != clsLDX {
		return storeField(&f, in), nil
	}
	return loadField(&f, in, size, shift, t.Emit.AX), nil
}

// store writes the field.
func storeField(f *ContextField, in Insn) []Insn {
	in.Op = in.Op&^0x18 | sizeBits[f.Loads[0].Size]
	in.Off = f.Loads[0].Off
	switch {
	case f.Below == 0:
	case in.Class() == clsSTX:
		return []Insn{{Op: clsJmp | jmpGe, Dst: in.Src, Off: 1, Imm: f.Below}, in}
	case in.Imm >= f.Below:
		return []Insn{{Op: clsJmp | jmpJA}}
	}
	return []Insn{in}
}

// load reads the field; size and shift select a part of its four bytes.
func loadField(f *ContextField, in Insn, size int64, shift, ax uint8) []Insn {
	var seq []Insn
	src, last := in.Src, f.Loads[len(f.Loads)-1]
	for i, l := range f.Loads {
		to := in.Dst
		if f.Shared && i == 0 {
			to = ax // bpf_convert_shinfo_access
		}
		seq = append(seq, Insn{Op: clsLDX | modeMem | sizeBits[l.Size], Dst: to, Src: src, Off: l.Off})
		switch {
		case f.Shared && i == 1:
			seq = append(seq, Insn{Op: clsALU64 | srcReg | aluAdd, Dst: in.Dst, Src: ax})
		case f.MayLack && i == 0:
			seq = append(seq, Insn{Op: clsJmp | jmpEq, Dst: in.Dst, Off: 1})
		}
		if !f.Shared || i > 0 {
			src = in.Dst
		}
	}
	if f.Shift != 0 {
		seq = append(seq, Insn{Op: clsALU | aluLsh, Dst: in.Dst, Imm: f.Shift})
	}
	if f.Mask != 0 {
		seq = append(seq, Insn{Op: clsALU | aluAnd, Dst: in.Dst, Imm: f.Mask})
	}
	if f.Flag {
		seq = append(seq,
			Insn{Op: clsJmp | jmpEq, Dst: in.Dst, Off: 1},
			Insn{Op: clsALU | aluMov, Dst: in.Dst, Imm: 1})
	}
	if f.Least != 0 {
		seq = append(seq,
			Insn{Op: clsJmp | jmpGe, Dst: in.Dst, Off: 1, Imm: f.Least},
			Insn{Op: clsALU64 | aluMov, Dst: in.Dst})
	}
	if size < 4 && size < int64(last.Size) {
		if shift != 0 {
			seq = append(seq, Insn{Op: clsALU | aluRsh, Dst: in.Dst, Imm: int32(shift)})
		}
		seq = append(seq, Insn{Op: clsALU | aluAnd, Dst: in.Dst, Imm: 1<<(size*8) - 1})
	}
	if in.Op&0xe0 == modeMemSX {
		seq = append(seq, Insn{Op: clsALU64 | srcReg | aluMov, Dst: in.Dst, Src: in.Dst, Off: int16(size * 8)})
	}
	return seq
}
