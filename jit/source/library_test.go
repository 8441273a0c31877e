// SPDX-License-Identifier: GPL-2.0-only

//go:build cgo

package source_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/scenarios/files"
	"github.com/tcsim/tcsim/scenarios/object"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// TestLibrary compares what kernels' own source makes of the scenario library with what we make of it, code and
// what is known of it.
func TestLibrary(t *testing.T) {
	for _, name := range []string{"6.1", "6.12", "7.2"} {
		if testing.Short() && name != "6.12" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			own, err := jit.TargetByName(name)
			if err != nil {
				t.Fatal(err)
			}
			theirs := *own
			theirs.Emitter = compile(t, open(t, name), own)
			n, images := 0, 0
			for _, s := range files.Builtin() {
				b, err := object.Load(s, object.Options{})
				if err != nil {
					t.Fatal(err)
				}
				want, err := runner.Compile(b, own)
				got, serr := runner.Compile(b, &theirs)
				if errors.Is(err, kernels.ErrUnsupported) && errors.Is(serr, kernels.ErrUnsupported) {
					continue
				}
				if err != nil || serr != nil {
					t.Errorf("%s: ours: %v, the source: %v", s, err, serr)
					continue
				}
				n++
				for i := range want.Images {
					images++
					if d := cmp.Diff(want.Images[i].Funcs, got.Images[i].Funcs); d != "" {
						t.Errorf("%s: program %d: ours (-), the source's (+):\n%s", s, i, d)
					}
				}
			}
			t.Logf("%d scenarios, %d images", n, images)
		})
	}
}
