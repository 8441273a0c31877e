// SPDX-License-Identifier: GPL-2.0-only

package graph

import "slices"

// argWord is where on the stack, in bytes below fp, the word is that a function hands over: the first
// one of its buffer. Every call of a function with OpArg hands over that of its caller.
const argWord = 8

// takesArg reports whether the function counts in a word of its caller.
func (f *Func) takesArg() bool {
	return slices.ContainsFunc(f.Ops, func(op Op) bool { return op.Kind == OpArg })
}

// hands reports whether function i hands over a word of its stack.
func (p *Program) hands(i int) bool {
	return slices.ContainsFunc(p.Funcs[i].Ops, func(op Op) bool { return op.Kind == OpCall && p.Funcs[op.Func].takesArg() })
}

// handOver gives functions that hand over a word a buffer of whole words.
func (p *Program) handOver() {
	for i := range p.Funcs {
		if f := &p.Funcs[i]; p.hands(i) {
			f.Stack = max(argWord, (f.Stack+7)&^7)
		}
	}
}

// keepOver drops OpArg where a caller has no stack to hand over, and in entries of programs, which have
// no caller.
func (p *Program) keepOver() {
	drop := func(f *Func) {
		f.Ops = slices.DeleteFunc(f.Ops, func(op Op) bool { return op.Kind == OpArg })
	}
	drop(&p.Funcs[0])
	for i := range p.Funcs {
		for _, op := range p.Funcs[i].Ops {
			if op.Kind == OpCall && p.Funcs[i].Stack < argWord {
				drop(&p.Funcs[op.Func])
			}
		}
	}
}
