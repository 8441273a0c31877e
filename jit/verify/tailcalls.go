// SPDX-License-Identifier: GPL-2.0-only

package verify

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/verify/shape"
)

// TailCallWay is the map and the key with which one or more paths reach a tail call.
type TailCallWay struct {
	Map int // index into Program.Maps, -1 if unknown
	// Min and Max bound the key, whose low 32 bits the kernel takes; equal for a constant.
	Min, Max uint32
}

// Const reports whether the key is a constant.
func (w TailCallWay) Const() bool { return w.Min == w.Max }

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
		slices.SortFunc(c.ways, func(a, b TailCallWay) int {
			return cmp.Or(cmp.Compare(a.Map, b.Map), cmp.Compare(a.Min, b.Min), cmp.Compare(a.Max, b.Max))
		})
		out = append(out, TailCallUse{Insn: at, Func: int(x.fnAt[at]), Ways: c.ways})
	}
	slices.SortFunc(out, func(a, b TailCallUse) int { return cmp.Compare(a.Insn, b.Insn) })
	return out, nil
}

// maxWays bounds what is kept of one tail call: beyond it ways become one with any key.
const maxWays = 256

// way notes map and key of one path.
func (c *tailCallFacts) way(m, key *value) {
	w := TailCallWay{Map: -1, Max: math.MaxUint32}
	if m.kind == kindMap {
		w.Map = int(m.mapIdx)
	}
	switch n := &key.num; {
	case key.kind != kindNumber:
	case n.Umin == n.Umax:
		w.Min, w.Max = uint32(n.Umin), uint32(n.Umin)
	case n.Umax <= math.MaxUint32:
		w.Min, w.Max = uint32(n.Umin), uint32(n.Umax)
	}
	if len(c.ways) >= maxWays {
		w.Min, w.Max = 0, math.MaxUint32
	}
	if !slices.Contains(c.ways, w) {
		c.ways = append(c.ways, w)
	}
}
