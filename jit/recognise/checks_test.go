// SPDX-License-Identifier: GPL-2.0-only

package recognise_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/recognise"
)

// TestChecks forgets the checks of tail calls and what they leave in place, in code of kernels and of proposals, and has both
// found again.
func TestChecks(t *testing.T) {
	for _, name := range []string{"6.1", "6.12", "7.3", "hier-rfc1", "hier-rfc2", "hier-percpu", "hier-runctx", "maciej-hidden16", "backprop-check"} {
		file := "6.1-off"
		if _, ok := captureTargets[name+"-off"]; ok {
			file = name + "-off"
		}
		c := readCapture(t, file)
		tgt, err := jit.TargetByName(name)
		must(t, err)
		sites, mains, n := 0, 0, 0
		for e := range compiled(c) {
			if n++; testing.Short() && n%shortStride != 0 {
				continue
			}
			img, err := jit.Compile(e.Verified(), tgt, withRoutines{e})
			if errors.Is(err, kernels.ErrUnsupported) {
				continue
			}
			must(t, err)
			for k := range img.Funcs {
				f := &img.Funcs[k]
				if kept := recognise.Kept(f); f.Frame.Landing >= 0 && kept != f.Frame.Kept {
					t.Errorf("%s: %s program %d: %d bytes are kept, found %d", name, e.Scenario.Name, e.N, f.Frame.Kept, kept)
				}
				if f.Frame.Landing >= 0 {
					mains++
				}
				for i := range f.TailCalls {
					want := f.TailCalls[i]
					got := want
					got.Bounds, got.Limit, got.Null = -1, -1, -1
					recognise.Checks(f, &got)
					sites++
					if d := cmp.Diff(want, got); d != "" {
						t.Errorf("%s: %s program %d function %d (-compiler +found):\n%s", name, e.Scenario.Name, e.N, k, d)
					}
				}
			}
			if t.Failed() {
				break
			}
		}
		if sites == 0 || mains == 0 {
			t.Errorf("%s: %d tail calls and %d main functions were looked at", name, sites, mains)
		}
	}
}
