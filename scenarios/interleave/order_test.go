// SPDX-License-Identifier: GPL-2.0-only

package interleave_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/scenarios/interleave"
	"github.com/tcsim/tcsim/scenarios/runner"
	"github.com/tcsim/tcsim/scenarios/runner/runnertest"
)

// texts are the text pokes of a plan.
func texts(plan []image.Patch) (at []int) {
	for i := range plan {
		if plan[i].Kind == image.PatchText {
			at = append(at, i)
		}
	}
	return at
}

// Wrong updates: each makes one edit of a plan, or returns nil if the plan has nothing to edit.
var wrongUpdates = map[string]func([]image.Patch) []image.Patch{
	"the pokes in the other order": func(plan []image.Patch) []image.Patch {
		at := texts(plan)
		if len(at) < 2 {
			return nil
		}
		first, last := at[0], at[len(at)-1]
		plan[first], plan[last] = plan[last], plan[first]
		return plan
	},
	"no wait": func(plan []image.Patch) []image.Patch {
		out := slices.DeleteFunc(slices.Clone(plan), func(p image.Patch) bool { return p.Kind == image.PatchWait })
		if len(out) == len(plan) {
			return nil
		}
		return out
	},
	"no last poke": func(plan []image.Patch) []image.Patch {
		at := texts(plan)
		if len(at) == 0 {
			return nil
		}
		return slices.Delete(slices.Clone(plan), at[len(at)-1], at[len(at)-1]+1)
	},
}

// TestWrongUpdates injects wrong orders, a missing wait and a missing poke into the protocol of every target whose own
// passes: each is found, whatever the update.
func TestWrongUpdates(t *testing.T) {
	b := build(t, "poke_one_site")
	tried := map[string]int{}
	for n, name := range jit.TargetNames() {
		if testing.Short() && n%6 != 0 {
			continue
		}
		for _, kind := range []interleave.UpdateKind{interleave.UpdateInsert, interleave.UpdateReplace, interleave.UpdateDelete} {
			o := interleave.Options{Kinds: []interleave.UpdateKind{kind}, Slot: "jmp_table[0]"}
			if found := findings(&explored(t, b, name, o)[0]); found != "ok" {
				continue // the design's own protocol is wrong: TestExploreDesigns
			}
			for what, edit := range wrongUpdates {
				if what == "no wait" && kind != interleave.UpdateDelete {
					continue // nobody is on the way out of a slot that was empty, or that stays filled
				}
				if what == "the pokes in the other order" && kind == interleave.UpdateReplace {
					continue // the bypass of a slot that is filled is open already: that poke writes nothing
				}
				edited := false
				own := *target(t, name)
				own.Emitter = &runnertest.Emitter{Makes: target(t, name), Update: func(plan []image.Patch) []image.Patch {
					if out := edit(slices.Clone(plan)); out != nil {
						edited = true
						return out
					}
					return plan
				}}
				xs, err := interleave.Explore(context.Background(), compiled(t, b, &own), runner.Options{}, o)
				if errors.Is(err, kernels.ErrUnsupported) || err == nil && !edited {
					continue
				}
				if err != nil {
					t.Fatalf("%s, %s, %s: %v", name, kind, what, err)
				}
				tried[what]++
				if !xs[0].Wrong() {
					t.Errorf("%s, %s, %s: nothing is found", name, kind, what)
				}
			}
		}
	}
	for what := range wrongUpdates {
		if tried[what] == 0 {
			t.Errorf("%s: never tried", what)
		}
	}
	t.Logf("%v", tried)
}
