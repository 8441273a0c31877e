// SPDX-License-Identifier: GPL-2.0-only

package campaign_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/emu/timing"
	"github.com/tcsim/tcsim/fixtures/golden"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/design"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/campaign"
	"github.com/tcsim/tcsim/scenarios/runner/runnertest"
)

// What tests begin with.
var (
	build, buildText, library       = runnertest.Build, runnertest.BuildText, runnertest.Library
	target, allTargets, realKernels = runnertest.Target, runnertest.AllTargets, runnertest.Kernels
	compiled, opened, play          = runnertest.Compiled, runnertest.Opened, runnertest.Play
)

var (
	wholeOnce   sync.Once
	wholeMatrix *campaign.Matrix
)

// whole returns the matrix of the library on all targets, played once.
func whole(t *testing.T) *campaign.Matrix {
	t.Helper()
	if testing.Short() {
		t.Skip("plays every scenario on every target")
	}
	wholeOnce.Do(func() {
		var err error
		if wholeMatrix, err = campaign.PlayMatrix(context.Background(), library(t), allTargets(t), campaign.MatrixOptions{}); err != nil {
			t.Error(err)
		}
	})
	if wholeMatrix == nil {
		t.Fatal("the matrix could not be played")
	}
	return wholeMatrix
}

// TestMatrix states every cell: on which target which scenario breaks what, and what a design cannot
// have. All of it is what the scenarios' files expect.
func TestMatrix(t *testing.T) {
	m := whole(t)
	var b strings.Builder
	for i, name := range m.Targets {
		by := map[campaign.Verdict][]string{}
		for j, c := range m.Cells[i] {
			if c.Verdict != campaign.VerdictOK {
				by[c.Verdict] = append(by[c.Verdict], m.Scenarios[j])
			}
			if !c.Expected {
				t.Errorf("%s on %s is not as its file expects: %s %s %v", m.Scenarios[j], name, c.Verdict, c.Why, c.Mismatches)
			}
		}
		fmt.Fprintf(&b, "%s\n", name)
		for _, v := range slices.Sorted(keysOf(by)) {
			fmt.Fprintf(&b, "    %s: %s\n", v, strings.Join(by[v], " "))
		}
	}
	golden.Check(t, "testdata/matrix.txt", b.String())
}

