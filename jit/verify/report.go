// SPDX-License-Identifier: GPL-2.0-only

package verify

import (
	"errors"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/verify/form"
	"github.com/tcsim/tcsim/jit/verify/shape"
)

// Stats are figures of a verification, as the kernel's log has them.
type Stats = shape.Stats

// Check says whether the target's kernel takes a program as users write it, with the figures up to where it
// was refused. The error is the reason.
func Check(p *bpf.Program, t *kernels.Kernel) (Stats, error) {
	x, stack, err := accept(p, t)
	if x == nil {
		return Stats{}, err
	}
	defer x.recycle()
	x.stats.Insns, x.stats.Stack = min(x.steps, maxSteps), stack
	return x.stats, err
}

// accept explores a program as the verifier does before it rewrites it. The explorer is nil if not even that
// began; stack is of the deepest chain of calls.
func accept(p *bpf.Program, t *kernels.Kernel) (x *explorer, stack int32, err error) {
	funcs, err := shape.Loadable(p, &t.Verifier)
	if err != nil {
		return nil, 0, err
	}
	folded := p
	if t.Verifier.FoldBranches {
		folded = form.FoldBranches(p)
	}
	x = newExplorer(folded, t, funcs)
	x.submitted, x.strict = true, !t.Verifier.Lenient
	x.fast = shape.FindFastcalls(folded, &t.Verifier, funcs)
	if err := x.run(); err != nil {
		return x, 0, err
	}
	if err := errors.Join(x.lost(), shape.SignedLoads(x.p, x.arenas, t.Emit.ISA)); err != nil {
		return x, 0, err
	}
	x.dropFast()
	stack, err = shape.Depth(p, &t.Verifier, x.funcs, x.sync, x.async)
	if t.Verifier.Lenient {
		err = nil
	}
	return x, stack, err
}
