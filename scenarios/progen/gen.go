// SPDX-License-Identifier: GPL-2.0-only

package progen

import (
	"encoding/binary"
	"slices"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/scenarios/choices"
)

// Bounds of a program.
const (
	maxStatements = 40 // in all functions
	maxFuncs      = 4
	maxNesting    = 3
	maxCalls      = 5 // calls of subprograms and of helpers that call back
	// Bytes of stack: of a function alone, and of each function of several.
	aloneStack, sharedStack = 512, 96
)

// gen makes one program.
type gen struct {
	c     *choices.Stream
	can   Can
	typ   bpf.ProgType
	fns   []*fn
	left  int // statements
	calls int
	out   *Program
	// Decisions about the whole program.
	context, subprograms, tailCalls bool
	kfuncs                          []string
	f                               *fn // being made
}

// fn is one function.
type fn struct {
	name     string
	insns    []bpf.Insn
	defined  []Regs
	address  []Regs
	halves   []Regs
	links    []link
	s        state
	stack    int    // bytes that may be used
	locked   Regs   // registers that statements must not write
	held     uint64 // words of the stack that statements must not write
	home     int    // register with the context, -1 if there is none
	depth    int    // calls above it
	nesting  int
	args     int
	callback bool
	below    bool // a helper has called it, or what calls it
	zero     bool // returns 0 or 1
	done     bool
}

// link is an instruction that names a function.
type link struct{ at, fn int }

// Random makes the program that a stream of choices stands for.
func Random(c *choices.Stream, can Can) *Program {
	g := &gen{c: c, can: can, left: maxStatements, out: &Program{inputs: map[int]int{}}}
	g.typ = choices.One(c, types...)
	g.context = c.Pick(3) == 1
	g.out.context = g.context
	g.subprograms = can.Subprograms && c.Pick(2) == 1
	g.tailCalls = g.context && c.Pick(3) == 1 && (can.Mixed || !g.subprograms)
	main := &fn{name: "main", stack: aloneStack, home: -1}
	if g.subprograms || g.tailCalls {
		main.stack = sharedStack
	}
	g.fns, g.f = append(g.fns, main), main
	g.begin()
	g.statements(6)
	g.finish()
	g.layout()
	return g.out
}

// begin writes what comes before the statements of the main function: the context's home, and registers with
// numbers that no verifier knows.
func (g *gen) begin() {
	f := g.f
	f.s.reg[1] = val{kind: ctx}
	if g.context {
		f.home = 6 + g.c.Pick(4)
		f.locked |= 1 << f.home
		g.movReg(f.home, 1)
	}
	f.s.reg[1] = val{}
	n := g.c.Pick(7)
	if n == 0 {
		return
	}
	from := g.inputs()
	last := -1
	for i := range n {
		r := g.writable()
		if r == from {
			last = i
			continue
		}
		g.input(r, from, i)
	}
	if last >= 0 {
		g.input(from, from, last)
	}
}

// inputs makes a register the address of the inputs.
func (g *gen) inputs() int {
	f := g.f
	if g.can.values() && g.c.Pick(4) != 3 {
		r := g.writable()
		g.mapValue(r, MapIn, 0)
		f.s.reg[r] = val{kind: value, hi: inSize}
		g.out.direct = true
		return r
	}
	g.storeImm(bpf.SizeW, 10, -4, 0)
	f.s.put(-4, 4)
	g.lookupAt(MapIn, -4)
	j := g.jump(bpf.ClassJmp|bpf.JmpNe, 0, 0, 0)
	g.movImm(0, 0)
	g.emit(bpf.Insn{Op: bpf.OpExit})
	g.land(j)
	f.s.reg[0] = val{kind: value, hi: inSize}
	return 0
}

// input loads word i of the inputs, which is given a value.
func (g *gen) input(r, from, i int) {
	binary.LittleEndian.PutUint64(g.out.In[8*i:], g.number())
	g.out.inputs[g.emit(bpf.Insn{Op: bpf.ClassLDX | bpf.ModeMem | bpf.SizeDW, Dst: uint8(r), Src: uint8(from), Off: int16(8 * i)})] = i
	g.f.s.reg[r] = val{kind: num}
}

