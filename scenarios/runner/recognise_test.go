// SPDX-License-Identifier: GPL-2.0-only

package runner_test

import (
	"errors"
	"testing"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/recognise"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// TestRecogniseOwn compiles for every target and expects the bytes alone to name its design. Some
// designs differ in how sites are poked, or in what is not in the code of programs: they share a name.
func TestRecogniseOwn(t *testing.T) {
	family := map[string]string{"rework-6.7": "rework-5.10", "jmp-always-valid": "ip-aux"}
	for _, name := range jit.TargetNames() {
		tgt := target(t, name)
		want := tgt.Scheme
		if f := family[want]; f != "" {
			want = f
		}
		named := 0
		for _, scenario := range []string{"hierarchy", "chain33", "tailcall_1", "tailcall_3", "poke_one_site"} {
			c, err := runner.Compile(build(t, scenario), tgt)
			if errors.Is(err, kernels.ErrUnsupported) {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, img := range c.Images {
				d := recognised(t, img)
				if d.Name == "" {
					continue // no tail call and no counter
				}
				if d.Name == "ip-aux" && want == "pop-nop-push" && !hasDirect(img) {
					continue // the same code
				}
				if named++; d.Name != want {
					t.Errorf("%s on %s: %s, want %s", scenario, name, d.Name, want)
				}
			}
		}
		if named == 0 {
			t.Errorf("%s: no img with a design", name)
		}
	}
}

// hasDirect reports whether an img has a direct tail call.
func hasDirect(img *image.Image) bool {
	for i := range img.Funcs {
		for _, s := range img.Funcs[i].TailCalls {
			if s.Direct {
				return true
			}
		}
	}
	return false
}

// recognised is the design of an img of which nothing but code and addresses is told.
func recognised(t *testing.T, img *image.Image) recognise.Design {
	t.Helper()
	var funcs []image.FuncImage
	for i := range img.Funcs {
		f := &img.Funcs[i]
		funcs = append(funcs, image.FuncImage{Name: f.Name, Addr: f.Addr, Code: f.Code})
	}
	img, err := recognise.RecogniseImage(funcs)
	if err != nil {
		t.Fatal(err)
	}
	d, err := recognise.RecogniseDesign(img)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
