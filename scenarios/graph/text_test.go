// SPDX-License-Identifier: GPL-2.0-only

package graph_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/graph"
)

// TestText has the file of a graph load as what the graph stands for.
func TestText(t *testing.T) {
	for i := range uint64(300) {
		sc := graph.Random(graph.NewChoices(3, i)).Scenario("g")
		sc.About = "Something long that has to be folded, because it does not fit into the hundred columns that a line of a file may take."
		want, err := scenarios.Build(sc)
		if err != nil {
			t.Fatal(err)
		}
		text := graph.Text(sc)
		loaded, err := scenarios.Load("g.yaml", []byte(text))
		if err != nil {
			t.Fatalf("graph %d: %v\n%s", i, err, text)
		}
		got, err := scenarios.Build(loaded)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range []string{
			cmp.Diff(want.Programs, got.Programs), cmp.Diff(want.Maps, got.Maps), cmp.Diff(want.Slots, got.Slots),
			cmp.Diff(want.Values, got.Values), cmp.Diff(actions(want), actions(got)),
		} {
			if d != "" {
				t.Fatalf("graph %d: %s\n%s", i, d, text)
			}
		}
		if i == 7 {
			t.Logf("\n%s", text)
		}
	}
}

// actions are those of a scenario without the places in its file.
func actions(b *scenarios.Built) []scenarios.Action {
	out := append([]scenarios.Action(nil), b.Actions...)
	for i := range out {
		out[i].Event = &scenarios.Event{Errno: out[i].Event.Errno}
	}
	return out
}
