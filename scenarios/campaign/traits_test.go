// SPDX-License-Identifier: GPL-2.0-only

package campaign_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/tcsim/tcsim/emu/check"
	"github.com/tcsim/tcsim/jit/design"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/campaign"
)

// TestTraitsShown compares what is said of each design with what the library shows: nothing breaks that
// its traits do not state, and what they state breaks somewhere.
func TestTraitsShown(t *testing.T) {
	m := whole(t)
	for i, name := range m.Targets {
		tg := target(t, name)
		if !tg.Unmitigated() || tg.Emit.UnroundedReload {
			continue
		}
		d := tg.Design.Traits()
		broken := map[check.Invariant]string{}
		for j, c := range m.Cells[i] {
			inv := check.Invariant(c.Verdict)
			// What a kernel must not allow breaks on every design.
			if !slices.Contains(check.Invariants(), inv) || build(t, m.Scenarios[j]).Scenario.Policy == scenarios.IfAllowed {
				continue
			}
			broken[inv] = m.Scenarios[j]
		}
		stated := map[check.Invariant]bool{}
		if tg.Emit.WideBounds { // a bug of the kernel's, not of the design
			stated[check.Semantics] = true
		}
		for _, f := range d.Faults {
			inv := check.Invariant(f.Invariant)
			if !slices.Contains(check.Invariants(), inv) {
				t.Errorf("%s: there is no invariant %q", d.Name, inv)
			}
			stated[inv] = true
			// What takes an update at a certain moment the library does not have.
			if f.Shown != design.ShownDuringUpdate && broken[inv] == "" {
				t.Errorf("%s: %s breaks nowhere, but: %s", name, inv, f.Text)
			}
		}
		if d.Counting != design.CountInvocation {
			stated[check.Limit] = true
			if broken[check.Limit] == "" {
				t.Errorf("%s: the limit holds everywhere, although one counter does not count all", name)
			}
		}
		if d.Counting.PerFrame() { // a caller sees fewer tail calls refused than it should
			stated[check.Semantics] = true
		}
		for inv, scenario := range broken {
			if !stated[inv] {
				t.Errorf("%s: %s breaks %s, which its traits do not mention", name, scenario, inv)
			}
		}
	}
}

// TestGroupsByTraits: a design is in the group that its traits call for, so that none is in the correct
// one by default.
func TestGroupsByTraits(t *testing.T) {
	correct := campaign.TargetsNamed([]string{campaign.CorrectTargets})
	for _, n := range campaign.TargetsNamed([]string{campaign.AllTargets}) {
		tg := target(t, n)
		d := tg.Design.Traits()
		want := d.Counting == design.CountInvocation && d.Wrong() == "" && !tg.Emit.UnroundedReload
		if slices.Contains(correct, n) != want {
			t.Errorf("%s is among the correct targets: want %v", n, want)
		}
	}
}

// TestInvariantWords: scenario files can expect every invariant.
func TestInvariantWords(t *testing.T) {
	for _, inv := range check.Invariants() {
		buildText(t, "words.yaml", fmt.Appendf(nil,
			"version: 1\nname: words\nprograms:\n  p: [return: 0]\nruns:\n  - {run: p, packet: 64, expect: {violates: %s}}\n", inv))
	}
}
