// SPDX-License-Identifier: GPL-2.0-only

package runner_test

import (
	"testing"

	"github.com/tcsim/tcsim/emu/timing"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// TestZen5Scenarios holds warm runs of whole scenarios against what they took natively on an EPYC of family 26.
func TestZen5Scenarios(t *testing.T) {
	core, err := timing.CoreNamed("zen5")
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		scenario, target string
		measured         float64
	}{
		{"chain33", "5.10", 729}, {"chain33", "6.1", 729}, {"chain33", "6.12", 71.5}, {"chain33", "7.2", 71.5},
		{"hierarchy", "6.12", 525}, {"hierarchy", "7.2", 525},
	} {
		s := opened(t, compiled(t, build(t, x.scenario), target(t, x.target)), runner.Options{Core: core})
		got := play(t, s).Runs[0].Cycles.Warm
		t.Logf("%s on %s: %.1f, measured %.1f", x.scenario, x.target, got, x.measured)
		if e := got/x.measured - 1; e < -0.1 || e > 0.1 {
			t.Errorf("%s on %s: %.1f cycles, measured %.1f", x.scenario, x.target, got, x.measured)
		}
	}
}
