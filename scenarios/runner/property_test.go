// SPDX-License-Identifier: GPL-2.0-only

package runner_test

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tcsim/tcsim/emu/check"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/campaign"
	"github.com/tcsim/tcsim/scenarios/graph"
	"github.com/tcsim/tcsim/scenarios/measure"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// correct and byValue are the targets with nothing wrong, and with nothing but a counter in each frame.
var (
	correct = campaign.TargetsNamed([]string{campaign.CorrectTargets})
	byValue = campaign.TargetsNamed([]string{campaign.ByValueTargets})
)

// randomGraphs draws graphs. rapid prefers small numbers, which make few graphs: they are spread,
// and 0, the simplest choice, stays 0, so that what rapid makes small is a small graph.
func randomGraphs(t *rapid.T) *graph.Graph {
	choices := rapid.SliceOfN(rapid.Uint32(), 60, 400).Draw(t, "choices")
	for i := range choices {
		choices[i] = choices[i] * 0x9e3779b1 >> 8
	}
	return graph.Random(graph.Replay(choices))
}

// manyGraphs checks a property in ten times as many draws as rapid is told to.
func manyGraphs(t *testing.T, property func(*rapid.T)) {
	t.Helper()
	for range 10 {
		rapid.Check(t, property)
	}
}

// played compiles and plays a graph on a target in the player's machine. It skips graphs that a design
// has no code for.
func (p *player) played(t *rapid.T, g *graph.Graph, tn string) (*runner.Compiled, *runner.Result) {
	b, err := scenarios.Build(g.Scenario("graph"))
	if err != nil {
		t.Fatal(err)
	}
	tg, err := jit.TargetByName(tn)
	if err != nil {
		t.Fatal(err)
	}
	c, err := runner.Compile(b, tg)
	switch {
	case errors.Is(err, kernels.ErrUnsupported):
		t.Skip(err)
	case err != nil:
		t.Fatal(err)
	}
	if err := p.open(c); err != nil {
		t.Fatal(err)
	}
	res, err := p.s.Play(context.Background())
	if err != nil {
		p.drop()
		t.Fatal(err)
	}
	return c, res
}

// TestPropertyLimit has random graphs on every correct design: no run takes more tail calls than the
// limit, in total, whatever calls whatever, and every run ends.
func TestPropertyLimit(t *testing.T) {
	p := &player{}
	defer p.drop()
	reached, calls := 0, uint64(0)
	manyGraphs(t, func(t *rapid.T) {
		g, tn := randomGraphs(t), rapid.SampledFrom(correct).Draw(t, "target")
		c, res := p.played(t, g, tn)
		for i := range res.Runs {
			r := &res.Runs[i]
			if r.Counts.Taken > uint64(c.Target.Limit) || r.Killed != "" {
				t.Fatalf("%s: run %d takes %d tail calls, the limit is %d (%s)", tn, i, r.Counts.Taken, c.Target.Limit, r.Killed)
			}
			calls += r.Counts.Calls
			if r.Counts.Taken == uint64(c.Target.Limit) {
				reached++
			}
		}
	})
	t.Logf("%d runs reached the limit, %d calls", reached, calls)
	if reached < 10 || calls < 100 { // a fifth of the draws in short mode
		t.Errorf("%d runs reached the limit, with %d calls: too few to say something", reached, calls)
	}
}

// TestPropertyBalance has random graphs on correct designs: rsp and rbp are balanced and callee-saved
// registers restored at every return, and no other invariant breaks either.
func TestPropertyBalance(t *testing.T) {
	p := &player{}
	defer p.drop()
	calls := uint64(0)
	manyGraphs(t, func(t *rapid.T) {
		g, tn := randomGraphs(t), rapid.SampledFrom(correct).Draw(t, "target")
		_, res := p.played(t, g, tn)
		if v := res.Violation(); v != nil {
			t.Fatalf("%s: %v", tn, v)
		}
		for i := range res.Runs {
			calls += res.Runs[i].Counts.Calls
		}
	})
	if calls == 0 {
		t.Error("no run called anything")
	}
}

