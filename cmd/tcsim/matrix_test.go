// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tcsim/tcsim/cmd/tcsim/render"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/scenarios"
)

// TestMatrixText prints the whole table: as expected, no wider than a mail, each design in it.
func TestMatrixText(t *testing.T) {
	code, out, errs := tcsim(t, "", "matrix")
	if code != exitOK || errs != "" {
		t.Fatalf("exit code %d, %s\n%s", code, errs, out)
	}
	for i, line := range strings.Split(out, "\n") {
		if n := utf8.RuneCountInString(line); n > render.Width {
			t.Errorf("line %d has %d columns: %s", i+1, n, line)
		}
	}
	for _, n := range append(jit.SchemeNames(), "5.10", "6.1", "6.12", "6.18", "7.2") {
		if strings.HasPrefix(n, "rework-") || n == "hier-6.12" {
			continue // the kernels have these
		}
		if !strings.Contains(out, "\n"+n+" ") {
			t.Errorf("no row for %s", n)
		}
	}
	for _, s := range scenarios.Builtin() {
		if !strings.Contains(out, " "+s) {
			t.Errorf("no scenario %s", s)
		}
	}
	if strings.Contains(out, "!") {
		t.Error("a cell is not as expected")
	}
}

// TestMatrixJSON has the same values under --json.
func TestMatrixJSON(t *testing.T) {
	code, out, errs := tcsim(t, "", "matrix", "--json", "--scenario", "hierarchy,bpf2bpf_6", "--target", "5.10,6.12,fp53")
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	var m struct {
		Schema  string
		Results []struct {
			Target string
			Cells  map[string]struct {
				Verdict  string
				Expected bool
				Taken    int
			}
		}
		Costs []struct {
			Target string
			Call   *struct{ Bytes, Instructions int }
		}
		Unexpected int
	}
	if err := json.Unmarshal([]byte(out), &m); err != nil {
		t.Fatal(err)
	}
	if m.Schema != "tcsim.matrix/v1" || len(m.Results) != 3 || len(m.Costs) != 3 || m.Unexpected != 0 {
		t.Fatalf("%+v", m)
	}
	for i, want := range []struct {
		verdict string
		taken   int
	}{{"limit", 34}, {"ok", 33}, {"unsupported", 0}} {
		if c := m.Results[i].Cells["hierarchy"]; c.Verdict != want.verdict || c.Taken != want.taken || !c.Expected {
			t.Errorf("hierarchy on %s: %+v, want %+v", m.Results[i].Target, c, want)
		}
	}
	if c := m.Costs[0].Call; c == nil || c.Bytes != 12 || c.Instructions != 2 {
		t.Errorf("a call on 5.10 costs %+v", c)
	}
	if c := m.Costs[2].Call; c != nil {
		t.Errorf("a call on fp53 costs %+v, yet it has none beside tail calls", c)
	}
}

// TestMatrixBad has wrong command lines.
func TestMatrixBad(t *testing.T) {
	for _, args := range [][]string{
		{"hierarchy"}, {"--scenario", "no_such"}, {"--target", "4.99"}, {"--core", "z80"}, {"--workers", "many"},
	} {
		if code, out, errs := tcsim(t, "", append([]string{"matrix"}, args...)...); code != exitUsage || out != "" || errs == "" {
			t.Errorf("%v: exit code %d, %q, %q", args, code, out, errs)
		}
	}
}

// TestMatrixUnexpected marks a cell, explains it and ends with exit code 1.
func TestMatrixUnexpected(t *testing.T) {
	file := write(t, "wrong.yaml", "version: 1\nname: wrong\nprograms:\n  p: [return: 1]\nruns:\n  - {run: p, packet: 64, expect: {return: 2}}\n")
	code, out, _ := tcsim(t, "", "matrix", "--scenario", file, "--target", "6.12,6.1")
	if code != exitFailed || strings.Count(out, ".!") != 2 || !strings.Contains(out, "expected return 2, found 1") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
}
