// SPDX-License-Identifier: GPL-2.0-only

package verify

import (
	"fmt"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/verify/shape"
)

// Analyse finds out what the verifier of the target's kernel tells its JIT about a program and
// what the program's code does not say: how deep each function uses its stack, which functions a
// tail call can be reached from, and which tail calls have a constant key. It follows the
// program's paths as the verifier does (kernel/bpf/verifier.c: do_check). The error names all
// mistakes in the form of the program, each with its instruction.
//
// p must be in the form that the verifier leaves (see Rewrite); it is not changed.
func Analyse(p *bpf.Program, t *kernels.Kernel) (*Verified, error) {
	funcs, err := shape.Form(p, numRegs, false)
	if err != nil {
		return nil, fmt.Errorf("analyse %s: %w", p.Name, err)
	}
	if err := shape.Admit(&t.Verifier, p.Insns, funcs); err != nil {
		return nil, fmt.Errorf("analyse %s: %w", p.Name, err)
	}
	for i := range funcs {
		funcs[i].StackDepth = p.Funcs[i].Stack
	}
	x := newExplorer(p, t, funcs)
	defer x.recycle()
	if err := x.run(); err != nil {
		return nil, fmt.Errorf("analyse %s: %w", p.Name, err)
	}
	if err := shape.MarkReachable(p, &t.Verifier, funcs); err != nil {
		return nil, fmt.Errorf("analyse %s: %w", p.Name, err)
	}
	if err := shape.MarkExceptions(p, funcs); err != nil {
		return nil, fmt.Errorf("analyse %s: %w", p.Name, err)
	}
	if t.Verifier.PrivateStack {
		shape.MarkPrivateStacks(p, funcs)
	}
	arena, err := p.Arena()
	if err != nil {
		return nil, fmt.Errorf("analyse %s: %w", p.Name, err)
	}
	v := &Verified{Program: p, Insns: make([]bpf.Insn, len(p.Insns)), Funcs: funcs, Arena: arena + 1, Met: x.met}
	copy(v.Insns, p.Insns)
	if tails := v.Mark(x.fnAt, x.arenas, x.guarded, x.direct); tails && t.Verifier.TailCallDepth != 0 {
		v.Funcs[0].StackDepth = t.Verifier.TailCallDepth // there is no other function
	}
	return v, nil
}

// direct returns map and key of the tail call at slot i if they are the same on all paths (do_misc_fixups).
func (x *explorer) direct(i bpf.InsnIndex) (m int, key uint32, ok bool) {
	if c := x.calls[i]; c != nil && !x.rules.NoDirect {
		return c.Direct()
	}
	return 0, 0, false
}
