// SPDX-License-Identifier: GPL-2.0-only

package progen

import (
	"fmt"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/scenarios/choices"
)

// Numbers of helpers (include/uapi/linux/bpf.h, enum bpf_func_id).
const (
	helperLookup, helperUpdate, helperDelete   = 1, 2, 3
	helperKtime, helperPrandom, helperCPU      = 5, 7, 8
	helperJiffies, helperKtimeBoot, helperTask = 118, 125, 158
	helperLoop                                 = 181
)

// helper calls a helper, after which R0 is a number.
func (g *gen) helper(n int32) {
	g.emit(bpf.Insn{Op: bpf.OpCall, Imm: n})
	g.f.s.called()
	g.f.s.reg[0] = val{kind: num}
}

// ask calls a helper without arguments.
func (g *gen) ask() {
	n := choices.One[int32](g.c, helperCPU, helperPrandom, helperKtime, helperJiffies, helperKtimeBoot)
	if !g.can.helper(n) {
		n = helperKtime
	}
	g.helper(n)
}

// key stores a key on the stack.
func (g *gen) key() (off int) {
	f := g.f
	if off = g.slot(8); g.c.Pick(2) == 1 {
		if r, ok := g.numeric(true); ok {
			g.emit(bpf.Insn{Op: bpf.ClassALU64 | bpf.ALUAnd, Dst: uint8(r), Imm: 7})
			g.emit(bpf.Insn{Op: bpf.ClassSTX | bpf.ModeMem | bpf.SizeDW, Dst: 10, Src: uint8(r), Off: int16(off)})
			f.s.put(off, 8)
			return off
		}
	}
	g.storeImm(bpf.SizeDW, 10, off, int32(g.c.Pick(6)))
	f.s.put(off, 8)
	return off
}

// stackArg makes a register the address of a place on the stack.
func (g *gen) stackArg(r, off int) {
	g.movReg(r, 10)
	g.emit(bpf.Insn{Op: bpf.ClassALU64 | bpf.ALUAdd, Dst: uint8(r), Imm: int32(off)})
}

// lookupAt looks up the key at off: R0 is an address then, or 0.
func (g *gen) lookupAt(m, off int) {
	g.wide(1, bpf.PseudoMap, int32(m), 0)
	g.f.s.reg[1] = val{kind: other}
	g.stackArg(2, off)
	g.helper(helperLookup)
	g.f.s.reg[0] = val{}
}

// lookup looks up a key and uses the value, if there is one.
func (g *gen) lookup() {
	f := g.f
	m := choices.One(g.c, MapTable, MapHash, MapPerCPU)
	g.lookupAt(m, g.key())
	j := g.jump(bpf.ClassJmp|bpf.JmpEq, 0, 0, 0)
	before := f.s
	f.s.reg[0] = val{kind: value, hi: elemSize}
	r := 0
	if to := g.writable(); to != 0 {
		r = to
		g.movReg(r, 0)
	}
	for n := g.c.Pick(3); n > 0 && f.s.reg[r].kind == value; n-- {
		size := choices.One(g.c, sizes...)
		if off := g.offset(f.s.reg[r], bytesOf(size), 1); g.c.Pick(2) == 0 {
			g.store(size, off, r)
		} else {
			g.load(size, g.writable(), r, off)
		}
	}
	f.s.join(&before)
	g.land(j)
}

// tableValue returns a register with the address of a value that is looked up. Without it the function ends.
func (g *gen) tableValue() int {
	f := g.f
	off := g.slot(8)
	g.storeImm(bpf.SizeDW, 10, off, int32(g.c.Pick(tableEntries)))
	f.s.put(off, 8)
	g.lookupAt(MapTable, off)
	j := g.jump(bpf.ClassJmp|bpf.JmpNe, 0, 0, 0)
	before := f.s
	g.movImm(0, 0)
	g.emit(bpf.Insn{Op: bpf.OpExit})
	f.s = before
	g.land(j)
	f.s.reg[0] = val{kind: value, hi: elemSize}
	return 0
}

// update stores a value in a map or deletes a key.
func (g *gen) update() {
	f := g.f
	m := choices.One(g.c, MapHash, MapTable)
	key := g.key()
	if m == MapHash && g.c.Pick(3) == 1 {
		g.wide(1, bpf.PseudoMap, int32(m), 0)
		f.s.reg[1] = val{kind: other}
		g.stackArg(2, key)
		g.helper(helperDelete)
		return
	}
	off := g.value()
	for _, at := range []int{off, off + 8} {
		if !f.s.holds(at, 8) {
			g.storeImm(bpf.SizeDW, 10, at, g.imm())
			f.s.put(at, 8)
		}
	}
	g.wide(1, bpf.PseudoMap, int32(m), 0)
	f.s.reg[1] = val{kind: other}
	g.stackArg(2, key)
	g.stackArg(3, off)
	g.movImm(4, int32(g.c.Pick(3)))
	g.helper(helperUpdate)
}

