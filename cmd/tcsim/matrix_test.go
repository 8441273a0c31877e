// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tcsim/tcsim/cmd/tcsim/render"
	"github.com/tcsim/tcsim/scenarios/campaign"
	"github.com/tcsim/tcsim/scenarios/files"
)

// TestMatrixText prints the whole table: as expected, no wider than a mail, each design in it.
func TestMatrixText(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long; a script prints a part of it")
	}
	code, out, errs := tcsim(t, "", "matrix")
	if code != exitOK || errs != "" {
		t.Fatalf("exit code %d, %s\n%s", code, errs, out)
	}
	for i, line := range strings.Split(out, "\n") {
		if n := utf8.RuneCountInString(line); n > render.Width {
			t.Errorf("line %d has %d columns: %s", i+1, n, line)
		}
	}
	for _, n := range campaign.MatrixTargets() {
		if !strings.Contains(out, "\n"+n+" ") {
			t.Errorf("no row for %s", n)
		}
	}
	for _, s := range files.Builtin() {
		if !strings.Contains(out, " "+s) {
			t.Errorf("no scenario %s", s)
		}
	}
	if strings.Contains(out, "!") {
		t.Error("a cell is not as expected")
	}
}

// TestMatrixJITFails: a JIT that fails on a program of the cost sheet fails the command, whatever the cells say.
func TestMatrixJITFails(t *testing.T) {
	good, bad := campaign.Costs{Target: "6.12"}, campaign.Costs{Target: "src:linux", JITFails: true}
	if jitFails([]render.CoreCosts{{Costs: []campaign.Costs{good}}, {Costs: []campaign.Costs{good}}}) {
		t.Error("nothing failed, and it is said")
	}
	if !jitFails([]render.CoreCosts{{Costs: []campaign.Costs{good}}, {Costs: []campaign.Costs{good, bad}}}) {
		t.Error("a JIT that failed is not seen")
	}
}
