// SPDX-License-Identifier: GPL-2.0-only

package progen

import (
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/scenarios/choices"
)

// statement is one kind of statement with how often it comes and when it can.
type statement struct {
	weight int
	can    func(*gen) bool // nil is always
	make   func(*gen)
}

// kinds are all kinds, the simplest first.
var kinds []statement

func init() { // the table refers to what uses it
	kinds = []statement{
		{10, nil, (*gen).moves},
		{24, nil, (*gen).arithmetic},
		{6, nil, (*gen).unary},
		{10, nil, (*gen).stack},
		{10, nil, (*gen).memory},
		{6, nil, (*gen).atomic},
		{10, nil, (*gen).branch},
		{3, nil, (*gen).indexed},
		{2, nil, (*gen).spills},
		{3, nil, (*gen).filler},
		{2, nil, (*gen).leave},
		{3, (*gen).canLoop, (*gen).loop},
		{2, (*gen).canMayGoto, (*gen).mayGoto},
		{3, nil, (*gen).ask},
		{3, nil, (*gen).lookup},
		{2, nil, (*gen).update},
		{5, (*gen).canCall, (*gen).call},
		{3, (*gen).canCallBack, (*gen).callBack},
		{12, (*gen).canTailCall, (*gen).tailCall},
		{4, (*gen).canThrow, (*gen).throw},
		{4, (*gen).hasContext, (*gen).contextField},
		{4, (*gen).canPacket, (*gen).packet},
		{6, (*gen).canAbsolute, (*gen).absolute},
		{8, (*gen).canProbe, (*gen).probe},
		{3, (*gen).canArena, (*gen).inArena},
	}
}

// statements makes some statements: one in n ends them.
func (g *gen) statements(n int) {
	weights := make([]int, len(kinds))
	for g.c.More(n) && g.left > 0 {
		g.left--
		for i := range kinds {
			weights[i] = kinds[i].weight
			if can := kinds[i].can; can != nil && !can(g) {
				weights[i] = 0
			}
		}
		kinds[g.pick(weights)].make(g)
	}
}

// The comparisons; those that came with 4.14 are last.
var comparisons = []uint8{
	bpf.JmpEq, bpf.JmpNe, bpf.JmpGt, bpf.JmpGe, bpf.JmpSet, bpf.JmpSgt, bpf.JmpSge, bpf.JmpLt, bpf.JmpLe, bpf.JmpSlt, bpf.JmpSle,
}

// compare appends a conditional jump on numbers.
func (g *gen) compare() int {
	ops := comparisons
	if !g.isa(kernels.ISAJumpLess) {
		ops = ops[:7]
	}
	op := choices.One(g.c, ops...) | bpf.ClassJmp
	if g.isa(kernels.ISAJump32) && g.c.Pick(2) == 1 {
		op = op&^7 | bpf.ClassJmp32
	}
	r := g.src()
	if g.c.Pick(2) == 1 {
		return g.jump(op|bpf.SrcReg, r, g.src(), 0)
	}
	return g.jump(op, r, 0, g.imm())
}

// leap appends an unconditional jump.
func (g *gen) leap() int {
	if g.isa(kernels.ISAGotol) && g.c.Pick(3) == 1 {
		return g.jump(bpf.OpJA32, 0, 0, 0)
	}
	return g.jump(bpf.OpJA, 0, 0, 0)
}

// nested makes statements inside of another one.
func (g *gen) nested() {
	if g.f.nesting == maxNesting {
		return
	}
	g.f.nesting++
	g.statements(3)
	g.f.nesting--
}

// branch is an if, with or without an else.
func (g *gen) branch() {
	f := g.f
	j := g.compare()
	before := f.s
	g.nested()
	if g.c.Pick(2) == 0 {
		f.s.join(&before)
		g.land(j)
		return
	}
	k := g.leap()
	after := f.s
	f.s = before
	g.land(j)
	g.nested()
	f.s.join(&after)
	g.land(k)
}

// leave ends the function early.
func (g *gen) leave() {
	f := g.f
	j := g.compare()
	before := f.s
	if f.zero || g.c.Pick(2) == 0 || f.s.reg[0].kind != num {
		imm := g.imm()
		if f.zero {
			imm &= 1
		}
		g.movImm(0, imm)
	}
	g.emit(bpf.Insn{Op: bpf.OpExit})
	f.s = before
	g.land(j)
}

