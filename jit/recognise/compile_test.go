// SPDX-License-Identifier: GPL-2.0-only

package recognise_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/recognise"
)

// TestRecogniseCompiled compiles the programs of every capture and requires of Recognise all that
// the compiler knows of its own code: frames, sites and calls.
func TestRecogniseCompiled(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(captureTargets)) {
		t.Run(name, func(t *testing.T) {
			if testing.Short() && name != "6.1-off" && name != "6.12-off" {
				t.Skip("short")
			}
			t.Parallel()
			c := readCapture(t, name)
			tgt, err := jit.TargetFor(c.Header.Kernel)
			must(t, err)
			funcs, bad := 0, 0
			for e := range compiled(c) {
				if bad > 5 {
					break
				}
				if testing.Short() && e.Scenario.Line%shortStride != 0 {
					continue
				}
				want, err := jit.Compile(e.Verified(), tgt, e)
				must(t, err)
				got, err := recognise.RecogniseImage(want.Funcs)
				must(t, err)
				for k := range want.Funcs {
					funcs++
					w := want.Funcs[k]
					if tgt.Emit.Probe == kernels.ProbeNone {
						w.Faults = nil // as any other load
					}
					w.TailCalls = slices.Clone(w.TailCalls)
					for n := range w.TailCalls {
						w.TailCalls[n].Map, w.TailCalls[n].Key = -1, 0 // not in the code
					}
					if d := cmp.Diff(w, got.Funcs[k]); d != "" {
						bad++
						t.Errorf("%s program %d function %d (-compiler +recognised):\n%s", e.Scenario.Name, e.N, k, d)
					}
				}
			}
			if funcs == 0 {
				t.Error("nothing was compared")
			}
		})
	}
}
