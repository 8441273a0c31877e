// SPDX-License-Identifier: GPL-2.0-only

package verify

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/verify/agreed"
	"github.com/tcsim/tcsim/jit/verify/shape"
)

// TailCallWay is the map and the key with which one or more paths reach a tail call.
type TailCallWay = agreed.Way

// TailCallUse is one tail call of a program and the ways in which it is reached.
type TailCallUse struct {
	Insn bpf.InsnIndex
	Func int           // index into Program.Funcs
	Ways []TailCallWay // by map and key, without repetitions
}

// TailCalls returns the tail calls of a program as users write it that some path reaches, in order,
// with the maps and keys that the verifier's walk sees. It fails where Rewrite does.
func TailCalls(p *bpf.Program, t *kernels.Kernel) ([]TailCallUse, error) {
	funcs, err := shape.Form(p, 11, false)
	if err != nil {
		return nil, fmt.Errorf("tail calls of %s: %w", p.Name, err)
	}
	x := newExplorer(p, t, funcs)
	defer x.recycle()
	x.submitted, x.strict = true, !t.Verifier.Lenient
	if err := x.run(); err != nil {
		return nil, fmt.Errorf("tail calls of %s: %w", p.Name, err)
	}
	var out []TailCallUse
	for at, c := range x.calls {
		out = append(out, TailCallUse{Insn: at, Func: int(x.fnAt[at]), Ways: c.Ways()})
	}
	slices.SortFunc(out, func(a, b TailCallUse) int { return cmp.Compare(a.Insn, b.Insn) })
	return out, nil
}