// finish ends a function: R0 becomes a number that what the main function knows has gone into.
func (g *gen) finish() {
	f := g.f
	if f.s.reg[0].kind != num {
		g.movImm(0, 0)
	}
	switch {
	case f.zero:
		g.emit(bpf.Insn{Op: bpf.ClassALU64 | bpf.ALUAnd, Imm: 1})
	case f == g.fns[0]:
		for r := 1; r < 10; r++ {
			if f.s.reg[r].kind == num {
				g.emit(bpf.Insn{Op: bpf.ClassALU64 | bpf.SrcReg | [2]uint8{bpf.ALUAdd, bpf.ALUXor}[r&1], Dst: 0, Src: uint8(r)})
			}
		}
		// The upper half counts as well where only the lower one is returned.
		g.movReg(1, 0)
		g.emit(bpf.Insn{Op: bpf.ClassALU64 | bpf.ALURsh, Dst: 1, Imm: 32})
		g.emit(bpf.Insn{Op: bpf.ClassALU64 | bpf.SrcReg | bpf.ALUXor, Dst: 0, Src: 1})
	}
	g.emit(bpf.Insn{Op: bpf.OpExit})
}

// layout puts the functions one after the other.
func (g *gen) layout() {
	p := &bpf.Program{Name: "prog", Type: g.typ, Maps: Maps, Kfuncs: g.kfuncs}
	for _, f := range g.fns {
		p.Funcs = append(p.Funcs, bpf.Func{Name: f.name, Start: bpf.InsnIndex(len(p.Insns))})
		p.Insns = append(p.Insns, f.insns...)
		g.out.Defined = append(g.out.Defined, f.defined...)
		g.out.Addresses = append(g.out.Addresses, f.address...)
		g.out.Halves = append(g.out.Halves, f.halves...)
	}
	for i, f := range g.fns {
		for _, l := range f.links {
			at := int(p.Funcs[i].Start) + l.at
			p.Insns[at].Imm = int32(int(p.Funcs[l.fn].Start) - at - 1)
		}
	}
	g.out.BPF = p
	g.out.Size = 2*len(p.Insns) + 3*len(p.Funcs)
	for _, b := range g.out.In {
		if b != 0 {
			g.out.Size++
		}
	}
}

// emit appends an instruction, before which the state is what it is now.
func (g *gen) emit(in bpf.Insn) int {
	f := g.f
	f.insns = append(f.insns, in)
	f.defined = append(f.defined, f.s.regs(true))
	f.address = append(f.address, f.s.regs(false))
	f.halves = append(f.halves, f.s.halves())
	if _, writes := in.RegUse(); in.Op != 0 && in.Class() != bpf.ClassJmp && in.Class() != bpf.ClassJmp32 {
		for r := range f.s.reg {
			if Regs(writes).Has(r) {
				f.s.reg[r].half = r == 0 && in.Class() == bpf.ClassSTX && in.Imm == bpf.AtomicCmpXchg && in.Size() == 4
			}
		}
	}
	return len(f.insns) - 1
}

// wide appends a 16-byte load.
func (g *gen) wide(dst int, src uint8, low, high int32) {
	g.emit(bpf.Insn{Op: bpf.OpLdImm64, Dst: uint8(dst), Src: src, Imm: low})
	g.emit(bpf.Insn{Imm: high})
}

func (g *gen) mapValue(r, m, off int) { g.wide(r, bpf.PseudoMapValue, int32(m), int32(off)) }

func (g *gen) movReg(dst, src int) {
	g.emit(bpf.Insn{Op: bpf.OpMovReg, Dst: uint8(dst), Src: uint8(src)})
	if src == 10 {
		g.f.s.reg[dst] = val{kind: frame}
		return
	}
	g.f.s.reg[dst] = g.f.s.reg[src]
	g.f.s.reg[dst].half = false // the move reads all of it
}

func (g *gen) movImm(r int, imm int32) {
	g.emit(bpf.Insn{Op: bpf.OpMov, Dst: uint8(r), Imm: imm})
	g.f.s.reg[r] = val{kind: num}
}

