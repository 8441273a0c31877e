// SPDX-License-Identifier: GPL-2.0-only

package scenarios

import (
	"math"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/scenarios/asm"
)

// emitter translates the steps of one function into what a compiler would plausibly make of them:
// ctx stays in r1 as long as nothing clobbers it and is otherwise kept in the first free
// callee-saved register, operands pass through r2 and r3, results through r0.
type emitter struct {
	b    *builder
	name string
	fn   *Function
	unit *asm.Unit

	ctx     uint8 // register that keeps ctx; 0 if r1 does
	ctxSlot int16 // stack slot that keeps ctx if no register is free; 0 if unused
	inR1    bool  // r1 still holds ctx
	result  bool  // r0 holds what the last call returned
	free    []uint8
	depth   int   // bytes of stack in use
	argSlot int16 // stack slot that keeps r2, if a step uses arg
	scratch int16 // stack slot for keys and operands that must survive a call; 0 if none yet
	pos     Pos
	bad     []int // jumps to the block that returns CheckFailed
	marks   int32 // base of the values in saved registers
}

// maxStack is the BPF stack of one function in bytes (MAX_BPF_STACK).
const maxStack = 512

// compileSteps translates a function of steps; the unit is nil if it has mistakes.
func (b *builder) compileSteps(name string, f *Function) *asm.Unit {
	before := len(b.errs)
	b.funcs++
	e := &emitter{
		b: b, name: name, fn: f, pos: f.Pos, inR1: true,
		unit:  &asm.Unit{Labels: map[string]int{}},
		depth: (f.Stack + 7) &^ 7,
		marks: int32(0x5a000000 + b.funcs%0xffff<<8),
	}
	e.registers()
	e.prologue()
	if !e.block(f.Steps) {
		b.failf(f.Pos, "the steps of %s can end without return", name)
	}
	e.finish()
	if len(b.errs) != before {
		return nil
	}
	return e.unit
}

func (e *emitter) failf(pos Pos, format string, args ...any) { e.b.failf(pos, format, args...) }

// registers decides which callee-saved registers serve what.
func (e *emitter) registers() {
	used := map[Register]bool{}
	for _, r := range e.fn.Saved {
		if used[r] {
			e.failf(e.fn.Pos, "r%d is listed twice in saved", r)
		}
		used[r] = true
	}
	assigned := map[Register]bool{}
	walk(e.fn.Steps, func(s *Step) {
		if s.Set != nil && s.Set.Kind == ValueReg {
			if used[s.Set.Reg] && !assigned[s.Set.Reg] {
				e.failf(s.Set.Pos, "r%d is in saved and cannot be set", s.Set.Reg)
			}
			used[s.Set.Reg], assigned[s.Set.Reg] = true, true
		}
	})
	walk(e.fn.Steps, func(s *Step) {
		s.values(func(v *Value) { e.checkRegister(v, assigned) })
	})
	for r := Register(6); r <= 9; r++ {
		if !used[r] {
			e.free = append(e.free, uint8(r))
		}
	}
}

func (e *emitter) checkRegister(v *Value, assigned map[Register]bool) {
	if v.Kind == ValueReg && !assigned[v.Reg] {
		e.failf(v.Pos, "r%d has no value: no step sets it", v.Reg)
	}
	if v.Key != nil {
		e.checkRegister(v.Key, assigned)
	}
}

// prologue saves ctx if it is needed after a call, and arg, clears the stack buffer and fills the saved
// registers.
func (e *emitter) prologue() {
	if e.fn.Stack > maxStack {
		e.failf(e.fn.Pos, "expected at most %d bytes of stack, found %d", maxStack, e.fn.Stack)
		e.depth = 0 // the other mistakes are told, too, as if no buffer were declared
	}
	if _, needed := e.needsCtx(e.fn.Steps, false); needed {
		if len(e.free) > 0 {
			e.ctx, e.free = e.free[0], e.free[1:]
			e.move(e.ctx, 1)
		} else {
			e.ctxSlot = e.alloc(8)
			e.store(8, 10, e.ctxSlot, 1)
		}
	}
	e.keepArg()
	if e.fn.Stack <= maxStack {
		e.clear(0, e.fn.Stack)
	}
	for _, r := range e.fn.Saved {
		e.moveImm(uint8(r), int64(e.mark(r)))
	}
}

// mark is the value that a saved register holds in this function.
func (e *emitter) mark(r Register) int32 { return e.marks + int32(r) }

// needsCtx follows the steps: clobbered says whether r1 is lost, needed whether ctx is used then.
func (e *emitter) needsCtx(steps []Step, clobbered bool) (lost, needed bool) {
	for i := range steps {
		s := &steps[i]
		uses := s.Call != nil || s.TailCall != nil
		clobbers := uses || s.Helper != nil || s.Clobber != nil
		s.values(func(v *Value) {
			uses = uses || v.usesCtx()
			if e.lookedUp(v) {
				clobbered = true // inside this step, before it uses ctx
			}
		})
		if uses && clobbered {
			return true, true
		}
		clobbered = clobbered || clobbers
		after := clobbered
		for _, block := range [][]Step{s.Then, s.Else, s.Do} {
			lost, needed := e.needsCtx(block, clobbered)
			after = after || lost
			if needed {
				return true, true
			}
		}
		if clobbered = after; len(s.Do) > 0 { // the body follows itself
			if _, needed := e.needsCtx(s.Do, clobbered); needed {
				return true, true
			}
		}
	}
	return clobbered, false
}

