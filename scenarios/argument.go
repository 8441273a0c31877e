// SPDX-License-Identifier: GPL-2.0-only

package scenarios

import (
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/scenarios/asm"
)

// argWidth is how many bytes of the caller's stack "arg" means.
const argWidth = 8

// arguments checks that the functions of a program that use arg are called with one, and that nothing
// is handed to others. Assembly uses r2 as it likes.
func (p *Program) arguments(b *builder) {
	takes, steps := map[string]bool{}, map[string]bool{}
	for _, f := range p.Functions {
		takes[f.Name], steps[f.Name] = f.Value.usesArg(), len(f.Value.Steps) > 0
	}
	if p.usesArg() {
		b.failf(p.Function.Pos, "arg belongs to functions that steps call, not to the entry of a program")
	}
	check := func(s *Step) {
		switch {
		case s.Call == nil || !steps[s.Call.Text]:
		case takes[s.Call.Text] && s.With == nil:
			b.failf(s.Call.Pos, "%s uses arg: expected \"with\" in the same step", s.Call.Text)
		case !takes[s.Call.Text] && s.With != nil:
			b.failf(s.With.Pos, "%s does not use arg", s.Call.Text)
		}
	}
	walk(p.Steps, check)
	for i := range p.Functions {
		walk(p.Functions[i].Value.Steps, check)
	}
}

// usesArg reports whether a step of the function uses what its caller hands over.
func (x *Function) usesArg() bool {
	uses := false
	walk(x.Steps, func(s *Step) {
		s.values(func(v *Value) { uses = uses || v.usesArg() })
	})
	return uses
}

func (v *Value) usesArg() bool {
	return v.Kind == ValueArg || v.Key != nil && v.Key.usesArg()
}

// keepArg stores the pointer that the caller handed over in r2: like a compiler that has no register
// left, steps load it again wherever they use it.
func (e *emitter) keepArg() {
	if e.fn.usesArg() {
		e.argSlot = e.alloc(8)
		e.store(8, 10, e.argSlot, 2)
	}
}

// hand makes r2 point at a place on the stack.
func (e *emitter) hand(v *Value) {
	size, ok := 0, v.Kind == ValueStack
	if ok {
		size, ok = e.location(v)
		ok = ok && size == argWidth && v.Off%argWidth == 0
	}
	if !ok {
		e.failf(v.Pos, "expected a multiple of %d below fp to hand over, such as fp-8, found %q", argWidth, v.Text)
		return
	}
	e.move(2, 10)
	e.addImm(2, v.Off)
}

// readArg puts the caller's word into dst.
func (e *emitter) readArg(dst uint8) {
	e.load(8, dst, 10, e.argSlot)
	e.load(argWidth, dst, dst, 0)
}

// writeArg stores r2 in the caller's word.
func (e *emitter) writeArg() {
	e.load(8, 3, 10, e.argSlot)
	e.store(argWidth, 3, 0, 2)
}

// countArg adds 1 to the caller's word.
func (e *emitter) countArg() {
	e.load(8, 2, 10, e.argSlot)
	e.load(argWidth, 3, 2, 0)
	e.addImm(3, 1)
	e.store(argWidth, 2, 0, 3)
}

// call emits a call of a subprogram.
func (e *emitter) call(s *Step) {
	e.ctxInR1()
	if s.With != nil {
		e.hand(s.With)
	}
	e.unit.Calls = append(e.unit.Calls, asm.Ref{Slot: len(e.unit.Insns), Name: s.Call.Text, Pos: s.Call.Pos})
	e.op(bpf.Insn{Op: bpf.OpCall, Src: bpf.PseudoCall})
	e.inR1, e.result = false, true
}
