// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"fmt"
	"slices"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/scenarios/choices"
	"github.com/tcsim/tcsim/scenarios/progen"
)

// damage edits a program in one place, as its author could have got it wrong, and says how. Numbers in it stay what a
// loader can give to a kernel: indexes of maps and of kernel functions.
func damage(c *choices.Stream, p *bpf.Program) string {
	p.Insns = slices.Clone(p.Insns)
	if c.Pick(40) == 1 {
		old := p.Type
		p.Type = choices.One(c, bpf.SocketFilter, bpf.Kprobe, bpf.XDP, bpf.SchedCLS, bpf.CGroupSKB, bpf.Tracepoint, bpf.LWTIn)
		return fmt.Sprintf("type %v for %v", p.Type, old)
	}
	var places, telling []bpf.InsnIndex
	for i := bpf.InsnIndex(0); int(i) < len(p.Insns); i += p.Insns[i].Width() {
		places = append(places, i)
		if k := p.Insns[i].Class(); k != bpf.ClassALU && k != bpf.ClassALU64 {
			telling = append(telling, i) // memory, jumps, calls, maps
		}
	}
	if c.Pick(4) != 0 {
		places = telling
	}
	at := places[c.Pick(len(places))]
	before := bpf.TextAt(p.Insns, at)
	was := [2]bpf.Insn{p.Insns[at]}
	for try := 0; ; try++ {
		what := edited(c, p, at)
		if p.Insns[at] != was[0] || what == "swapped" || try == 20 {
			return fmt.Sprintf("insn %d (%s): %s", at, before, what)
		}
	}
}

// edited changes the instruction at a place, or does not.
func edited(c *choices.Stream, p *bpf.Program, at bpf.InsnIndex) string {
	in := &p.Insns[at]
	switch {
	case c.Pick(8) == 1:
		gone(p, at)
		return "gone"
	case c.Pick(16) == 1:
		wide := in.IsLdImm64()
		*in = bpf.Insn{Op: bpf.OpExit}
		if wide {
			p.Insns[at+1] = bpf.Insn{Op: bpf.OpExit}
		}
		return "exit"
	case c.Pick(10) == 1 && int(at)+1 < len(p.Insns) && !in.IsLdImm64() && !p.Insns[at+1].IsLdImm64():
		p.Insns[at], p.Insns[at+1] = p.Insns[at+1], p.Insns[at]
		return "swapped"
	case in.IsLdImm64():
		return editedWide(c, p, at)
	case in.Op == bpf.OpCall:
		return editedCall(c, in)
	}
	switch in.Class() {
	case bpf.ClassALU, bpf.ClassALU64:
		return editedALU(c, in)
	case bpf.ClassJmp, bpf.ClassJmp32:
		return editedJump(c, in)
	}
	return editedAccess(c, in)
}

// gone leaves a jump to the next instruction in place of one.
func gone(p *bpf.Program, at bpf.InsnIndex) {
	for n := p.Insns[at].Width(); n > 0; n-- {
		p.Insns[at+n-1] = bpf.Insn{Op: bpf.OpJA}
	}
}

func editedWide(c *choices.Stream, p *bpf.Program, at bpf.InsnIndex) string {
	in, half := &p.Insns[at], &p.Insns[at+1]
	switch {
	case c.Pick(3) == 1:
		in.Dst = uint8(c.Pick(11))
		return "register"
	case in.Src == bpf.PseudoMap || in.Src == bpf.PseudoMapValue && c.Pick(2) == 1:
		in.Imm = int32(c.Pick(len(p.Maps)))
		return "map"
	case in.Src == bpf.PseudoMapValue:
		half.Imm += choices.One[int32](c, 1, -1, 8, -8, 100, 1000, 1024)
		in.Off = int16(c.Pick(2)) // a reserved field, or only the other half
		return "offset in the value"
	case in.Src == bpf.PseudoFunc:
		in.Imm += choices.One[int32](c, 1, -1, 2)
		return "function"
	}
	in.Imm ^= 1 << c.Pick(31)
	return "number"
}

func editedCall(c *choices.Stream, in *bpf.Insn) string {
	switch {
	case c.Pick(12) == 1:
		in.Dst = 1
		return "reserved field"
	case in.Src == bpf.PseudoCall:
		in.Imm += choices.One[int32](c, 1, -1, 2, -2)
		return "function"
	case in.Src == bpf.PseudoKfunc:
		in.Off = int16(c.Pick(2))
		return "module"
	case c.Pick(2) == 1:
		in.Imm = choices.One[int32](c, 1, 2, 3, 5, 7, 8, 12, 14, 25, 35, 51, 87, 130, 181, 0)
	default:
		in.Imm = int32(c.Pick(212))
	}
	return "helper"
}

