// SPDX-License-Identifier: GPL-2.0-only

package capture_test

import (
	"strings"
	"testing"

	"github.com/tcsim/tcsim/fixtures"
	"github.com/tcsim/tcsim/jit/capture"
)

// TestConform compiles every program of every capture and compares all code with the kernel's.
func TestConform(t *testing.T) {
	for _, name := range captureNames(t) {
		if strings.Contains(name, "extra-") || testing.Short() && !strings.Contains(name, "lfence") {
			continue
		}
		t.Run(strings.TrimSuffix(strings.TrimPrefix(name, "kernels/"), ".jsonl.gz"), func(t *testing.T) {
			src, err := capture.OpenFS(fixtures.FS, name, name)
			if err != nil {
				t.Fatal(err)
			}
			r, err := capture.Conform(src, capture.Options{Keep: 5})
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("target %s: %s images, %s facts, %d refused, %d not JITed; %v", r.Target.Name, r.Total(), r.Facts, r.Refused, r.NotJITed, r.Images)
			for _, m := range r.Mismatches {
				t.Errorf("%s (line %d) prog %d func %d %s: %s\n%.3000s", m.Scenario, m.Line, m.Prog, m.Func, m.State, m.Reason, m.Listing)
			}
			if !r.OK() {
				t.Errorf("%s images and %s facts identical", r.Total(), r.Facts)
			}
		})
	}
}