func (g *gen) canLoop() bool { return g.can.loops() && g.f.nesting < maxNesting }

// counter chooses a register that calls keep for a loop to count in; ok is false if all are taken.
func (g *gen) counter() (r int, ok bool) {
	r = g.c.Pick(4)
	for range 4 {
		if !g.f.locked.Has(6 + r) {
			return 6 + r, true
		}
		r = (r + 1) % 4
	}
	return 0, false
}

// loop runs statements a few times. What it counts in is a register, or on the stack.
func (g *gen) loop() {
	f := g.f
	n := int32(1 + g.c.Pick(4))
	r, ok := g.counter()
	if onStack := g.c.Pick(3) == 1; onStack || !ok {
		g.loopOnStack(n)
		return
	}
	f.s.numbersOnly()
	g.movImm(r, n)
	f.locked |= 1 << r
	head, before := len(f.insns), f.s
	g.nested()
	g.restore(&before)
	g.emit(bpf.Insn{Op: g.class() | bpf.ALUAdd, Dst: uint8(r), Imm: -1})
	g.back(g.jump(g.jumpClass()|bpf.JmpNe, r, 0, 0), head)
	f.locked &^= 1 << r
}

// jumpClass chooses between 64 and 32 bits.
func (g *gen) jumpClass() uint8 {
	if g.isa(kernels.ISAJump32) && g.c.Pick(2) == 1 {
		return bpf.ClassJmp32
	}
	return bpf.ClassJmp
}

func (g *gen) loopOnStack(n int32) {
	f := g.f
	f.s.numbersOnly()
	off, r := g.slot(8), g.writable()
	held := uint64(1) << uint(word(off))
	at := bpf.Insn{Op: bpf.ClassSTX | bpf.ModeMem | bpf.SizeDW, Dst: 10, Src: uint8(r), Off: int16(off)}
	g.movImm(r, n)
	g.emit(at)
	f.s.put(off, 8)
	f.held |= held
	head, before := len(f.insns), f.s
	g.nested()
	g.restore(&before)
	r = g.writable()
	at.Src = uint8(r)
	g.emit(bpf.Insn{Op: bpf.ClassLDX | bpf.ModeMem | bpf.SizeDW, Dst: uint8(r), Src: 10, Off: int16(off)})
	f.s.reg[r] = val{kind: num}
	g.emit(bpf.Insn{Op: bpf.ClassALU64 | bpf.ALUSub, Dst: uint8(r), Imm: 1})
	g.emit(at)
	g.back(g.jump(g.jumpClass()|bpf.JmpNe, r, 0, 0), head)
	f.held &^= held
}

// restore makes what held numbers at the head of a loop hold numbers again.
func (g *gen) restore(head *state) {
	f := g.f
	for r := range head.reg {
		if head.reg[r].kind == num && (f.s.reg[r].kind != num || f.s.reg[r].half && !head.reg[r].half) {
			g.movImm(r, 0)
		}
	}
	for w := range head.written {
		if head.written[w]&^f.s.written[w] != 0 {
			g.storeImm(bpf.SizeDW, 10, 8*w-8*words, 0)
			f.s.put(8*w-8*words, 8)
		}
	}
}

func (g *gen) canMayGoto() bool { return g.isa(kernels.ISAMayGoto) && g.f.nesting < maxNesting }

// mayGoto is a loop that may_goto bounds, which ends before that by itself.
func (g *gen) mayGoto() {
	f := g.f
	r, ok := g.counter()
	if !ok {
		return
	}
	f.s.numbersOnly()
	g.movImm(r, 0)
	f.locked |= 1 << r
	head, before := len(f.insns), f.s
	may := g.jump(bpf.OpMayGoto, 0, 0, 0)
	out := g.jump(bpf.ClassJmp|bpf.JmpGt, r, 0, int32(g.c.Pick(4)))
	g.nested()
	g.restore(&before)
	g.emit(bpf.Insn{Op: bpf.ClassALU64 | bpf.ALUAdd, Dst: uint8(r), Imm: 1})
	g.back(g.leap(), head)
	f.s = before
	g.land(may)
	g.land(out)
	f.locked &^= 1 << r
}