// TestPropertyBalanceByValue has the same on kernels that count per frame: only the tail calls
// themselves may be others than BPF means, never the stack or a register.
func TestPropertyBalanceByValue(t *testing.T) {
	p := &player{}
	defer p.drop()
	manyGraphs(t, func(t *rapid.T) {
		g, tn := randomGraphs(t), rapid.SampledFrom(byValue).Draw(t, "target")
		_, res := p.played(t, g, tn)
		if v := res.Violation(); v != nil && v.Invariant != check.Limit && v.Invariant != check.Semantics {
			t.Fatalf("%s: %v", tn, v)
		}
	})
}

// TestPropertyDeterminism has random graphs come out the same in a machine that played others, played
// again in it, and in one of their own; compiled anew, they are the same bytes.
func TestPropertyDeterminism(t *testing.T) {
	p := &player{}
	defer p.drop()
	manyGraphs(t, func(t *rapid.T) {
		g, tn := randomGraphs(t), rapid.SampledFrom(slices.Concat(byValue, correct)).Draw(t, "target")
		c, res := p.played(t, g, tn)
		first := figures(res)
		res, err := p.s.Play(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(first, figures(res)); d != "" {
			t.Fatalf("%s, played again:\n%s", tn, d)
		}
		own := &player{}
		defer own.drop()
		again, res := own.played(t, g, tn)
		if d := cmp.Diff(first, figures(res)); d != "" {
			t.Fatalf("%s, in a machine of its own:\n%s", tn, d)
		}
		for i := range c.Images {
			for f := range c.Images[i].Funcs {
				if d := cmp.Diff(c.Images[i].Funcs[f].Code, again.Images[i].Funcs[f].Code); d != "" {
					t.Fatalf("%s: code of %s:\n%s", tn, c.Images[i].Funcs[f].Name, d)
				}
			}
		}
	})
}

// TestPropertyGrowth has the law by which tail calls grow if each frame holds its own counter: a
// program that calls n times a subprogram that tail calls the program takes n + n^2 + ... + n^l of them
// where the limit is l. The run is executed without a check of the limit; one counter for all takes l.
func TestPropertyGrowth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, l := rapid.IntRange(1, 4).Draw(t, "n"), rapid.IntRange(1, 5).Draw(t, "l")
		tn := rapid.SampledFrom([]string{"5.10", "6.1", "6.1-retpoline", "6.12", "7.2", "hier-rfc2"}).Draw(t, "target")
		want := geometric(int64(n), int64(l))
		if !strings.HasPrefix(tn, "5.10") && !strings.HasPrefix(tn, "6.1-") && tn != "6.1" {
			want = big.NewInt(int64(l))
		}
		tg, err := jit.TargetByName(tn)
		if err != nil {
			t.Fatal(err)
		}
		limited := *tg
		limited.Limit = uint32(l)
		taken, err := hierarchyTaken(n, &limited)
		if err != nil {
			t.Fatal(err)
		}
		if want.Cmp(new(big.Int).SetUint64(taken)) != 0 {
			t.Fatalf("%s: %d tail calls, want %v", tn, taken, want)
		}
	})
}

// hierarchyTaken executes the hierarchy of n calls and returns its tail calls. The oracle would stop a
// design at the first one too many: only what is executed counts.
func hierarchyTaken(n int, tg *jit.Target) (uint64, error) {
	sc, err := scenarios.Load("hierarchy_n.yaml", []byte(hierarchySource(n)))
	if err != nil {
		return 0, err
	}
	b, err := scenarios.Build(sc)
	if err != nil {
		return 0, err
	}
	c, err := runner.Compile(b, tg)
	if err != nil {
		return 0, err
	}
	s, err := runner.Open(c, runner.Options{})
	if err != nil {
		return 0, err
	}
	defer s.Close()
	got, err := s.Count(context.Background(), 1, measure.CountOptions{})
	if err != nil {
		return 0, err
	}
	if !got.TailCalls.IsUint64() {
		return 0, fmt.Errorf("%v tail calls", got.TailCalls)
	}
	return got.TailCalls.Uint64(), nil
}
