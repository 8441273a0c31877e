// SPDX-License-Identifier: GPL-2.0-only

//go:build cgo

package source_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/image"
)

// TestPlans compares what changes of prog arrays do by the kernels' own code with our plans.
func TestPlans(t *testing.T) {
	const at image.Addr = 0xffffffffc0001000
	sites := []image.PokeSite{
		{Bypass: at + 0x40, Jump: at + 0x50, Out: at + 0x55},
		{Bypass: at + 0x1ff0, Jump: at + 0x1ffe, Out: at + 0x2003}, // over the end of a page
	}
	const a, b = at + 0x3000, at + 0x4010
	for name, target := range map[string]string{"5.10": "5.10", "6.1": "6.1", "6.12": "6.12", "7.2": "7.2", "7.3": "7.2"} {
		t.Run(name, func(t *testing.T) {
			tree := open(t, name)
			own, err := jit.TargetByName(target)
			if err != nil {
				t.Fatal(err)
			}
			theirs := *own
			theirs.Emitter = compile(t, tree, own)
			for _, c := range []struct {
				name     string
				old, new image.Addr
			}{{"insert", 0, a}, {"replace", a, b}, {"replace by itself", a, a}, {"delete", a, 0}, {"delete of an empty slot", 0, 0}} {
				want, err := own.UpdatePlan(sites, c.old, c.new)
				got, serr := theirs.UpdatePlan(sites, c.old, c.new)
				if d := cmp.Diff(done(want), got); d != "" || err != nil || serr != nil {
					t.Errorf("%s: ours %v (-), the source's %v (+):\n%s", c.name, err, serr, d)
				}
			}
			want, err := own.LoadPlan(sites, []image.Addr{0, b})
			got, serr := theirs.LoadPlan(sites, []image.Addr{0, b})
			if d := cmp.Diff(want, got); d != "" || err != nil || serr != nil {
				t.Errorf("load: ours %v (-), the source's %v (+):\n%s", err, serr, d)
			}
		})
	}
}

// done leaves out the waits that do not happen, because nothing has changed before them.
func done(plan []image.Patch) []image.Patch {
	var out []image.Patch
	for i := range plan {
		if p := &plan[i]; p.Kind != image.PatchWait || plan[p.After].Old != plan[p.After].New {
			out = append(out, *p)
		}
	}
	return out
}
