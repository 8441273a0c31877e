// SPDX-License-Identifier: GPL-2.0-only

package verify

import (
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/verify/form"
	"github.com/tcsim/tcsim/jit/verify/protos"
	"github.com/tcsim/tcsim/jit/verify/shape"
)

// Stats are figures of a verification, as the kernel's log has them.
type Stats struct {
	Insns      int `json:"insns"`       // instructions followed
	States     int `json:"states"`      // checkpoints
	PeakStates int `json:"peak_states"` // most checkpoints at one time
	Alive      int `json:"-"`           // checkpoints at the end
	// Stack is how many bytes of BPF stack the deepest chain of calls uses, as the kernel counts them.
	Stack int32 `json:"stack"`
}

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

// mapKeys refuses maps whose keys are longer than the kernel takes.
func mapKeys(p *bpf.Program, r *kernels.Verifier) error {
	const longest = 512 // MAX_BPF_STACK
	for _, m := range p.MapsUsed() {
		if m < len(p.Maps) && r.ShortKeys && p.Maps[m].KeySize > longest {
			return fmt.Errorf("map %s has keys of %d bytes: the kernel makes none of more than %d (E2BIG)", p.Maps[m].Name, p.Maps[m].KeySize, longest)
		}
	}
	return nil
}

// accept explores a program as the verifier does before it rewrites it. The explorer is nil if not even that
// began; stack is of the deepest chain of calls.
func accept(p *bpf.Program, t *kernels.Kernel) (x *explorer, stack int32, err error) {
	funcs, err := shape.Form(p, 11, !t.Verifier.Lenient)
	if err == nil && t.Verifier.AllFields && !t.Verifier.Lenient {
		err = shape.Fields(p)
	}
	if err == nil && !t.Verifier.Lenient {
		err = shape.Reachable(p)
	}
	if err == nil && !t.Verifier.Lenient && !t.Verifier.NoMix {
		err = shape.Results(p, funcs)
	}
	if err != nil {
		return nil, 0, err
	}
	if t.Verifier.HookResults && p.Type == bpf.LSM && protos.HookDisabled(p.AttachTo) {
		return nil, 0, fmt.Errorf("attach_btf_id of bpf_lsm_%s points to disabled hook", p.AttachTo)
	}
	if t.Verifier.OwnSleep && p.Type == bpf.LSM && p.AttachType == protos.AttachLSMCGroup && p.Sleepable {
		return nil, 0, errors.New("program of this type cannot be sleepable")
	}
	if err := mapKeys(p, &t.Verifier); err != nil {
		return nil, 0, err
	}
	if err := shape.Exceptions(p); err != nil {
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
