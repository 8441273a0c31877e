// SPDX-License-Identifier: GPL-2.0-only

package scenarios

import (
	"cmp"

	"github.com/tcsim/tcsim/jit/bpf"
)

// block emits steps in order. It reports whether control leaves the function in all of them.
func (e *emitter) block(steps []Step) (returns bool) {
	for i := range steps {
		if returns {
			e.failf(steps[i].Pos, "this step is never reached: the ones before it return")
			return true
		}
		e.pos = steps[i].Pos
		returns = e.step(&steps[i])
	}
	return returns
}

// step emits one step. Steps with missing parts were reported when they were read.
func (e *emitter) step(s *Step) (returns bool) {
	switch {
	case s.Count != nil:
		e.count(s.Count)
	case s.Call != nil:
		e.call(s)
	case s.TailCall != nil:
		e.tailCall(s.TailCall)
	case s.Helper != nil:
		e.helper(s.Helper.ID)
	case s.Clobber != nil:
		e.clobber(*s.Clobber)
	case s.Atomic != nil && s.On != nil && s.To != nil:
		e.atomic(s)
	case s.Set != nil && s.To != nil:
		e.set(s.Set, s.To)
	case s.Check != nil && s.Is != nil:
		e.bad = append(e.bad, e.branch(s.Check, s.Is))
	case s.If != nil && s.Is != nil:
		return e.ifElse(s)
	case s.Repeat != nil:
		e.repeat(s)
	case s.Return != nil:
		e.ret(s.Return)
		return true
	default:
		e.failf(s.Pos, "a step that lacks a part")
	}
	return false
}

func (e *emitter) count(v *Value) {
	if v.Kind == ValueArg {
		e.countArg()
		return
	}
	if v.Kind != ValueMap {
		e.failf(v.Pos, "expected a map value to count in, found %q", v.Text)
		return
	}
	size, ok := e.location(v)
	if !ok {
		return
	}
	if !e.lookedUp(v) {
		e.mapAddr(2, v.Map, bpf.PseudoMapValue, v.Off)
		e.load(size, 3, 2, 0)
		e.addImm(3, 1)
		e.store(size, 2, 0, 3)
		return
	}
	e.lookup(v)
	missing := e.jumpTo(bpf.Insn{Op: bpf.ClassJmp | bpf.JmpEq, Dst: 0})
	e.load(size, 1, 0, int16(v.Off))
	e.addImm(1, 1)
	e.store(size, 0, int16(v.Off), 1)
	e.land([]int{missing})
}

func (e *emitter) tailCall(v *Value) {
	m, _ := e.b.mapEntry(v)
	if m == nil {
		return
	}
	if m.Value.Type != ProgArray {
		e.failf(v.Pos, "expected a prog_array to tail call through, found %s %s", cmp.Or(m.Value.Type, Array), v.Map)
		return
	}
	if v.Off != 0 || v.Size != 0 || v.Times != 0 {
		e.failf(v.Pos, "expected map[key], found %q", v.Text)
		return
	}
	early := e.lookedUp(v.Key)
	if early {
		e.read(v.Key, 3)
	}
	e.ctxInR1()
	e.mapAddr(2, v.Map, bpf.PseudoMap, 0)
	if !early {
		e.read(v.Key, 3)
	}
	e.helper(bpf.HelperTailCall)
	e.result = false // after a refused tail call r0 is junk
}

// clobber does what clobber_regs_stack of the kernel's tests does: it overwrites stack that a
// caller may rely on and calls a helper, which trashes the caller-saved registers.
func (e *emitter) clobber(n int) {
	if n < 8 || n > maxStack {
		e.failf(e.pos, "expected 8 to %d bytes of stack to clobber, found %d", maxStack, n)
		return
	}
	before := e.depth
	e.alloc(n)
	e.clear(before, e.depth-before)
	e.depth = before // nothing is kept there
	const ktimeGetNs = 5
	e.helper(ktimeGetNs)
	e.result = false
}

func (e *emitter) set(place, to *Value) {
	if place.Kind == ValueReg && !e.lookedUp(to) {
		e.read(to, uint8(place.Reg))
		return
	}
	if to.Kind == ValueResult && place.Kind == ValueMap && e.lookedUp(place) && !e.result {
		e.failf(to.Pos, "no result here: no call comes directly before, or a later step lost it")
		return
	}
	e.read(to, 2)
	e.write(place)
}

// branch emits a jump that is taken if x differs from y and returns its slot.
func (e *emitter) branch(x, y *Value) int {
	if y.Kind == ValueInt && int64(int32(y.Int)) == y.Int {
		e.read(x, 2)
		return e.jumpTo(bpf.Insn{Op: bpf.ClassJmp | bpf.JmpNe, Dst: 2, Imm: int32(y.Int)})
	}
	e.readBoth(x, y)
	return e.jumpTo(bpf.Insn{Op: bpf.ClassJmp | bpf.JmpNe | bpf.SrcReg, Dst: 2, Src: 3})
}

func (e *emitter) ifElse(s *Step) (returns bool) {
	differs := e.branch(s.If, s.Is)
	inR1, result := e.inR1, e.result
	thenReturns := e.block(s.Then)
	thenR1, thenResult := e.inR1 || thenReturns, e.result || thenReturns
	e.inR1, e.result = inR1, result
	var over []int
	if !thenReturns && len(s.Else) > 0 {
		over = append(over, e.jumpTo(bpf.Insn{Op: bpf.OpJA}))
	}
	e.land([]int{differs})
	elseReturns := e.block(s.Else)
	e.land(over)
	e.inR1 = (e.inR1 || elseReturns) && thenR1
	e.result = (e.result || elseReturns) && thenResult
	return thenReturns && elseReturns
}

func (e *emitter) repeat(s *Step) {
	if *s.Repeat < 1 {
		e.failf(s.Pos, "expected at least one repetition, found %d", *s.Repeat)
		return
	}
	if len(e.free) == 0 {
		e.failf(s.Pos, "no register of r6 to r9 is free to count the repetitions in")
		return
	}
	counter := e.free[0]
	e.free = e.free[1:]
	e.moveImm(counter, int64(*s.Repeat))
	head := len(e.unit.Insns)
	if lost, _ := e.needsCtx(s.Do, false); lost {
		e.inR1 = false
	}
	e.result = false // not in every round
	if e.block(s.Do) {
		e.failf(s.Pos, "the body of repeat always returns")
		return
	}
	e.pos = s.Pos
	e.addImm(counter, -1)
	dist := head - len(e.unit.Insns) - 1
	if dist < -1<<15 {
		e.failf(s.Pos, "the body of repeat is too long: %d instructions", -dist)
		return
	}
	e.op(bpf.Insn{Op: bpf.ClassJmp | bpf.JmpNe, Dst: counter, Off: int16(dist)})
	e.free = append([]uint8{counter}, e.free...)
}

func (e *emitter) ret(v *Value) {
	e.read(v, 0)
	for _, r := range e.fn.Saved {
		e.bad = append(e.bad, e.jumpTo(bpf.Insn{Op: bpf.ClassJmp | bpf.JmpNe, Dst: uint8(r), Imm: e.mark(r)}))
	}
	e.op(bpf.Insn{Op: bpf.OpExit})
}
