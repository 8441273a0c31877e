// SPDX-License-Identifier: GPL-2.0-only

package jit_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/design"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
)

// TestTraits walks the whole table: each design is described, has a target, and its code shows the
// same where it shows something. What runs show is compared in TestTraitsShown of package campaign, what
// machine code shows in TestRecogniseOwn of package runner.
func TestTraits(t *testing.T) {
	targets := map[design.ID][]*jit.Target{}
	for _, name := range jit.TargetNames() {
		tgt, err := jit.TargetByName(name)
		must(t, err)
		targets[tgt.Design] = append(targets[tgt.Design], tgt)
	}
	names := map[string]bool{}
	for i, d := range design.All() {
		r := d.Traits()
		if r.Name == "" || r.Source == "" || r.Counting == 0 || r.Empty == 0 || r.Handover == 0 || r.Boundary == 0 ||
			r.Shape == (design.Shape{}) {
			t.Errorf("design %d (%s) is not described: a row of designs is missing, or one of its traits: %+v", i+1, r.Name, r)
			continue
		}
		if found, ok := design.ByName(r.Name); !ok || found != d || names[r.Name] {
			t.Errorf("%s: the name means design %d", r.Name, found)
		}
		names[r.Name] = true
		for _, f := range r.Faults {
			if f.Invariant == "" || f.Shown == 0 || f.Text == "" {
				t.Errorf("%s: fault %+v is not described", r.Name, f)
			}
		}
		if len(targets[d]) == 0 {
			t.Errorf("%s: no listed target has it", r.Name)
			continue
		}
		best := design.BySource
		for _, tgt := range targets[d] {
			best = min(best, tgt.Evidence)
		}
		if best != r.Evidence {
			t.Errorf("%s: %s, but its targets %s", r.Name, r.Evidence, best)
		}
		for _, tgt := range targets[d] {
			if tgt.Unmitigated() {
				checkTraits(t, tgt)
			}
		}
	}
	for _, k := range kernels.Designs() {
		var of []design.ID
		for _, d := range design.All() {
			if d.Traits().Kernel == k {
				of = append(of, d)
			}
		}
		if len(of) != 1 || design.OfKernel(k) != of[0] {
			t.Errorf("design %d of kernels: designs %v say that they are it, and %q is taken for it", k, of, design.OfKernel(k))
		}
	}
	if design.OfKernel(kernels.NoDesign) != design.None {
		t.Error("no design of kernels is a design")
	}
	if _, ok := design.ByName(""); ok {
		t.Error("the empty name is a design")
	}
}

// checkTraits compares traits with the code for a target.
func checkTraits(t *testing.T, tgt *jit.Target) {
	t.Helper()
	r, s := tgt.Design.Traits(), showDesign(t, tgt)
	if got := handedOver(&s.f[0].Frame); got != r.Handover {
		t.Errorf("%s: the code hands over %s, not %s", tgt.Name, got, r.Handover)
	}
	var kinds []image.RoutineKind
	for _, o := range s.routines {
		kinds = append(kinds, o.Kind)
	}
	slices.Sort(kinds)
	want := slices.Sorted(slices.Values(r.Routines))
	if d := cmp.Diff(want, kinds); d != "" {
		t.Errorf("%s: routines (-stated +used):\n%s", tgt.Name, d)
	}
	if got := emptySlot(&s.f[0].TailCalls[0]); got != r.Empty {
		t.Errorf("%s: indirect: an empty slot costs %d, not %d", tgt.Name, got, r.Empty)
	}
	if tgt.Verifier.NoDirect {
		return
	}
	img, err := jit.Compile(program(512, true, bpf.Insn{Op: bpf.OpTailCall, Imm: 1}, mov0, exit), tgt, &fixedEnv{next: fuzzBase})
	must(t, err)
	if got := emptySlot(&img.Funcs[0].TailCalls[0]); got != r.Empty {
		t.Errorf("%s: direct: an empty slot costs %d, not %d", tgt.Name, got, r.Empty)
	}
}

// emptySlot reads what an empty slot costs from where the counter is written: before the slot is looked
// at or after.
func emptySlot(s *image.TailCallSite) design.EmptySlot {
	looks := s.Null
	if s.Direct {
		if looks = s.Bypass; looks < 0 {
			looks = s.Jump
		}
	}
	if s.Bump >= 0 && s.Bump < looks {
		return design.EmptyCounts
	}
	return design.EmptyFree
}

// handedOver reads what a tail call hands to the next program from the frame.
func handedOver(f *image.Frame) design.Handover {
	switch {
	case f.Reused:
		return design.HandFrame
	case f.Counter.Form == image.CounterValue:
		return design.HandCount
	case f.Counter.Form == image.CounterNone, f.Counter.Form == image.CounterGS:
		return design.HandNothing
	}
	for _, s := range f.Slots {
		if s.Kind == image.SlotTailCallCntOrPtr {
			return design.HandCountOrPointer
		}
	}
	return design.HandPointer
}
