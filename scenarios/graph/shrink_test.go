// SPDX-License-Identifier: GPL-2.0-only

package graph_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/scenarios/graph"
)

// has reports whether some function of a graph has an operation of a kind after a call.
func has(g *graph.Graph, kind graph.OpKind) bool {
	for _, p := range g.Programs {
		for _, f := range p.Funcs {
			call := slices.IndexFunc(f.Ops, func(op graph.Op) bool { return op.Kind == graph.OpCall })
			if call >= 0 && slices.ContainsFunc(f.Ops[call:], func(op graph.Op) bool { return op.Kind == kind }) {
				return true
			}
		}
	}
	return false
}

// TestShrink leaves of any graph with a stack clobbered after a call no more than that, the same each
// time, and asks no more often than it may.
func TestShrink(t *testing.T) {
	shrunk := 0
	for i := uint64(0); shrunk < 20; i++ {
		c := graph.NewChoices(6, i)
		if !has(graph.Random(c), graph.OpClobber) {
			continue
		}
		shrunk++
		asked := 0
		fails := func(choices []uint32) bool {
			asked++
			return has(graph.Random(graph.Replay(choices)), graph.OpClobber)
		}
		const tries = 5000
		best := graph.Shrink(c.Used(), tries, fails)
		g := graph.Random(graph.Replay(best))
		if len(g.Programs) != 1 || len(g.Programs[0].Funcs) != 2 || len(g.Programs[0].Funcs[0].Ops) != 2 ||
			len(g.Programs[0].Funcs[1].Ops) != 0 || len(g.Events) != 1 || len(g.Arrays) != 0 || g.Limit != 0 {
			t.Errorf("graph %d: %d questions leave\n%s", i, asked, graph.Text(g.Scenario("g")))
		}
		if asked > tries {
			t.Errorf("graph %d: %d questions", i, asked)
		}
		if d := cmp.Diff(best, graph.Shrink(c.Used(), tries, fails)); d != "" {
			t.Errorf("graph %d: %s", i, d)
		}
	}
	c := graph.NewChoices(6, 1)
	graph.Random(c)
	asked := 0
	graph.Shrink(c.Used(), 7, func([]uint32) bool { asked++; return false })
	if asked != 7 {
		t.Errorf("asked %d times, of 7", asked)
	}
}
