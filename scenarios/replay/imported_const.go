// SPDX-License-Identifier: GPL-2.0-only

package replay

import (
	"slices"

	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// decoded is an instruction of imported code and its offset.
type decoded struct {
	x86.Inst
	off image.CodeOff
}

// decodedFunc is a function as instructions, with the branches inside it.
type decodedFunc struct {
	insns []decoded
	from  map[int][]int // where branches to an instruction are
}

// decodeFunc decodes a function that is known to decode.
func decodeFunc(f *image.FuncImage) decodedFunc {
	d := decodedFunc{from: map[int][]int{}}
	for off := 0; off < len(f.Code); {
		in, err := x86.Decode(f.Code[off:], f.Addr+image.Addr(off))
		if err != nil {
			panic("BUG: code that decoded does not: " + err.Error())
		}
		d.insns = append(d.insns, decoded{in, image.CodeOff(off)})
		off += int(in.Len)
	}
	for i := range d.insns {
		in := &d.insns[i]
		if !in.Branch.Direct() || in.Branch == x86.BranchCall || in.Target < f.Addr || in.Target >= f.End() {
			continue
		}
		if to, ok := d.at(image.CodeOff(in.Target - f.Addr)); ok {
			d.from[to] = append(d.from[to], i)
		}
	}
	return d
}

// at returns the index of the instruction at an offset.
func (d *decodedFunc) at(off image.CodeOff) (int, bool) {
	return slices.BinarySearchFunc(d.insns, off, func(in decoded, o image.CodeOff) int { return int(in.off) - int(o) })
}

// constants returns the constants that a register may hold at an offset, in order; all says that it
// holds nothing else. It follows every way back and copies among registers.
func (d *decodedFunc) constants(off image.CodeOff, r x86.Reg) (values []int64, all bool) {
	type place struct {
		i int
		r x86.Reg
	}
	start, ok := d.at(off)
	if !ok {
		return nil, false
	}
	all = true
	seen := map[place]bool{}
	var work []place
	before := func(p place) {
		if p.i == 0 {
			all = false // what the function was entered with
		} else if in := &d.insns[p.i-1]; in.Branch != x86.BranchJump && in.Branch != x86.BranchRet && in.Branch != x86.BranchJumpIndirect {
			work = append(work, place{p.i - 1, p.r})
		}
		for _, from := range d.from[p.i] {
			work = append(work, place{from, p.r})
		}
	}
	before(place{start, r})
	for len(work) > 0 {
		p := work[len(work)-1]
		work = work[:len(work)-1]
		if seen[p] {
			continue
		}
		seen[p] = true
		switch v, copied, kind := d.insns[p.i].loaded(p.r); kind {
		case loadsConstant:
			values = append(values, v)
		case loadsCopy:
			before(place{p.i, copied})
		case loadsNothing:
			before(p)
		case loadsUnknown:
			all = false
		}
	}
	slices.Sort(values)
	return slices.Compact(values), all
}

// constant returns the one constant that a register holds at an offset; ok is false if it may hold
// another value.
func (d *decodedFunc) constant(off image.CodeOff, r x86.Reg) (v int64, ok bool) {
	values, all := d.constants(off, r)
	if !all || len(values) != 1 {
		return 0, false
	}
	return values[0], true
}

// What an instruction does to a register.
const (
	loadsNothing = iota
	loadsConstant
	loadsCopy
	loadsUnknown
)

// loaded says what an instruction loads into a register.
func (in *decoded) loaded(r x86.Reg) (v int64, from x86.Reg, kind int) {
	if in.Branch == x86.BranchCall || in.Branch == x86.BranchCallIndirect {
		if callClobbers.Has(r) {
			return 0, 0, loadsUnknown
		}
		return 0, 0, loadsNothing
	}
	if !in.Writes.Has(r) {
		return 0, 0, loadsNothing
	}
	v, imm := in.Imm()
	switch src := in.Operands[1]; {
	case in.ZeroIdiom:
		return 0, 0, loadsConstant
	case in.Op == "mov" && imm && in.OpBits == 32:
		return int64(uint32(v)), 0, loadsConstant
	case in.Op == "mov" && imm && in.OpBits == 64:
		return v, 0, loadsConstant
	case in.Op == "mov" && src.Kind == x86.OpReg && in.OpBits == 64:
		return 0, src.Reg, loadsCopy
	case in.Op == "mov" && src.Kind == x86.OpReg && in.OpBits == 32 && src.Reg == r:
		return 0, 0, loadsNothing // the tail call's own truncation
	}
	return 0, 0, loadsUnknown
}

// callClobbers are the registers that a call may change.
var callClobbers = x86.RegSetOf(x86.RAX, x86.RCX, x86.RDX, x86.RSI, x86.RDI, x86.R8, x86.R9, x86.R10, x86.R11)