// value chooses a place on the stack for a value of a map. Loops do not count there: until 6.12 the verifier forgets what
// it knows of memory that a helper reads.
func (g *gen) value() int {
	n := g.f.stack / elemSize
	at := g.c.Pick(n)
	for range n {
		if off := -elemSize * (at + 1); g.f.held>>uint(word(off))&3 == 0 {
			return off
		}
		at = (at + 1) % n
	}
	panic("BUG: loops count everywhere") // there are three nested ones
}

func (g *gen) canCall() bool {
	return g.subprograms && g.calls < maxCalls && g.f.depth+1 < maxFuncs
}

// call calls a function, which may have to be made first.
func (g *gen) call() {
	f := g.f
	g.calls++
	to := -1
	if g.c.Pick(2) == 1 {
		for i := range g.fns {
			if x := g.fns[i]; x.depth > f.depth && x.done && !x.callback && x.below == f.below && (x.home < 0 || f.home >= 0) {
				to = i
			}
		}
	}
	if to < 0 {
		if to = g.function(g.c.Pick(4), f.home >= 0 && g.c.Pick(2) == 1, false); to < 0 {
			return
		}
	}
	x := g.fns[to]
	first := 1
	if x.home >= 0 {
		g.movReg(1, f.home)
		first = 2
	}
	for r := first; r < first+x.args; r++ {
		if f.s.reg[r].kind == num && g.c.Pick(2) == 0 {
			continue
		}
		if s, ok := g.numeric(false); ok {
			g.movReg(r, s)
		} else {
			g.movImm(r, g.imm())
		}
	}
	f.links = append(f.links, link{g.emit(bpf.Insn{Op: bpf.OpCall, Src: bpf.PseudoCall}), to})
	f.s.called()
	f.s.reg[0] = val{kind: num}
}

// function makes a function; it returns -1 if there are enough.
func (g *gen) function(args int, context, callback bool) int {
	f := g.f
	if len(g.fns) == maxFuncs {
		return -1
	}
	x := &fn{
		name: fmt.Sprintf("f%d", len(g.fns)), stack: sharedStack, home: -1, depth: f.depth + 1, args: args, callback: callback,
		zero: callback, below: callback || f.below,
	}
	to := len(g.fns)
	g.fns, g.f = append(g.fns, x), x
	first := 1
	if context {
		x.s.reg[1] = val{kind: ctx}
		x.home = 6 + g.c.Pick(4)
		x.locked |= 1 << x.home
		first = 2
	}
	for r := first; r < first+args; r++ {
		x.s.reg[r] = val{kind: num}
	}
	if context {
		g.movReg(x.home, 1)
		x.s.reg[1] = val{}
	}
	g.statements(4)
	g.finish()
	x.done = true
	g.f = f
	return to
}

func (g *gen) canCallBack() bool { return g.canCall() && g.can.helper(helperLoop) }

// callBack has a helper call a function a few times.
func (g *gen) callBack() {
	f := g.f
	g.calls++
	to := g.function(1, false, true)
	if to < 0 {
		return
	}
	g.movImm(1, 1+int32(g.c.Pick(4))) // with no rounds the verifier removes the function and misses it
	f.links = append(f.links, link{len(f.insns), to})
	g.wide(2, bpf.PseudoFunc, 0, 0)
	f.s.reg[2] = val{kind: none}
	if g.c.Pick(2) == 0 {
		g.movImm(3, 0)
	} else {
		g.stackArg(3, -8)
	}
	g.movImm(4, 0)
	g.helper(helperLoop)
}

func (g *gen) canTailCall() bool {
	return g.tailCalls && g.f.home >= 0 && !g.f.below && g.f.depth < 2
}

// tailCall makes a tail call that is refused: its slot is empty, or does not exist.
func (g *gen) tailCall() {
	f := g.f
	if g.c.Pick(2) == 1 {
		r := g.src()
		g.movReg(3, r)
		if g.c.Pick(2) == 1 {
			g.emit(bpf.Insn{Op: bpf.ClassALU64 | bpf.ALUAnd, Dst: 3, Imm: 1})
		}
	} else {
		g.movImm(3, int32(g.c.Pick(4)))
	}
	g.movReg(1, f.home)
	g.wide(2, bpf.PseudoMap, MapJump, 0)
	f.s.reg[2] = val{kind: other}
	g.emit(bpf.Insn{Op: bpf.OpCall, Imm: bpf.HelperTailCall})
	f.s.called()
}

func (g *gen) canThrow() bool {
	return g.isa(kernels.ISAExceptions) && g.typ == bpf.SchedCLS && !g.f.below
}

// throw ends the program by an exception, if a number is what it must be.
func (g *gen) throw() {
	f := g.f
	j := g.compare()
	before := f.s
	if r, ok := g.numeric(false); ok && g.c.Pick(2) == 1 {
		g.movReg(1, r)
	} else {
		g.movImm(1, g.imm())
	}
	g.kfuncs = []string{bpf.ThrowKfunc}
	g.emit(bpf.Insn{Op: bpf.OpCall, Src: bpf.PseudoKfunc})
	f.s = before
	g.land(j)
}
