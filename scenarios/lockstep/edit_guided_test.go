// SPDX-License-Identifier: GPL-2.0-only

//go:build cgo

package lockstep_test

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"testing"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/scenarios/campaign"
	"github.com/tcsim/tcsim/scenarios/choices"
	"github.com/tcsim/tcsim/scenarios/corpus"
	"github.com/tcsim/tcsim/scenarios/lockstep"
	"github.com/tcsim/tcsim/scenarios/progen"
	"github.com/tcsim/tcsim/scenarios/worker"
)

// keptFrom has a guided campaign of n programs keep cases for a target, as few as reach all.
func keptFrom(t *testing.T, name string, n int) []corpus.Case {
	t.Helper()
	dir := t.TempDir()
	for _, minimise := range []bool{false, true} {
		f, err := corpus.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		c := campaign.Campaign{
			Source: campaign.FuzzSource{Seed: 21, Kind: campaign.FuzzInsns}, Graphs: n, Targets: []string{name}, Workers: 1,
			Corpus: f, Minimise: minimise, Start: worker.Inside(map[string]worker.Job{campaign.FuzzJob: campaign.Fuzzing}),
		}
		r, err := c.Run(context.Background())
		if err != nil || len(r.Failures) != 0 {
			t.Fatalf("%v: %+v", err, r)
		}
		if minimise {
			t.Logf("%s: %d programs, %v", name, n, r.Corpus)
			return f.Cases()
		}
	}
	return nil
}

// slowEdits are those that drawn programs take long to find, on one target.
var slowEdits = []string{"6.1: 32-bit arithmetic shift loses the sign", "6.1: jumps of 128 to 131 bytes are short"}

// TestGuidedEdits has wrong edits found by the programs that a guided campaign of the unedited emitter kept, the most
// telling first, and compares how many it takes with how many programs that are drawn: with -edits for every edit.
func TestGuidedEdits(t *testing.T) {
	if testing.Short() {
		t.Skip("makes thousands of programs")
	}
	const n = 2000
	p := lockstep.New()
	defer p.Close()
	by := map[string][]edit{}
	for _, e := range edits() {
		if e.survives == "" && (*allEdits || slices.Contains(slowEdits, e.target+": "+e.name)) {
			by[e.target] = append(by[e.target], e)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(by)) {
		t.Run(name, func(t *testing.T) {
			cases := keptFrom(t, name, n)
			slices.SortStableFunc(cases, func(a, b corpus.Case) int { return cmp.Compare(len(b.Choices), len(a.Choices)) })
			drawn, guided, missed := 0, 0, 0
			for _, e := range by[name] {
				_, a := e.search(t, p, editPrograms, func(tg *jit.Target, from, to int) []*progen.Program {
					return programs(tg, editSeed, from, to)
				})
				_, b := e.search(t, p, len(cases), func(tg *jit.Target, from, to int) (out []*progen.Program) {
					for _, c := range cases[from:to] {
						out = append(out, progen.Random(choices.Replay(c.Choices), progen.Of(&tg.Kernel)))
					}
					return out
				})
				t.Logf("%s: %s: drawn %d, guided %d of %d", e.target, e.name, a, b, len(cases))
				if b < 0 {
					missed++
					continue
				}
				drawn, guided = drawn+a+1, guided+b+1
			}
			t.Logf("%d edits, %d not found by what was kept; programs till the others are found: %d drawn, %d guided", len(by[name]), missed, drawn, guided)
			// There is nothing to gain where ten drawn programs find an edit.
			if missed > len(by[name])/20 || guided >= max(drawn, 10*len(by[name])) {
				t.Error("what was kept finds edits no sooner than programs that are drawn")
			}
		})
	}
}
