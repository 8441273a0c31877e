// SPDX-License-Identifier: GPL-2.0-only

package campaign_test

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/emu/check"
	"github.com/tcsim/tcsim/fixtures/golden"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/campaign"
)

// TestLibraryDoc writes the last column of the tables in docs/scenario-library.md: which designs break
// what. Features of a kernel make no difference, and what each run of hier-rfc1 breaks is said there once.
func TestLibraryDoc(t *testing.T) {
	const path = "../../docs/scenario-library.md"
	src, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	m := whole(t)
	rows := 0
	lines := strings.Split(string(src), "\n")
	for i, line := range lines {
		cells := strings.Split(line, " | ")
		if len(cells) != 4 {
			continue
		}
		names := regexp.MustCompile("`([a-z0-9_]+)`").FindAllStringSubmatch(cells[1], -1)
		if len(names) == 0 || !slices.Contains(m.Scenarios, names[0][1]) {
			continue
		}
		rows++
		cells[3] = differing(t, m, names[0][1]) + " |"
		if want := strings.Join(cells, " | "); want != line {
			lines[i] = want
			if !golden.Update() {
				t.Errorf("the table has\n%s\nfound (-update rewrites it)\n%s", line, want)
			}
		}
	}
	if rows < 19 {
		t.Errorf("%d rows", rows)
	}
	if golden.Update() {
		if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// differing lists what a scenario breaks and where.
func differing(t *testing.T, m *campaign.Matrix, scenario string) string {
	t.Helper()
	by := map[campaign.Verdict][]string{}
	var shown []string // targets that have no other name here
	for _, name := range m.Targets {
		tg := target(t, name)
		known := slices.Contains(scenarios.TargetNames(tg), scenarios.ClassBelowRSP)
		c := cellOf(t, m, scenario, name)
		switch {
		case !tg.Unmitigated():
			continue
		case c.Verdict == campaign.VerdictOK:
		case known && c.Verdict == campaign.Verdict(check.BelowRSP):
		case len(tg.Features) > 0 && cellOf(t, m, scenario, tg.Base).Verdict == c.Verdict:
		default:
			by[c.Verdict] = append(by[c.Verdict], name)
		}
		if len(tg.Features) == 0 {
			shown = append(shown, name)
		}
	}
	var out []string
	for _, v := range slices.Sorted(keysOf(by)) {
		list := strings.Join(by[v], ", ")
		switch {
		case v != campaign.VerdictUnsupported:
		case slices.Equal(by[v], oneFrame(m)):
			list = "5.9 and before"
		case slices.Equal(by[v], without(t, kernels.ISAExceptions, shown)):
			list = "6.6 and before, and what was proposed"
		}
		out = append(out, fmt.Sprintf("`%s`: %s", v, list))
	}
	if len(out) == 0 {
		return "the same"
	}
	return strings.Join(out, "; ")
}

// without are the targets that do not have an instruction set.
func without(t *testing.T, isa kernels.ISA, names []string) (out []string) {
	t.Helper()
	for _, n := range names {
		if target(t, n).Emit.ISA&isa == 0 {
			out = append(out, n)
		}
	}
	return out
}

// oneFrame are the designs that have no tail calls together with calls.
func oneFrame(m *campaign.Matrix) []string {
	var out []string
	for _, n := range m.Targets {
		if t, err := jit.TargetByName(n); err == nil && (t.Verifier.NoMix || t.Verifier.NoSubprogs) && n != "direct-poke-inline-nodirect" {
			out = append(out, n)
		}
	}
	return out
}