func keysOf[V any](m map[campaign.Verdict]V) func(yield func(campaign.Verdict) bool) {
	return func(yield func(campaign.Verdict) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func cellOf(t *testing.T, m *campaign.Matrix, scenario, target string) *campaign.Cell {
	t.Helper()
	i, j := slices.Index(m.Targets, target), slices.Index(m.Scenarios, scenario)
	if i < 0 || j < 0 {
		t.Fatalf("no cell for %s on %s", scenario, target)
	}
	return &m.Cells[i][j]
}

// TestKnownBugs has each known bug of a design in the cell where it must be.
func TestKnownBugs(t *testing.T) {
	m := whole(t)
	for _, x := range []struct {
		bug      string
		scenario string
		targets  string
		verdict  campaign.Verdict
		taken    uint64 // by then, 0 if it does not matter
		why      string // part of the violation
	}{
		{"hierarchy explosion", "hierarchy", "5.10 6.1 pop-nop-push ip-aux jmp-always-valid", "limit", 34, "34th tail call"},
		{"hierarchy explosion", "hierarchy_2", "5.10 6.1", "limit", 34, "34th tail call"},
		{"hierarchy explosion, indirect", "hierarchy_3", "5.10 6.1", "limit", 34, "34th tail call"},
		{"hierarchy explosion, limit 4", "hierarchy_limit_4", "5.10 6.1", "limit", 5, "the limit is 4"},
		{"unrounded stack depth", "bpf2bpf_6", "5.10-unrounded 5.10-inline-unrounded", "semantics", 0, "BPF takes 1"},
		{"FP spilled to another frame", "fp40_other_frame", "fp40", "frame", 0, ""},
		{"FP spilled and used", "fp40_spill", "fp40", "frame", 0, ""},
		{"r10 - 8 is the pointer", "bpf2bpf_3", "maciej-hidden16", "frame", 0, "tail_call_cnt_ptr"},
		{"r10 - 8 is the pointer", "bug_hidden_slots", "maciej-hidden16", "frame", 0, "tail_call_cnt_ptr"},
		{"stale pointer", "bug_stale_pointer", "hier-rfc1", "frame", 0, "tail_call_cnt"},
		{"a counter per program", "tailcall_3", "hier-percpu-prog-b", "limit", 34, "34th tail call"},
		{"R6 lost at an empty slot", "bug_empty_slot_r6", "pop-nop-push", "callee-saved", 0, "rbx (R6)"},
		{"no second insert", "bug_reinsert", "jmp-always-valid", "pokes", 0, "EBUSY"},
	} {
		for _, tn := range strings.Fields(x.targets) {
			c := cellOf(t, m, x.scenario, tn)
			if c.Verdict != x.verdict || x.taken != 0 && c.Taken != x.taken || !strings.Contains(c.Why, x.why) {
				t.Errorf("%s: %s on %s gives %s after %d tail calls (%s), want %s after %d",
					x.bug, x.scenario, tn, c.Verdict, c.Taken, c.Why, x.verdict, x.taken)
			}
		}
	}
}

// TestRightDesigns has designs without a known bug among the scenarios: nothing breaks there, and
// nothing is left out.
func TestRightDesigns(t *testing.T) {
	m := whole(t)
	right := []string{"hier-rfc2", "hier-percpu-prog-a"}
	for _, n := range m.Targets {
		if tg := target(t, n); tg.Design == design.Hier612 {
			right = append(right, n)
		}
	}
	if len(right) < 15 {
		t.Errorf("only %d designs are right", len(right))
	}
	for _, n := range right {
		for _, s := range m.Scenarios {
			if build(t, s).Scenario.Policy == scenarios.IfAllowed {
				continue // a bug that kernels keep programs from
			}
			c := cellOf(t, m, s, n)
			if c.Verdict == campaign.VerdictUnsupported && !has(t, s, target(t, n)) {
				continue
			}
			if c.Verdict != campaign.VerdictOK {
				t.Errorf("%s on %s: %s (%s)", s, n, c.Verdict, c.Why)
			}
		}
	}
}

// has reports whether a target has what a scenario of the library needs: exceptions, if it throws, and arenas.
func has(t *testing.T, scenario string, tg *jit.Target) bool {
	t.Helper()
	b := build(t, scenario)
	throws := slices.ContainsFunc(b.Programs, func(p bpf.Program) bool { return slices.Contains(p.Kfuncs, "bpf_throw") })
	arena := slices.ContainsFunc(b.Maps, func(m bpf.Map) bool { return m.Type == bpf.ArenaMap })
	return (!throws || tg.Emit.ISA&kernels.ISAExceptions != 0) && (!arena || tg.Emit.ISA&kernels.ISAArena != 0)
}

// TestMatrixSurvives has cells that fail next to others that do not notice.
func TestMatrixSurvives(t *testing.T) {
	good := build(t, "hierarchy")
	broken := *good
	broken.Actions = slices.Clone(good.Actions)
	broken.Actions[0].Program = 99 // a bug of ours: it panics
	endless := buildText(t, "endless.yaml", []byte("version: 1\nname: endless\nprograms:\n  p: |\n    again: goto again\n    exit\nruns:\n  - {run: p, packet: 64}\n"))
	done := 0
	m, err := campaign.PlayMatrix(context.Background(), []*scenarios.Built{good, &broken, endless, good},
		[]*jit.Target{target(t, "6.12"), target(t, "5.10"), target(t, "7.2")},
		campaign.MatrixOptions{Progress: func(n, total int) {
			if done++; n != done || total != 12 {
				t.Errorf("progress %d of %d, want %d of 12", n, total, done)
			}
		}})
	if err != nil || done != 12 {
		t.Fatal(done, err)
	}
	for i, name := range m.Targets {
		row := m.Cells[i]
		if row[1].Verdict != campaign.VerdictError || row[1].Expected || row[1].Why == "" {
			t.Errorf("%s: the panic gives %+v", name, row[1])
		}
		if row[2].Verdict == campaign.VerdictOK || row[2].Expected {
			t.Errorf("%s: the endless program gives %+v", name, row[2])
		}
		if d := cmp.Diff(row[0], row[3]); d != "" || !row[0].Expected {
			t.Errorf("%s: before and after the failures (-before +after):\n%s", name, d)
		}
	}
	if m.Unexpected() != 6 {
		t.Errorf("%d unexpected, want 6", m.Unexpected())
	}
}

// TestMatrixCancelled ends with the context's error and what was played, which is nothing.
func TestMatrixCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	m, err := campaign.PlayMatrix(ctx, library(t), allTargets(t), campaign.MatrixOptions{})
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	for i := range m.Cells {
		for _, c := range m.Cells[i] {
			if c.Verdict == campaign.VerdictOK {
				t.Fatalf("%s: a cell was played", m.Targets[i])
			}
		}
	}
}

// TestCosts states the sizes of all designs; cycles are the core model's and checked for sense.
func TestCosts(t *testing.T) {
	if testing.Short() {
		t.Skip("measures every target")
	}
	costs, err := campaign.MeasureCosts(context.Background(), allTargets(t), timing.Cores()[0], campaign.MatrixOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	fmt.Fprintln(&b, "# bytes/instructions: no tail call, main, subprogram, call, direct, indirect tail call")
	for _, c := range costs {
		fmt.Fprintf(&b, "%s:", c.Target)
		for i, x := range []*campaign.Cost{c.Plain, c.Main, c.Sub, c.Call, c.Direct, c.Indirect} {
			if x == nil {
				fmt.Fprint(&b, " -")
				continue
			}
			fmt.Fprintf(&b, " %d/%d", x.Bytes, x.Insns)
			if known := x.Cycles > 0.5 && x.Cycles < 200; !known && i != 2 {
				t.Errorf("%s: class %d takes %v cycles", c.Target, i, x.Cycles)
			}
		}
		fmt.Fprintln(&b)
		if len(c.Notes) != 0 {
			t.Errorf("%s: %v", c.Target, c.Notes)
		}
	}
	golden.Check(t, "testdata/costs.txt", b.String())
}

// TestCostsByHand compares the sheet with what the instructions of a design add up to.
func TestCostsByHand(t *testing.T) {
	costs, err := campaign.MeasureCosts(context.Background(), []*jit.Target{target(t, "6.18")}, nil, campaign.MatrixOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := campaign.Costs{
		Target: "6.18",
		// nop5, nop3, push rbp, mov rbp; xor eax, eax; leave, ret
		Plain: &campaign.Cost{Bytes: 5 + 3 + 1 + 3 + 2 + 1 + 1, Insns: 7},
		// xor rax for the nop3; cmp, ja, push, mov, jmp, push, push, of which one push is jumped over
		Main: &campaign.Cost{Bytes: 16 + 4 + 2 + 1 + 3 + 2 + 1 + 1, Insns: 7 + 6},
		Sub:  &campaign.Cost{Bytes: 16 + 2, Insns: 7 + 2},
		Call: &campaign.Cost{Bytes: 7 + 5, Insns: 2},
		// mov, cmp, jae, nop5, add, pop, pop, jmp; landing: cmp, ja, push, push. A main program's
		// second pop gives the count, which its successor pushes: 6 instructions instead of 4.
		Direct: &campaign.Cost{Bytes: 7 + 4 + 2 + 5 + 4 + 1 + 1 + 5, Insns: 8 + 6},
		// mov, cmp, jbe before; mov, test, je, mov, add, jmp instead of two nops or jumps, int3
		Indirect: &campaign.Cost{Bytes: 2 + 3 + 2 + 7 + 4 + 2 + 8 + 3 + 2 + 4 + 1 + 1 + 4 + 4 + 2 + 1, Insns: 15 + 6},
	}
	if d := cmp.Diff([]campaign.Costs{want}, costs); d != "" {
		t.Errorf("(-by hand +measured):\n%s", d)
	}
}

// BenchmarkMatrix plays the library on all targets.
func BenchmarkMatrix(b *testing.B) {
	bs, ts := library(b), allTargets(b)
	for b.Loop() {
		if _, err := campaign.PlayMatrix(context.Background(), bs, ts, campaign.MatrixOptions{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*len(bs)*len(ts))/b.Elapsed().Seconds(), "cells/s")
}
