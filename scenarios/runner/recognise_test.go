// SPDX-License-Identifier: GPL-2.0-only

package runner_test

import (
	"errors"
	"testing"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/design"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/recognise"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// TestRecogniseOwn compiles for every target and expects the bytes to name its design, and no other but
// those that emit the same.
func TestRecogniseOwn(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	for _, name := range jit.TargetNames() {
		tgt := target(t, name)
		named, fewest := 0, 64
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
				if !d.Shown {
					continue // no tail call and no counter
				}
				if named++; !d.Designs.Has(tgt.Design) {
					t.Errorf("%s on %s: %s", scenario, name, d.Name())
				}
				fewest = min(fewest, len(d.Designs.Designs()))
			}
		}
		if named == 0 {
			t.Errorf("%s: no image with a design", name)
		}
		if like := alike(tgt.Design); fewest != like {
			t.Errorf("%s: the code can be of %d designs, %d have its shape", name, fewest, like)
		}
	}
}

// alike is how many designs have the shape of d.
func alike(d design.ID) (n int) {
	for _, o := range design.All() {
		if o.Traits().Shape == d.Traits().Shape {
			n++
		}
	}
	return n
}

// recognised is the design of an image whose code and addresses alone are told.
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
