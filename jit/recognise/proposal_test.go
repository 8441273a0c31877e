// SPDX-License-Identifier: GPL-2.0-only

package recognise_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/jittest"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/recognise"
)

// TestRecogniseProposals requires of Recognise what the compiler knows of tail calls and frames in designs that
// never were in a kernel, as far as code shows it.
func TestRecogniseProposals(t *testing.T) {
	c := readCapture(t, "6.1-off")
	for _, name := range []string{"hier-rfc1", "hier-rfc2", "hier-percpu", "hier-percpu-prog-a", "hier-percpu-prog-b", "hier-runctx", "hier-task"} {
		t.Run(name, func(t *testing.T) {
			tgt, err := jit.TargetByName(name)
			must(t, err)
			funcs, bad, n := 0, 0, 0
			for e := range compiled(c) {
				if n++; bad > 3 || testing.Short() && n%shortStride != 0 {
					continue
				}
				want, err := jit.Compile(e.Verified(), tgt, withRoutines{e})
				if errors.Is(err, kernels.ErrUnsupported) {
					continue
				}
				must(t, err)
				got, err := recognise.RecogniseImage(want.Funcs)
				must(t, err)
				for k := range want.Funcs {
					w, g := want.Funcs[k], got.Funcs[k]
					if w.Frame.Counter.Form == image.CounterNone && len(w.TailCalls) == 0 {
						continue // only those show their design alone
					}
					funcs++
					w.TailCalls = slices.Clone(w.TailCalls)
					for n := range w.TailCalls {
						w.TailCalls[n].Map, w.TailCalls[n].Key = -1, 0
						if w.Frame.Depth == 0 && len(w.Frame.Saved) == 0 && n < len(g.TailCalls) && g.TailCalls[n].Unwind < 0 {
							w.TailCalls[n].Unwind = -1 // there is nothing to take down
						}
					}
					if d := cmp.Diff(w.TailCalls, g.TailCalls); d != "" {
						bad++
						t.Errorf("%s program %d function %d (-compiler +recognised):\n%s", e.Scenario.Name, e.N, k, d)
					}
					if d := cmp.Diff(w.Frame.Slots, g.Frame.Slots); d != "" && w.Frame.Depth != 0 {
						bad++
						t.Errorf("%s program %d function %d (-compiler +recognised):\n%s", e.Scenario.Name, e.N, k, d)
					}
					if w.Frame.Scratch != g.Frame.Scratch || w.Frame.RunCtx != g.Frame.RunCtx || w.Frame.Landing != g.Frame.Landing {
						bad++
						t.Errorf("%s program %d function %d: %+v, expected %+v", e.Scenario.Name, e.N, k, g.Frame, w.Frame)
					}
				}
			}
			if funcs == 0 {
				t.Error("nothing was compared")
			}
		})
	}
}

// withRoutines is an environment that has the routines of designs, too.
type withRoutines struct{ image.Env }

func (withRoutines) Routine(r image.Routine) (image.Addr, error) { return jittest.FlatEnv{}.Routine(r) }
