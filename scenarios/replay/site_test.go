// SPDX-License-Identifier: GPL-2.0-only

package replay_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/recognise"
	"github.com/tcsim/tcsim/scenarios/replay"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// TestSiteFlawsOwn finds nothing wrong with the tail calls that our JIT emits for any target whose
// design is recognised by name, so that a kernel with that design is not blamed. Under -short every third target.
func TestSiteFlawsOwn(t *testing.T) {
	looked := 0
	for n, name := range jit.TargetNames() {
		if testing.Short() && n%3 != 0 {
			continue
		}
		target, err := jit.TargetByName(name)
		must(t, err)
		for _, b := range library(t) {
			switch b.Scenario.Name {
			case "hierarchy", "bpf2bpf_3", "refused_keeps_state", "tailcall_6", "tailcall_poke":
			default:
				continue
			}
			c, err := runner.Compile(b, target)
			if errors.Is(err, kernels.ErrUnsupported) {
				continue
			}
			must(t, err)
			for _, img := range c.Images {
				d, err := recognise.RecogniseDesign(img)
				must(t, err)
				if !d.Known() {
					continue
				}
				looked++
				flaws, err := recognise.SiteFlaws(img, target.Limit)
				must(t, err)
				for _, f := range flaws {
					t.Errorf("%s on %s (%s): %s+%#x: %s", b.Scenario.Name, name, d.Name(), img.Funcs[f.Func].Name, int(f.Off), f.Text)
				}
			}
		}
	}
	if looked < 100 && !testing.Short() || looked < 30 {
		t.Errorf("only %d programs were looked at", looked)
	}
}

// TestDamagedSource damages tail calls of captures that hold their scenario, each alone in a file.
func TestDamagedSource(t *testing.T) {
	const file = "live/6.18-library"
	for _, tc := range []struct {
		scenario string
		prog, fn int
		at       func(s *image.TailCallSite) image.CodeOff
		change   byte // bits
		wrong    string
		skipped  bool
		design   string
		empty    bool // only in the state with empty prog arrays
	}{
		{"tailcall_4", 3, 0, func(s *image.TailCallSite) image.CodeOff { return s.Limit - 1 }, 1, "the limit is 32, not 33", false, "hier-6.12", false},
		{"tailcall_4", 3, 0, func(s *image.TailCallSite) image.CodeOff { return s.Null + 1 }, 1, "it is not checked whether the slot is empty", false, "hier-6.12", false},
		{"tailcall_4", 3, 0, func(s *image.TailCallSite) image.CodeOff { return s.Unwind }, 0x5e, "the code does not decode", false, "", false},
		{"tailcall_2", 0, 0, func(s *image.TailCallSite) image.CodeOff { return s.Limit }, 1, "the code of the tail call is not that of hier-6.12", false, "hier-6.12", false},
		{"tailcall_2", 0, 0, func(s *image.TailCallSite) image.CodeOff { return s.Jump + 3 }, 1, "where no program is entered", false, "hier-6.12", false},
		{"tailcall_2", 0, 0, func(s *image.TailCallSite) image.CodeOff { return s.Bypass + 4 }, 2, "with the prog arrays empty, the code of the tail call is not that of hier-6.12", false, "hier-6.12", true},
		{"tailcall_2", 0, 0, func(s *image.TailCallSite) image.CodeOff { return s.Bypass }, 8, "with the prog arrays empty", false, "hier-6.12", true},
		{"poke_one_site", 0, 0, func(s *image.TailCallSite) image.CodeOff { return s.Limit }, 1, "stands where jae", false, recognise.UnknownDesign, false},
	} {
		l := captureText(t, file, tc.scenario)
		src := l.read(t)
		sc, err := src.Scenario(0)
		must(t, err)
		f := &sc.Progs[tc.prog].Funcs[tc.fn]
		img, err := recognise.RecogniseImage([]image.FuncImage{{Addr: f.Addr, Code: f.Code(capture.Populated)}})
		must(t, err)
		at := int(tc.at(&img.Funcs[0].TailCalls[0]))
		states := []capture.State{capture.Populated}
		if f.Code(capture.Empty)[at] == f.Code(capture.Populated)[at] {
			states = append(states, capture.Empty)
		}
		if tc.empty {
			states = []capture.State{capture.Empty}
		}
		for _, s := range states {
			code := f.Code(s)
			l = l.with(code, at, code[at]^tc.change)
		}
		damaged := l.read(t)
		target, err := replay.TargetOf(damaged)
		must(t, err)
		c, err := replay.Capture(damaged, target, 0)
		must(t, err)
		rp, err := replay.New(runner.Options{})
		must(t, err)
		r, err := rp.Run(context.Background(), c)
		must(t, err)
		must(t, rp.Close())
		found := slices.ContainsFunc(r.Wrong, func(w string) bool { return strings.Contains(w, tc.wrong) })
		if found != (tc.wrong != "") || (r.Skipped != "") != tc.skipped || r.Design != tc.design {
			t.Errorf("%s: design %q, %q, skipped %q, want %q", tc.scenario, r.Design, r.Wrong, r.Skipped, tc.wrong)
		}
	}
}
