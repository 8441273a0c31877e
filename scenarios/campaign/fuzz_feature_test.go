// SPDX-License-Identifier: GPL-2.0-only

package campaign_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"testing"

	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/campaign"
	"github.com/tcsim/tcsim/scenarios/graph"
	"github.com/tcsim/tcsim/scenarios/interleave"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// TestFuzzReaches has random graphs really do what they are for: take and refuse tail calls, for each
// reason, up to the limit.
func TestFuzzReaches(t *testing.T) {
	if testing.Short() {
		t.Skip("only in full runs")
	}
	const n = 10_000
	var s *runner.Session
	defer func() { _ = s.Close() }() // nothing of it is used any more
	tg := target(t, "6.12")
	found := map[string]int{}
	for i := range n {
		b, err := scenarios.Build(graph.Random(graph.NewChoices(2026, uint64(i))).Scenario("graph"))
		if err != nil {
			t.Fatal(err)
		}
		c := compiled(t, b, tg)
		if s, err = s.OpenNext(c, runner.Options{MaxInsns: 1_000_000, MaxEvents: 100_000}); err != nil {
			t.Fatal(err)
		}
		res, err := s.Play(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for what, is := range reached(c, res) {
			if is {
				found[what]++
			}
		}
	}
	for what, least := range map[string]float64{
		"a tail call is taken": 30, "the limit is reached": 15, "the limit of 33 is reached": 5,
		"one is refused by the limit": 15, "one is refused by the bounds": 10, "one is refused at an empty slot": 20,
		"a subprogram is called": 30, "a subprogram is called and the limit is reached": 5, "two runs take tail calls": 8,
	} {
		share := 100 * float64(found[what]) / float64(n)
		if t.Logf("%5.1f%% %s", share, what); share < least {
			t.Errorf("%s in %.1f%% of the graphs, want at least %.0f%%", what, share, least)
		}
	}
}

// reached says what happened in the runs of a graph.
func reached(c *runner.Compiled, res *runner.Result) map[string]bool {
	var taking int
	has := map[string]bool{}
	for i := range res.Runs {
		n := &res.Runs[i].Counts
		limit := n.Taken == uint64(c.Target.Limit)
		for what, is := range map[string]bool{
			"a tail call is taken": n.Taken > 0, "the limit is reached": limit,
			"the limit of 33 is reached":                      limit && n.Taken == 33,
			"one is refused by the limit":                     n.Refused[trace.ReasonLimit] > 0,
			"one is refused by the bounds":                    n.Refused[trace.ReasonBounds] > 0,
			"one is refused at an empty slot":                 n.Refused[trace.ReasonEmpty] > 0,
			"a subprogram is called":                          n.Calls > 0,
			"a subprogram is called and the limit is reached": n.Calls > 0 && limit,
		} {
			has[what] = has[what] || is
		}
		if n.Taken > 0 {
			taking++
		}
	}
	has["two runs take tail calls"] = taking > 1
	return has
}

// TestFuzzDuringReaches has a good share of the graphs whose updates are played during runs have some to
// play, of each kind, and several schedules of them.
func TestFuzzDuringReaches(t *testing.T) {
	const n = 200
	graphs, schedules := 0, 0
	kinds := map[interleave.UpdateKind]int{}
	for i := range n {
		g := graph.Random(graph.NewChoices(2026, uint64(8*i)))
		if !slices.ContainsFunc(g.Events, func(e graph.Event) bool { return e.Kind == graph.EventInsert || e.Kind == graph.EventDelete }) {
			continue
		}
		b, err := scenarios.Build(g.Scenario("graph"))
		if err != nil {
			t.Fatal(err)
		}
		xs, err := interleave.Explore(context.Background(), compiled(t, b, target(t, "7.2")), runner.Options{}, interleave.Options{Max: 4})
		if errors.Is(err, interleave.ErrCannotExplore) {
			continue
		} else if err != nil {
			t.Fatal(err)
		}
		if len(xs) > 0 {
			graphs++
		}
		for _, x := range xs {
			kinds[x.Kind]++
			schedules += x.All.Classes
		}
	}
	t.Logf("%d of %d graphs, %d schedules, %v", graphs, n, schedules, kinds)
	if graphs < n/10 || schedules < 2*graphs || len(kinds) < 3 {
		t.Errorf("of %d graphs %d have an update to play during a run, %d schedules, %v", n, graphs, schedules, kinds)
	}
}

// TestFuzzMemory has a fuzzer that plays a hundred thousand graphs in one machine keep to the memory of a
// few hundred. Once each run left 64 KiB behind, and campaigns ended for lack of memory.
func TestFuzzMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	if runtime.GOOS != "linux" {
		t.Skip("reads /proc/self/statm")
	}
	f := campaign.NewFuzzer([]*jit.Target{target(t, "6.12")})
	defer f.Close()
	play := func(from, to uint64) {
		for i := from; i < to; i++ {
			if _, err := f.Play(context.Background(), graph.Random(graph.NewChoices(1, i))); err != nil {
				t.Fatal(err)
			}
		}
		runtime.GC()
	}
	n := uint64(2000)
	play(0, 300)
	before := resident(t)
	play(300, 300+n)
	if grown := resident(t) - before; grown > 64<<20 {
		t.Errorf("%d graphs take %d MiB more", n, grown>>20)
	}
}

// resident is the memory of this process in bytes.
func resident(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	var size, pages int
	if _, err := fmt.Sscan(string(text), &size, &pages); err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}
