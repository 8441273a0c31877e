// SPDX-License-Identifier: GPL-2.0-only

package runner_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/emu/stack"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/files"
	"github.com/tcsim/tcsim/scenarios/runner"
	"github.com/tcsim/tcsim/scenarios/runner/runnertest"
)

// What tests begin with.
var (
	build, buildText, library       = runnertest.Build, runnertest.BuildText, runnertest.Library
	target, allTargets, realKernels = runnertest.Target, runnertest.AllTargets, runnertest.Kernels
	compiled, opened, play          = runnertest.Compiled, runnertest.Opened, runnertest.Play
)

// has reports whether a target has what a scenario of the library needs: exceptions, if it throws.
func has(t *testing.T, scenario string, tg *jit.Target) bool {
	t.Helper()
	b := build(t, scenario)
	throws := slices.ContainsFunc(b.Programs, func(p bpf.Program) bool { return slices.Contains(p.Kfuncs, "bpf_throw") })
	arena := slices.ContainsFunc(b.Maps, func(m bpf.Map) bool { return m.Type == bpf.ArenaMap })
	return (!throws || tg.Emit.ISA&kernels.ISAExceptions != 0) && (!arena || tg.Emit.ISA&kernels.ISAArena != 0)
}

// TestLibrary plays every built-in scenario on every kernel and expects what its file says.
func TestLibrary(t *testing.T) {
	for _, name := range files.Builtin() {
		b := build(t, name)
		for _, tn := range []string{"5.10", "6.1", "6.12", "6.18", "7.2"} {
			if testing.Short() && (tn == "6.1" || tn == "6.18") {
				continue
			}
			t.Run(name+"/"+tn, func(t *testing.T) {
				c, err := runner.Compile(b, target(t, tn))
				if errors.Is(err, kernels.ErrUnsupported) {
					t.Skip(err)
				}
				if err != nil {
					t.Fatal(err)
				}
				res := play(t, opened(t, c, runner.Options{}))
				for _, m := range res.Mismatches() {
					t.Error(m)
				}
				if !res.OK() {
					t.Errorf("not as expected: %v", res.Violation())
				}
			})
		}
	}
}

// TestHierarchy states the figures that the project began with.
func TestHierarchy(t *testing.T) {
	b := build(t, "hierarchy")
	t.Run("6.12", func(t *testing.T) {
		res := play(t, opened(t, compiled(t, b, target(t, "6.12")), runner.Options{}))
		if r := res.Runs[0]; r.Counts.Taken != 33 || r.Violation != nil {
			t.Errorf("%d tail calls taken (%v), want exactly 33", r.Counts.Taken, r.Violation)
		}
	})
	t.Run("6.1", func(t *testing.T) {
		res := play(t, opened(t, compiled(t, b, target(t, "6.1")), runner.Options{}))
		v := res.Violation()
		if v == nil || v.Invariant != "limit" || res.Runs[0].Counts.Taken != 34 {
			t.Fatalf("violation %v after %d tail calls, want limit at the 34th", v, res.Runs[0].Counts.Taken)
		}
	})
}

// TestReuse plays scenarios in one machine and each in its own: the results must not differ.
func TestReuse(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	var s *runner.Session
	const rounds = 3
	for round := range rounds {
		for _, name := range files.Builtin() {
			for _, tn := range []string{"6.12", "6.1"} {
				if !has(t, name, target(t, tn)) {
					continue
				}
				c := compiled(t, build(t, name), target(t, tn))
				want := figures(play(t, opened(t, c, runner.Options{})))
				if s == nil {
					s = opened(t, c, runner.Options{})
				} else {
					var err error
					if s, err = s.OpenNext(c, runner.Options{}); err != nil {
						t.Fatal(err)
					}
				}
				for again := range 2 {
					if d := cmp.Diff(want, figures(play(t, s))); d != "" {
						t.Fatalf("%s on %s, round %d, again %d (-own machine +shared):\n%s", name, tn, round, again, d)
					}
				}
			}
		}
	}
}

// figures are the numbers of a result.
func figures(res *runner.Result) []string {
	var out []string
	for _, r := range res.Runs {
		out = append(out, fmt.Sprint(r.Program, uint32(r.Return), r.Counts, r.Retired, r.Deepest, r.Violation, len(r.Events)))
	}
	return out
}

// TestStackIsExact compares a drawing with what is known of the moment.
func TestStackIsExact(t *testing.T) {
	s := opened(t, compiled(t, build(t, "hierarchy"), target(t, "6.12")), runner.Options{})
	at, err := stack.ParseAt("each:tailcall")
	if err != nil {
		t.Fatal(err)
	}
	drawings, err := s.Stack(context.Background(), 1, at)
	if err != nil {
		t.Fatal(err)
	}
	if len(drawings) != 33 {
		t.Fatalf("%d drawings, want one for each of 33 tail calls", len(drawings))
	}
	for i, d := range drawings {
		ptrs, counts := 0, 0
		for _, sl := range d.Layout.Slots {
			if sl.Ptr {
				ptrs++
			}
			if sl.Count != nil {
				counts++
				if *sl.Count != uint64(i+1) {
					t.Errorf("tail call %d: the counter is %d", i+1, *sl.Count)
				}
			}
		}
		// The root holds the counter and one pointer; each entry that took over a frame holds two.
		if counts != 1 || ptrs != 1+2*(i+1) {
			t.Errorf("tail call %d: %d counters and %d pointers, want 1 and %d", i+1, counts, ptrs, 1+2*(i+1))
		}
	}
}

// TestRaw runs a program without maps on memory.
func TestRaw(t *testing.T) {
	p, err := scenarios.RawProgram([]byte{
		0x69, 0x10, 2, 0, 0, 0, 0, 0, // r0 = *(u16 *)(r1 +2)
		0x0f, 0x20, 0, 0, 0, 0, 0, 0, // r0 += r2
		0x95, 0, 0, 0, 0, 0, 0, 0,
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := runner.Raw(context.Background(), p, target(t, "6.12"), []byte{1, 2, 3, 4, 5})
	if want := uint64(0x0403 + 5); err != nil || got != want {
		t.Errorf("%#x, %v, want %#x", got, err, want)
	}
}

// BenchmarkReplay33 measures whole replays, with every invariant, of a chain of 33 tail calls in a
// machine that is reused.
func BenchmarkReplay33(b *testing.B) {
	s := opened(b, compiled(b, build(b, "chain33"), target(b, "6.12")), runner.Options{})
	insns := uint64(0)
	for b.Loop() {
		res := play(b, s)
		insns += res.Runs[0].Retired
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "replays/s")
	b.ReportMetric(float64(insns)/b.Elapsed().Seconds()/1e6, "Minsns/s")
}
