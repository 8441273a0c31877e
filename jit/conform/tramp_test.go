// SPDX-License-Identifier: GPL-2.0-only

package conform_test

import (
	"path"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/fixtures"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/conform"
	"github.com/tcsim/tcsim/jit/jittest"
)

// TestConformTrampolines compares every trampoline of the captures, the patched instructions and the
// functions in state traced with the kernels'.
func TestConformTrampolines(t *testing.T) {
	files := 0
	for _, name := range jittest.CaptureNames(t) {
		base := strings.TrimSuffix(path.Base(name), ".jsonl.gz")
		if !strings.HasPrefix(base, "extra-") {
			continue
		}
		files++
		t.Run(base, func(t *testing.T) {
			src, err := capture.OpenFS(fixtures.FS, name, name)
			if err != nil {
				t.Fatal(err)
			}
			r, err := conform.Compare(src, conform.Options{Keep: 1000})
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("target %s: %s trampolines, %s functions traced, tramp %s", r.Target.Name, r.Trampolines, r.States[capture.Traced], r.Images["tramp"])
			for _, m := range r.Mismatches {
				if m.State == capture.Traced || strings.HasPrefix(m.Scenario, "tramp/") {
					t.Errorf("%s (line %d) prog %d func %d %s: %s\n%.3000s", m.Scenario, m.Line, m.Prog, m.Func, m.State, m.Reason, m.Listing)
				}
			}
			if !r.Images["tramp"].All() || !r.Trampolines.All() || r.Trampolines.Same < 66 {
				t.Errorf("%s functions of tramp identical, %s trampolines", r.Images["tramp"], r.Trampolines)
			}
		})
	}
	if files != 10 {
		t.Errorf("%d captures with trampolines, expected 10", files)
	}
}

// TestConformTrampolinesFinds changes a capture, or compares with another target, and expects the
// difference to be found.
func TestConformTrampolinesFinds(t *testing.T) {
	const name = "tramp/sub-self/fexit"
	for what, c := range map[string]struct {
		file, old, new, target string
		trampolines, traced    string
		reason                 string
	}{
		"nothing":      {"7.2-off", "", "", "", "1/1", "3/3", ""},
		"saved rax":    {"7.2-off", `"image":"554889e54883ec3050`, `"image":"554889e54883ec3053`, "", "0/1", "3/3", "differs at offset 8"},
		"site":         {"7.2-off", `"after":"e9`, `"after":"e8`, "", "0/1", "3/3", "patch 0f 1f 44 00 00 to e9"},
		"traced image": {"7.2-off", `"traced":"f30f1efae9`, `"traced":"f30f1efae8`, "", "1/1", "2/3", "differs at offset 4"},
		"other kernel": {"7.2-off", "", "", "6.12", "0/1", "2/3", "differs at offset"},
		"losing rax":   {"6.1-off", "", "", "6.1-losesrax", "0/1", "3/3", "differs at offset 8"},
	} {
		t.Run(what, func(t *testing.T) {
			src := excerpt(t, "extra-"+c.file, func(l string) string {
				if c.old != "" && !strings.Contains(l, c.old) {
					t.Fatalf("%q is not in %s", c.old, l)
				}
				return strings.Replace(l, c.old, c.new, 1)
			}, name)
			opts := conform.Options{Keep: 9}
			if c.target != "" {
				tg, err := jit.TargetByName(c.target)
				if err != nil {
					t.Fatal(err)
				}
				opts.Target = tg
			}
			r, err := conform.Compare(src, opts)
			if err != nil {
				t.Fatal(err)
			}
			if r.Trampolines.String() != c.trampolines || r.States[capture.Traced].String() != c.traced {
				t.Errorf("%s trampolines and %s traced functions, expected %s and %s", r.Trampolines, r.States[capture.Traced], c.trampolines, c.traced)
			}
			if r.OK() != (c.reason == "") {
				t.Errorf("OK is %v", r.OK())
			}
			found := c.reason == ""
			for _, m := range r.Mismatches {
				found = found || m.State == capture.Traced && strings.Contains(m.Reason, c.reason)
			}
			if !found {
				t.Errorf("no mismatch with %q in %+v", c.reason, r.Mismatches)
			}
		})
	}
}
