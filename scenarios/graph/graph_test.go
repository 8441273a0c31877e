// SPDX-License-Identifier: GPL-2.0-only

package graph_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/graph"
)

// TestRandomBuilds has every random graph build.
func TestRandomBuilds(t *testing.T) {
	for i := range uint64(2000) {
		g := graph.Random(graph.NewChoices(1, i))
		if _, err := scenarios.Build(g.Scenario("g")); err != nil {
			t.Fatalf("graph %d: %v", i, err)
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