func (v *Value) usesCtx() bool {
	return v.Kind == ValueCtx || v.Key != nil && v.Key.usesCtx()
}

// finish emits the block that failed checks jump to.
func (e *emitter) finish() {
	if len(e.bad) == 0 {
		return
	}
	e.land(e.bad)
	e.moveImm(0, CheckFailed)
	e.op(bpf.Insn{Op: bpf.OpExit})
}

// alloc reserves n bytes of stack and returns their offset from fp.
func (e *emitter) alloc(n int) int16 {
	e.depth += (n + 7) &^ 7
	if e.depth > maxStack {
		e.failf(e.pos, "%s needs more than %d bytes of stack", e.name, maxStack)
		e.depth = maxStack
	}
	return int16(-e.depth)
}

// temp returns a stack slot of 8 bytes that no step keeps.
func (e *emitter) temp() int16 {
	if e.scratch == 0 {
		e.scratch = e.alloc(8)
	}
	return e.scratch
}

// op appends an instruction.
func (e *emitter) op(in bpf.Insn) {
	e.unit.Insns = append(e.unit.Insns, in)
	e.unit.Pos = append(e.unit.Pos, e.pos)
}

func (e *emitter) move(dst, src uint8) {
	if dst != src {
		e.op(bpf.Insn{Op: bpf.OpMovReg, Dst: dst, Src: src})
	}
}

func (e *emitter) moveImm(dst uint8, v int64) {
	if v >= math.MinInt32 && v <= math.MaxInt32 {
		e.op(bpf.Insn{Op: bpf.OpMov, Dst: dst, Imm: int32(v)})
		return
	}
	e.op(bpf.Insn{Op: bpf.OpLdImm64, Dst: dst, Imm: int32(v)})
	e.op(bpf.Insn{Imm: int32(v >> 32)})
}

var opSize = map[int]uint8{1: bpf.SizeB, 2: bpf.SizeH, 4: bpf.SizeW, 8: bpf.SizeDW}

func (e *emitter) load(size int, dst, base uint8, off int16) {
	e.op(bpf.Insn{Op: bpf.ClassLDX | bpf.ModeMem | opSize[size], Dst: dst, Src: base, Off: off})
}

func (e *emitter) store(size int, base uint8, off int16, src uint8) {
	e.op(bpf.Insn{Op: bpf.ClassSTX | bpf.ModeMem | opSize[size], Dst: base, Src: src, Off: off})
}

func (e *emitter) addImm(dst uint8, n int32) {
	e.op(bpf.Insn{Op: bpf.ClassALU64 | bpf.ALUAdd, Dst: dst, Imm: n})
}

// clear zeroes n bytes of stack below fp-top, as an initialised array does.
func (e *emitter) clear(top, n int) {
	for ; n >= 8; n, top = n-8, top+8 {
		e.op(bpf.Insn{Op: bpf.ClassST | bpf.ModeMem | bpf.SizeDW, Dst: 10, Off: int16(-top - 8)})
	}
	for ; n > 0; n, top = n-1, top+1 {
		e.op(bpf.Insn{Op: bpf.ClassST | bpf.ModeMem | bpf.SizeB, Dst: 10, Off: int16(-top - 1)})
	}
}

// mapAddr loads the address of a map, or of its value plus off.
func (e *emitter) mapAddr(dst uint8, name string, src uint8, off int32) {
	e.unit.Maps = append(e.unit.Maps, asm.Ref{Slot: len(e.unit.Insns), Name: name, Pos: e.pos})
	e.op(bpf.Insn{Op: bpf.OpLdImm64, Dst: dst, Src: src})
	e.op(bpf.Insn{Imm: off})
}

// jumpTo emits a jump that land completes; it returns its slot.
func (e *emitter) jumpTo(in bpf.Insn) int {
	e.op(in)
	return len(e.unit.Insns) - 1
}

// land lets earlier jumps arrive here.
func (e *emitter) land(slots []int) {
	for _, at := range slots {
		dist := len(e.unit.Insns) - at - 1
		if dist > math.MaxInt16 {
			e.failf(e.unit.Pos[at], "%s is too long: a jump over %d instructions", e.name, dist)
			return
		}
		e.unit.Insns[at].Off = int16(dist)
	}
}

// helper calls a helper; r0 to r5 are lost except for the result.
func (e *emitter) helper(id int32) {
	e.op(bpf.Insn{Op: bpf.OpCall, Imm: id})
	e.inR1, e.result = false, true
}

// ctxInR1 makes r1 hold ctx.
func (e *emitter) ctxInR1() {
	switch {
	case e.inR1:
	case e.ctx != 0:
		e.move(1, e.ctx)
	case e.ctxSlot != 0:
		e.load(8, 1, 10, e.ctxSlot)
	default:
		panic("BUG: ctx was not kept in " + e.name)
	}
	e.inR1 = true
}