func (g *gen) storeImm(size uint8, base, off int, imm int32) {
	g.emit(bpf.Insn{Op: bpf.ClassST | bpf.ModeMem | size, Dst: uint8(base), Off: int16(off), Imm: imm})
}

// jump appends a jump whose end is still to be said.
func (g *gen) jump(op uint8, dst, src int, imm int32) int {
	return g.emit(bpf.Insn{Op: op, Dst: uint8(dst), Src: uint8(src), Imm: imm})
}

// land lets a jump lead to what comes next.
func (g *gen) land(at int) {
	in := &g.f.insns[at]
	if d := len(g.f.insns) - at - 1; in.Op == bpf.OpJA32 {
		in.Imm = int32(d)
	} else {
		in.Off = int16(d)
	}
}

// back lets a jump lead back.
func (g *gen) back(at, to int) {
	in := &g.f.insns[at]
	if d := to - at - 1; in.Op == bpf.OpJA32 {
		in.Imm = int32(d)
	} else {
		in.Off = int16(d)
	}
}

// writable chooses a register that a statement may write.
func (g *gen) writable() int {
	r := g.c.Pick(10)
	for g.f.locked.Has(r) {
		r = (r + 1) % 10
	}
	return r
}

// numeric chooses a register that holds a number, also one that is locked unless it is to be written; ok is false if
// there is none.
func (g *gen) numeric(write bool) (r int, ok bool) {
	r = g.c.Pick(10)
	for range 10 {
		if g.f.s.reg[r].kind == num && !(write && g.f.locked.Has(r)) {
			return r, true
		}
		r = (r + 1) % 10
	}
	return 0, false
}

// dst is numeric for writing, where there is none a register that is given a number.
func (g *gen) dst() int {
	r, ok := g.numeric(true)
	if !ok {
		if r = g.writable(); g.f.s.reg[r].kind != num {
			g.movImm(r, g.imm())
		}
	}
	return r
}

// src is numeric for reading.
func (g *gen) src() int {
	if r, ok := g.numeric(false); ok {
		return r
	}
	return g.dst()
}

// isa reports whether the kernel has instructions.
func (g *gen) isa(i kernels.ISA) bool { return g.can.has(i) }

// imm chooses an immediate.
func (g *gen) imm() int32 {
	switch g.c.Pick(16) {
	case 1:
		return 1
	case 2:
		return -1
	case 3:
		return int32(g.c.Pick(8))
	case 4:
		return choices.One[int32](g.c, 126, 127, 128, 129)
	case 5:
		return choices.One[int32](g.c, -127, -128, -129, -130)
	case 6:
		return choices.One[int32](g.c, 0x7fffffff, -0x80000000, -0x7fffffff, 0x7ffffffe)
	case 7:
		return choices.One[int32](g.c, 255, 256, 65535, 65536, 32767, 32768, -32768, -32769)
	case 8:
		return 1 << g.c.Pick(31)
	case 9:
		return -1 << g.c.Pick(31)
	case 10, 11:
		return int32(g.c.Pick(256)) - 128
	case 12, 13, 14:
		return int32(uint32(g.c.Pick(1<<16))<<16 | uint32(g.c.Pick(1<<16)))
	}
	return 0
}

// number chooses a number of 64 bits.
func (g *gen) number() uint64 {
	switch g.c.Pick(10) {
	case 1:
		return uint64(int64(g.imm()))
	case 2:
		return uint64(uint32(g.imm()))
	case 3:
		return uint64(uint32(g.imm()))<<32 | uint64(uint32(g.imm()))
	case 4:
		return 1 << g.c.Pick(64)
	case 5:
		return 1<<g.c.Pick(64) - 1
	case 6:
		return 1 << 63
	case 7, 8, 9:
		return uint64(g.c.Pick(1<<16))<<48 | uint64(g.c.Pick(1<<16))<<32 | uint64(g.c.Pick(1<<16))<<16 | uint64(g.c.Pick(1<<16))
	}
	return 0
}

// pick chooses from weighted possibilities; the first is the simplest.
func (g *gen) pick(weights []int) int {
	total := 0
	for _, w := range weights {
		total += w
	}
	n := g.c.Pick(total)
	return slices.IndexFunc(weights, func(w int) bool { n -= w; return n < 0 })
}
