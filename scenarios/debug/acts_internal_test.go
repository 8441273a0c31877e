// SPDX-License-Identifier: GPL-2.0-only

//go:build cgo

package debug

import (
	"errors"
	"fmt"
	"testing"

	"github.com/tcsim/tcsim/emu/gdb"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/scenarios/runner"
	"github.com/tcsim/tcsim/scenarios/runner/runnertest"
)

// TestFirstInstructions expects the same activations directly before the first instruction of a function and directly
// after it: what is about to begin is there.
func TestFirstInstructions(t *testing.T) {
	names := []string{"hierarchy", "tramp_hierarchy_both", "tramp_bpf2bpf_both", "tramp_fexit_zero", "nested_exhausts", "exc_throw", "freplace", "freplace_loop"}
	seen := map[trace.Via]int{}
	enough := 10
	if testing.Short() {
		enough = 2
	}
	for _, name := range names {
		for _, target := range []string{"5.10", "6.1", "6.12", "7.3"} {
			if testing.Short() && target != "6.12" {
				continue
			}
			t.Run(name+" "+target, func(t *testing.T) { firstInstructions(t, name, target, seen) })
		}
	}
	if min(seen[trace.ViaOutside], seen[trace.ViaHook], seen[trace.ViaCall]) < enough {
		t.Errorf("functions that begin, by how they are entered: %v", seen)
	}
}

func firstInstructions(t *testing.T, name, target string, seen map[trace.Via]int) {
	tg, err := jit.TargetByName(target)
	if err != nil {
		t.Fatal(err)
	}
	c, err := runner.Compile(runnertest.Build(t, name), tg)
	if errors.Is(err, kernels.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	w, err := runnertest.Opened(t, c, runner.Options{}).Walk(t.Context(), 1)
	if errors.Is(err, kernels.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(w)
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; n < 4000; n++ {
		f := s.code.Lookup(s.rip)
		first := f != nil && s.rip == f.Addr+image.Addr(f.Entry)
		at, before := s.at, shape(s.acts())
		stop, err := s.Resume(t.Context(), gdb.Resume{Step: true})
		if err != nil {
			t.Fatal(err)
		}
		if stop.Reason == gdb.Ended || stop.Reason == gdb.Signaled {
			return
		}
		if after := s.code.Lookup(s.rip); !first || after != f {
			continue // a first instruction that calls or jumps away begins something itself
		}
		acts := s.acts()
		seen[acts[len(acts)-1].Via]++
		if now := shape(acts); now != before {
			t.Fatalf("instruction %d, the first of %s: activations\n%sand after it\n%s", at, f, before, now)
		}
	}
}

// shape is what of activations a drawing shows.
func shape(acts []trace.Activation) string {
	out := ""
	for i := range acts {
		a := &acts[i]
		out += fmt.Sprintf("%s #%d via %d, top %x, rbp %x, from %s #%d, hooked %v, event %d\n", a.Fn, a.N, a.Via, uint64(a.Top), uint64(a.RBP), a.From, a.FromN, a.Hooked, a.Event)
	}
	return out
}
