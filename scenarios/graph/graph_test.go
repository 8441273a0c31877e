// SPDX-License-Identifier: GPL-2.0-only

package graph_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/graph"
)

// TestRandomBuilds has every random graph build, and the features of graphs occur.
func TestRandomBuilds(t *testing.T) {
	var kinds [7]int
	functions, marks, variable, updates, limits := 0, 0, 0, 0, 0
	for i := range uint64(2000) {
		g := graph.Random(graph.NewChoices(1, i))
		if _, err := scenarios.Build(g.Scenario("g")); err != nil {
			t.Fatalf("graph %d: %v", i, err)
		}
		if g.Limit != 0 {
			limits++
		}
		for _, e := range g.Events {
			if e.Kind != graph.EventRun {
				updates++
			}
		}
		for _, p := range g.Programs {
			functions += len(p.Funcs) - 1
			for _, f := range p.Funcs {
				for _, op := range f.Ops {
					kinds[op.Kind]++
					if op.Mark != 0 {
						marks++
					}
					if op.Kind == graph.OpTailCall && op.Key.Kind != graph.KeyConst {
						variable++
					}
				}
			}
		}
	}
	for k, n := range kinds {
		if n < 200 {
			t.Errorf("operation %d occurs %d times", k, n)
		}
	}
	for what, n := range map[string]int{"functions": functions, "conditions": marks, "variable keys": variable, "updates": updates, "limits": limits} {
		if n < 200 {
			t.Errorf("%s: %d", what, n)
		}
	}
}

// TestReplay makes the same graph from what was chosen, and some graph from any stream.
func TestReplay(t *testing.T) {
	for i := range uint64(200) {
		c := graph.NewChoices(2, i)
		g := graph.Random(c)
		again := graph.Replay(c.Used())
		if d := cmp.Diff(g, graph.Random(again)); d != "" {
			t.Fatalf("graph %d: %s", i, d)
		}
		if d := cmp.Diff(c.Used(), again.Used()); d != "" {
			t.Fatalf("graph %d: %s", i, d)
		}
	}
}

func BenchmarkRandomBuild(b *testing.B) {
	i := uint64(0)
	for b.Loop() {
		g := graph.Random(graph.NewChoices(1, i))
		if _, err := scenarios.Build(g.Scenario("g")); err != nil {
			b.Fatal(err)
		}
		i++
	}
}