func editedALU(c *choices.Stream, in *bpf.Insn) string {
	switch c.Pick(8) {
	case 0:
		in.Dst = uint8(c.Pick(12))
		return "register"
	case 1:
		if in.Op&bpf.SrcReg != 0 {
			in.Src = uint8(c.Pick(12))
			return "source"
		}
		in.Imm = number(c, in.Imm)
		return "number"
	case 2:
		in.Op = in.Op&0x0f | uint8(c.Pick(14))<<4
		return "operation"
	case 3:
		in.Op ^= bpf.ClassALU ^ bpf.ClassALU64
		return "width"
	case 4:
		in.Op ^= bpf.SrcReg
		return "register for number"
	case 5:
		in.Off = choices.One[int16](c, 1, 8, 16, 32, 2)
		return "reserved field"
	}
	if in.Op&bpf.SrcReg != 0 {
		in.Src = uint8(c.Pick(11))
		return "source"
	}
	in.Imm = number(c, in.Imm)
	return "number"
}

// number changes a number, mostly by little.
func number(c *choices.Stream, old int32) int32 {
	switch c.Pick(4) {
	case 0:
		return old + choices.One[int32](c, 1, -1, 2, 4, -4, 8)
	case 1:
		return -old
	case 2:
		return old ^ 1<<c.Pick(32)
	}
	return choices.One[int32](c, 0, 1, -1, 31, 32, 63, 64, 1<<16, -0x80000000, 0x7fffffff)
}

func editedJump(c *choices.Stream, in *bpf.Insn) string {
	switch c.Pick(6) {
	case 0:
		in.Dst = uint8(c.Pick(11))
		return "register"
	case 1:
		if in.Op&bpf.SrcReg != 0 {
			in.Src = uint8(c.Pick(11))
			return "source"
		}
		in.Imm = number(c, in.Imm)
		return "number"
	case 2:
		in.Op = in.Op&0x0f | uint8(c.Pick(14))<<4
		if in.Op&0xf0 == bpf.JmpCall || in.Op&0xf0 == bpf.JmpExit {
			in.Op ^= bpf.JmpCall ^ bpf.JmpNe
		}
		return "condition"
	case 3:
		in.Op ^= bpf.ClassJmp ^ bpf.ClassJmp32
		return "width"
	}
	if d := choices.One[int16](c, 1, -1, 2, -2, 3, -4, 8, -9); in.Op == bpf.OpJA32 {
		in.Imm += int32(d)
	} else {
		in.Off += d
	}
	return "distance"
}

func editedAccess(c *choices.Stream, in *bpf.Insn) string {
	switch c.Pick(8) {
	case 0:
		in.Dst = uint8(c.Pick(11))
		return "register"
	case 1:
		in.Src = uint8(c.Pick(11))
		return "source"
	case 2:
		in.Op = in.Op&^bpf.SizeMask | uint8(c.Pick(4))<<3
		return "size"
	case 3:
		in.Imm = choices.One[int32](c, 1, 0, int32(bpf.AtomicXchg), int32(bpf.AtomicCmpXchg), bpf.ALUSub, bpf.ALUXor)
		return "number"
	case 4:
		in.Op = in.Op&^bpf.ModeMask | choices.One[uint8](c, bpf.ModeMem, bpf.ModeMemSX, bpf.ModeAtomic, bpf.ModeAbs, bpf.ModeInd)
		return "mode"
	}
	in.Off += choices.One[int16](c, 1, -1, 4, -4, 8, -8, 16, -16, 100, 512, -512)
	return "offset"
}

// offered returns program n of a seed for a kernel: one that it takes, or one that is edited in one place, and how. None asks
// for the current task, as what is loaded through its address depends on the types of that very kernel.
func offered(seed, n uint64, can progen.Can, maps []bpf.Map) (*bpf.Program, string) {
	const task = 158 // bpf_get_current_task_btf
	for try := uint64(0); ; try++ {
		c := choices.New(seed, n+try<<32)
		p := progen.Random(c, can).BPF
		p.Name, p.Maps = fmt.Sprintf("offer%d", n), maps
		edit := ""
		if n%4 != 0 {
			edit = damage(c, p)
		}
		if !slices.ContainsFunc(p.Insns, func(in bpf.Insn) bool { return in.Op == bpf.OpCall && in.Src == 0 && in.Imm == task }) {
			return p, edit
		}
	}
}
