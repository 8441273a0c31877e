// SPDX-License-Identifier: GPL-2.0-only

package form

import (
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/verify/ranges"
)

// The pass before the verification that 7.1 and later have (kernel/bpf/const_fold.c): registers that hold the
// same constant on all paths decide conditional jumps, whether or not both ways stay reachable.

// foldedReg is what the pass knows of a register at one instruction.
type foldedReg struct {
	state uint8
	val   uint64 // of foldConst the value, else what tells one pointer from another
}

const (
	foldUnvisited uint8 = iota
	foldUnknown
	foldConst
	foldPointer // a map, a place in a map's value, a function
)

// foldedRegs are r0 to r10.
type foldedRegs [11]foldedReg

// FoldBranches returns the program with the jumps decided; p itself if there are none.
func FoldBranches(p *bpf.Program) *bpf.Program {
	regs := foldRegs(p)
	out := p
	for i := bpf.InsnIndex(0); int(i) < len(p.Insns); i += p.Insns[i].Width() {
		in := p.Insns[i]
		fall, _, jumps := Flow(p.Insns, i)
		if !fall || !jumps || in.Op&0xf0 == bpf.JmpCond {
			continue
		}
		d, ok := regs[i][in.Dst].short()
		s := uint64(int64(in.Imm))
		if ok && in.Op&bpf.SrcReg != 0 {
			s, ok = regs[i][in.Src].short()
		}
		if !ok {
			continue
		}
		if in.Class() == bpf.ClassJmp32 {
			d, s = uint64(int64(int32(d))), uint64(int64(int32(s)))
		}
		if out == p {
			c := *p
			c.Insns = append([]bpf.Insn(nil), p.Insns...)
			out = &c
		}
		a, b := ranges.ConstScalar(d), ranges.ConstScalar(s)
		out.Insns[i] = bpf.Insn{Op: bpf.ClassJmp | bpf.JmpJA}
		if ranges.DecideNumbers(in.Op&0xf0, &a, &b, true, &kernels.RangeRules{}) == ranges.AlwaysTaken {
			out.Insns[i].Off = in.Off
		}
	}
	return out
}

// short returns the constant if it fits 32 bits unsigned; the pass keeps no others.
func (r foldedReg) short() (uint64, bool) {
	return r.val, r.state == foldConst && r.val == uint64(uint32(r.val))
}

// foldRegs finds what is known at each instruction by iterating to a fixed point.
func foldRegs(p *bpf.Program) []foldedRegs {
	in := make([]foldedRegs, len(p.Insns))
	for _, f := range p.Funcs {
		for r := range in[f.Start] {
			in[f.Start][r].state = foldUnknown
		}
	}
	for changed := true; changed; {
		changed = false
		for i := bpf.InsnIndex(0); int(i) < len(p.Insns); i += p.Insns[i].Width() {
			if in[i][0].state == foldUnvisited {
				continue
			}
			out := in[i]
			out.step(p, i)
			fall, to, jumps := Flow(p.Insns, i)
			if fall {
				changed = in[i+p.Insns[i].Width()].join(&out) || changed
			}
			if jumps {
				changed = in[to].join(&out) || changed
			}
		}
	}
	return in
}

// join merges what is known on one more path.
func (f *foldedRegs) join(from *foldedRegs) (changed bool) {
	for r := range f {
		switch old := &f[r]; {
		case old.state == foldUnvisited:
			*old = from[r]
			changed = true
		case old.state != foldUnknown && *old != from[r]:
			*old = foldedReg{state: foldUnknown}
			changed = true
		}
	}
	return changed
}

// step follows one instruction (const_reg_xfer). Memory is not followed: no map here is read only.
func (f *foldedRegs) step(p *bpf.Program, i bpf.InsnIndex) {
	in := p.Insns[i]
	switch in.Class() {
	case bpf.ClassALU, bpf.ClassALU64:
		f.alu(in)
	case bpf.ClassLDX:
		f[in.Dst] = foldedReg{state: foldUnknown}
	case bpf.ClassLD:
		f.load(p, i)
	case bpf.ClassJmp:
		if in.Op == bpf.OpCall {
			f.call()
		}
	case bpf.ClassSTX:
		if _, writes := in.RegUse(); writes != 0 {
			for r := range f {
				if writes&(1<<r) != 0 {
					f[r] = foldedReg{state: foldUnknown}
				}
			}
		}
	}
}

func (f *foldedRegs) call() {
	for r := range 6 {
		f[r] = foldedReg{state: foldUnknown}
	}
}

func (f *foldedRegs) load(p *bpf.Program, i bpf.InsnIndex) {
	in := p.Insns[i]
	if !in.IsLdImm64() {
		f.call()
		return
	}
	hi := uint64(uint32(p.Insns[i+1].Imm)) << 32
	switch d := &f[in.Dst]; in.Src {
	case 0:
		*d = foldedReg{foldConst, uint64(uint32(in.Imm)) | hi}
	case bpf.PseudoMap, bpf.PseudoMapValue:
		*d = foldedReg{foldPointer, uint64(in.Src)<<56 | uint64(uint32(in.Imm)) | hi<<1}
	default:
		*d = foldedReg{state: foldUnknown}
	}
}

func (f *foldedRegs) alu(in bpf.Insn) {
	d, imm := &f[in.Dst], uint64(int64(in.Imm))
	isConst := d.state == foldConst
	switch op := in.Op & 0xf8; {
	case op == bpf.ALUMov:
		*d = foldedReg{foldConst, imm}
	case op == bpf.ALUMov|bpf.SrcReg:
		*d = f[in.Src].moved(in.Off)
	case op == bpf.ALUAdd && isConst:
		d.val += imm
	case op == bpf.ALUSub && isConst:
		d.val -= imm
	case op == bpf.ALUAnd && (isConst || imm == 0):
		if !isConst {
			d.val = 0
		}
		*d = foldedReg{foldConst, d.val & imm}
	case op == bpf.ALUAnd|bpf.SrcReg:
		*d = d.and(f[in.Src])
	default:
		*d = foldedReg{state: foldUnknown}
	}
	if in.Class() == bpf.ClassALU {
		if d.state == foldConst {
			d.val = uint64(uint32(d.val))
		} else {
			*d = foldedReg{state: foldUnknown}
		}
	}
}

// moved is the register after mov, or movsx from off bits.
func (r foldedReg) moved(off int16) foldedReg {
	switch {
	case off == 0:
		return r
	case r.state != foldConst:
		return foldedReg{state: foldUnknown}
	case off == 8:
		return foldedReg{foldConst, uint64(int64(int8(r.val)))}
	case off == 16:
		return foldedReg{foldConst, uint64(int64(int16(r.val)))}
	case off == 32:
		return foldedReg{foldConst, uint64(int64(int32(r.val)))}
	}
	return foldedReg{state: foldUnknown}
}

func (r foldedReg) and(s foldedReg) foldedReg {
	switch {
	case r == (foldedReg{foldConst, 0}) || s == (foldedReg{foldConst, 0}):
		return foldedReg{foldConst, 0}
	case r.state == foldConst && s.state == foldConst:
		return foldedReg{foldConst, r.val & s.val}
	}
	return foldedReg{state: foldUnknown}
}
