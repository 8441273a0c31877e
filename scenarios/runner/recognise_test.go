// SPDX-License-Identifier: GPL-2.0-only

package runner_test

import (
	"errors"
	"testing"

	"github.com/tcsim/tcsim/jit"
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
			if errors.Is(err, jit.ErrUnsupported) {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, image := range c.Images {
				d := recognised(t, image)
				if d.Name == "" {
					continue // no tail call and no counter
				}
				if d.Name == "ip-aux" && want == "pop-nop-push" && !hasDirect(image) {
					continue // the same code
				}
				if named++; d.Name != want {
					t.Errorf("%s on %s: %s, want %s", scenario, name, d.Name, want)
				}
			}
		}
		if named == 0 {
			t.Errorf("%s: no image with a design", name)
		}
	}
}

// hasDirect reports whether an image has a direct tail call.
func hasDirect(image *jit.Image) bool {
	for i := range image.Funcs {
		for _, s := range image.Funcs[i].TailCalls {
			if s.Direct {
				return true
			}
		}
	}
	return false
}

// recognised is the design of an image of which nothing but code and addresses is told.
func recognised(t *testing.T, image *jit.Image) jit.Design {
	t.Helper()
	var funcs []jit.FuncImage
	for i := range image.Funcs {
		f := &image.Funcs[i]
		funcs = append(funcs, jit.FuncImage{Name: f.Name, Addr: f.Addr, Code: f.Code})
	}
	img, err := jit.RecogniseImage(funcs)
	if err != nil {
		t.Fatal(err)
	}
	d, err := jit.RecogniseDesign(img)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
