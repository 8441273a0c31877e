// SPDX-License-Identifier: GPL-2.0-only

//go:build cgo

package source_test

import (
	"os"
	"reflect"
	"strconv"
	"testing"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/graph"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// TestGraphs compares what the source of 6.12 makes of random graphs with what we make of them. TCSIM_GRAPHS is
// their number.
func TestGraphs(t *testing.T) {
	n := 1000
	if testing.Short() {
		n = 100
	}
	if s := os.Getenv("TCSIM_GRAPHS"); s != "" {
		n, _ = strconv.Atoi(s)
	}
	own, err := jit.TargetByName("6.12")
	if err != nil {
		t.Fatal(err)
	}
	theirs := *own
	theirs.Emitter = compile(t, open(t, "6.12"), own)
	images := 0
	for i := range n {
		g := graph.Random(graph.NewChoices(1, uint64(i)))
		b, err := scenarios.Build(g.Scenario("graph"))
		if err != nil {
			t.Fatal(err)
		}
		want, err := runner.Compile(b, own)
		got, serr := runner.Compile(b, &theirs)
		if err != nil || serr != nil {
			t.Fatalf("graph %d: ours: %v, the source: %v", i, err, serr)
		}
		for p := range want.Images {
			images++
			if !reflect.DeepEqual(want.Images[p].Funcs, got.Images[p].Funcs) {
				t.Errorf("graph %d: program %d differs", i, p)
			}
		}
	}
	t.Logf("%d graphs, %d images", n, images)
}
