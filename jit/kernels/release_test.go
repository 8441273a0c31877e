// SPDX-License-Identifier: GPL-2.0-only

package kernels_test

import (
	"strings"
	"testing"

	"github.com/tcsim/tcsim/jit/kernels"
)

// TestFacts walks the table: names are unique, every fact has a text and a time, and every stable tree that
// got one is of a release that would be otherwise.
func TestFacts(t *testing.T) {
	seen := map[string]bool{}
	for i := range kernels.Facts {
		f := &kernels.Facts[i]
		if seen[f.Name] {
			t.Errorf("two facts %s", f.Name)
		}
		seen[f.Name] = true
		none := kernels.Version{}
		if f.Name == "" || f.Doc == "" || f.Since == none && f.Until == none {
			t.Errorf("fact %q is incomplete", f.Name)
		}
		if f.Until != none && !f.Since.Before(f.Until) || f.After != none && !f.After.Before(f.Since) {
			t.Errorf("fact %s: times are not in order", f.Name)
		}
		for _, s := range f.Stable {
			if f.Holds(s.Base, s.Patch) == f.Holds(s.Base, 0) {
				t.Errorf("fact %s: stable tree of %s changes nothing", f.Name, s.Base)
			}
		}
	}
}

// TestReleases walks all releases: each has one design, and rows are in order.
func TestReleases(t *testing.T) {
	all := kernels.Releases()
	if first, end := all[0].Name(), all[len(all)-1].Version; first != "4.4" || end != kernels.Newest().Version {
		t.Errorf("releases are %s to %s", first, end)
	}
	for _, r := range all {
		n := 0
		for i := range kernels.Facts {
			if kernels.Facts[i].Kind == kernels.FactDesign && kernels.Facts[i].Holds(r.Version, r.Patch) {
				n++
			}
		}
		// The stable trees that got the trampolines of 6.7 have the facts of both.
		if n == 0 || n > 2 || r.Design == kernels.NoDesign || r.Kernel.Emit.MaxRel8 == 0 || r.Kernel.Verifier.Helpers == 0 || r.Kernel.Offsets.ArrayPtrs == 0 {
			t.Errorf("%s: %d designs, %+v", r.Name(), n, r.Kernel)
		}
	}
	for i := range kernels.Rows[1:] {
		if !kernels.Rows[i].Version.Before(kernels.Rows[i+1].Version) {
			t.Errorf("row %s is not in order", kernels.Rows[i].Version)
		}
	}
}

// TestPatches has what distributions call their kernels.
func TestPatches(t *testing.T) {
	for text, want := range map[string][2]string{ // name, part of the note
		"6.1.0-40-cloud-amd64":       {"6.1", "taken for 6.1.176; an early one may lack what its stable tree got: rework-6.7"},
		"5.14.0-503.el9.x86_64":      {"5.14", "Red Hat puts"},
		"5.15.0-113-generic":         {"5.15", "unrounded-reload (seen in 5.15.135)"},
		"6.12.107+deb13-cloud-amd64": {"6.12", ""},
		"6.12.120":                   {"6.12", ""},
		"5.10.13":                    {"5.10.13", "as mainline; it may have what 5.10.223 has: "},
		"4.9.115":                    {"4.9.115", "4.9.115: from source only"},
		"6.8.0-31-generic":           {"6.8", "taken for 6.8: from source only"},
		"4.9.45":                     {"4.9", "4.9: identical with what its own C file emits"},
		"7.1.13+deb14-cloud-amd64":   {"7.1", "7.1: compared with Debian 7.1.13, booted: 8142 functions, all identical"},
	} {
		v, patch, rest, ok := kernels.ParseVersion(text)
		r, found := kernels.FindPatch(v, patch, rest)
		if !ok || !found {
			t.Errorf("%s is not understood", text)
			continue
		}
		if note := r.Note(); r.Name() != want[0] || !strings.Contains(note, want[1]) || want[1] == "" && note != "" {
			t.Errorf("%s: %s, note %q; expected %s, %q", text, r.Name(), note, want[0], want[1])
		}
	}
}
