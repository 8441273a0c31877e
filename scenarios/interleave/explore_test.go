// SPDX-License-Identifier: GPL-2.0-only

package interleave_test

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/emu/stack"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/interleave"
	"github.com/tcsim/tcsim/scenarios/runner"
)

func explored(t testing.TB, b *scenarios.Built, tn string, o interleave.Options) []interleave.Explored {
	t.Helper()
	xs, err := interleave.Explore(context.Background(), compiled(t, b, target(t, tn)), runner.Options{}, o)
	if err != nil {
		t.Fatal(err)
	}
	return xs
}

// findings says in one line what was found.
func findings(x *interleave.Explored) string {
	var words []string
	for name := range x.Failed {
		words = append(words, name)
	}
	slices.Sort(words)
	if x.Update != nil {
		words = append(words, "update:"+string(x.Update.Invariant))
	}
	if x.Later != nil {
		words = append(words, "later:"+string(x.Later.Invariant))
	}
	if x.Before != nil {
		words = append(words, "before:"+string(x.Before.Invariant))
	}
	if !x.Exhaustive {
		words = append(words, "open")
	}
	if len(words) == 0 {
		return "ok"
	}
	return strings.Join(words, " ")
}

// brief is a context that is done after some schedules.
type brief struct {
	context.Context
	left *int
}

func (b brief) Err() error {
	if *b.left--; *b.left < 0 {
		return context.Canceled
	}
	return nil
}

// TestExploreInterrupted expects what was found of an update before an interrupt, the failing schedule included.
func TestExploreInterrupted(t *testing.T) {
	b := build(t, "poke_one_site")
	o := interleave.Options{Slot: "jmp_table[0]", To: "empty", NoRCU: true}
	c := compiled(t, b, target(t, "6.12"))
	open, failed := 0, 0
	for n := 1; ; n++ {
		left := n
		xs, err := interleave.Explore(brief{context.Background(), &left}, c, runner.Options{}, o)
		if err == nil {
			break
		}
		if !errors.Is(err, context.Canceled) || len(xs) > 1 {
			t.Fatalf("%d updates, %v", len(xs), err)
		}
		for i := range xs {
			x := &xs[i]
			if x.Exhaustive || x.All.Classes == 0 || (x.Shortest != nil) != (x.Failure != nil) {
				t.Errorf("%s after %d schedules: %+v", findings(x), x.All.Classes, x.Failure)
			}
			open++
			if x.Failure != nil && x.Failure.Layout != nil {
				failed++
			}
		}
	}
	if open == failed || failed == 0 {
		t.Errorf("%d interrupted, %d of them after a failure", open, failed)
	}
}

// TestExploreDesigns states what exploring finds in each design: the argument of July 2020 in full.
func TestExploreDesigns(t *testing.T) {
	const safe = "insert ok, replace ok, delete ok, delete-empty ok"
	const unsafeDelete = "insert ok, replace ok, delete pokes, delete-empty ok"
	named := map[string]bool{}
	b := build(t, "poke_one_site")
	for _, row := range []struct {
		targets     string
		with, noRCU string
	}{
		// The protocol of the kernels is safe because of the wait.
		{"5.10 6.1 6.12 6.18 7.2", safe, unsafeDelete},
		// One instruction that nothing else depends on.
		{"direct-poke", safe, safe},
		// Only the pointer.
		{"fp53 fp40 classic-4.4", safe, safe},
		// The frame is taken down and put up again: R6 to R9 are lost whenever the slot is found empty.
		{
			"pop-nop-push", "insert callee-saved, replace ok, delete callee-saved, delete-empty callee-saved",
			"insert callee-saved, replace ok, delete callee-saved, delete-empty callee-saved",
		},
		// Between its two pokes both places are nops.
		{
			"ip-aux", "insert ok, replace ok, delete pokes update:pokes, delete-empty ok",
			"insert ok, replace ok, delete pokes update:pokes, delete-empty ok",
		},
		// Safe once, but the next insert finds the jump that was kept.
		{
			"jmp-always-valid", "insert update:pokes, replace later:pokes, delete later:pokes, delete-empty later:pokes",
			"insert update:pokes, replace later:pokes, delete later:pokes, delete-empty later:pokes",
		},
	} {
		for _, tn := range strings.Fields(row.targets) {
			named[tn] = true
			for _, noRCU := range []bool{false, true} {
				want := row.with
				if noRCU {
					want = row.noRCU
				}
				if got, _ := allKinds(t, b, tn, noRCU); got != want {
					t.Errorf("%s, no RCU %v: %s\nwant %s", tn, noRCU, got, want)
				}
			}
		}
	}
	for _, tn := range jit.TargetNames() {
		if named[tn] {
			continue
		}
		got, waits := allKinds(t, b, tn, false)
		if got != safe {
			t.Errorf("%s: %s\nwant %s", tn, got, safe)
		}
		without, _ := allKinds(t, b, tn, true)
		if want := map[bool]string{false: safe, true: unsafeDelete}[waits]; without != want {
			t.Errorf("%s, no RCU: %s\nwant %s", tn, without, want)
		}
	}
}

// allKinds explores every kind of update of jmp_table[0]. waits says that some update waits.
func allKinds(t *testing.T, b *scenarios.Built, tn string, noRCU bool) (found string, waits bool) {
	t.Helper()
	var got []string
	for _, x := range explored(t, b, tn, interleave.Options{Kinds: interleave.UpdateKinds(), Slot: "jmp_table[0]", NoRCU: noRCU}) {
		got = append(got, string(x.Kind)+" "+findings(&x))
		waits = waits || strings.Contains(strings.Join(x.Steps, " "), "synchronize_rcu")
	}
	return strings.Join(got, ", "), waits
}

// TestExploreOwnUpdates explores the scenarios' own updates, each against the run before and after.
func TestExploreOwnUpdates(t *testing.T) {
	for name, updates := range map[string]int{"poke_one_site": 6, "poke_two_sites": 4, "tailcall_2": 4, "bug_reinsert": 8} {
		b := build(t, name)
		for _, tn := range []string{"5.10", "6.12", "direct-poke", "fp53"} {
			xs := explored(t, b, tn, interleave.Options{})
			if len(xs) != updates {
				t.Errorf("%s on %s: %d updates, want %d", name, tn, len(xs), updates)
			}
			for _, x := range xs {
				if !x.OK() {
					t.Errorf("%s on %s: %s of %s, run %d: %s", name, tn, x.Kind, x.Slot, x.Run, findings(&x))
				}
			}
		}
	}
}

// TestExploreSteps states the protocol: the pointer first, then site by site, each write of a text poke,
// the wait only where something was changed.
func TestExploreSteps(t *testing.T) {
	poke := func(what string) []string {
		return []string{what + ": breakpoint", what + ": last 4 bytes", what + ": first byte"}
	}
	join := func(lists ...[]string) (out []string) {
		for _, l := range lists {
			out = append(out, l...)
		}
		return out
	}
	wait := []string{"synchronize_rcu: the wait begins", "synchronize_rcu: every earlier invocation has ended"}
	b := build(t, "poke_two_sites")
	got := map[interleave.UpdateKind][]string{}
	for _, x := range explored(t, b, "6.12", interleave.Options{Kinds: interleave.UpdateKinds(), Slot: "jmp_table[0]"}) {
		got[x.Kind] = x.Steps
	}
	// Addresses differ from target to target; the words before and after them do not.
	short := func(steps []string) (out []string) {
		for _, s := range steps {
			what, phase, _ := strings.Cut(s, ": ")
			if w := strings.Fields(what); len(w) > 3 && (w[0] == "bypass" || w[0] == "target") {
				what = w[0] + " " + w[len(w)-1]
			}
			out = append(out, strings.TrimSuffix(what+": "+phase, ": "))
		}
		return out
	}
	site := func(s string) string { return s[strings.LastIndex(s, " ")+1:] }
	ins := short(got[interleave.UpdateInsert])
	if len(ins) != 13 {
		t.Fatalf("insert: %q", ins)
	}
	part := func(i int) string { what, _, _ := strings.Cut(ins[i], ": "); return what }
	jump1, by1, jump2, by2 := part(1), part(4), part(7), part(10)
	if site(jump1) == site(jump2) || !strings.HasPrefix(jump1, "target") || !strings.HasPrefix(by1, "bypass") {
		t.Errorf("insert: %q", ins)
	}
	for kind, want := range map[interleave.UpdateKind][]string{
		interleave.UpdateInsert:      join([]string{"jmp_table[0] = leaf"}, poke(jump1), poke(by1), poke(jump2), poke(by2)),
		interleave.UpdateReplace:     join([]string{"jmp_table[0] = entry"}, poke(jump1), poke(jump2)),
		interleave.UpdateDelete:      join([]string{"jmp_table[0] = empty"}, poke(by1), wait, poke(jump1), poke(by2), wait, poke(jump2)),
		interleave.UpdateDeleteEmpty: {"jmp_table[0] = empty"},
	} {
		if d := cmp.Diff(want, short(got[kind])); d != "" {
			t.Errorf("%s (-want +got):\n%s", kind, d)
		}
	}
}

// TestExploreCount compares with the closed form where both programs take equally long.
func TestExploreCount(t *testing.T) {
	x := explored(t, build(t, "poke_one_site"), "6.12", interleave.Options{Slot: "jmp_table[0]", To: "two"})[0]
	if want := new(big.Int).Binomial(38+4, 4); x.All.Schedules.Cmp(want) != 0 || x.All.Classes != 2 {
		t.Errorf("%v schedules in %d classes, want %v: 4 steps between 38 instructions", x.All.Schedules, x.All.Classes, want)
	}
}

const tinyScenario = `
version: 1
name: tiny
maps:
  t: {type: prog_array, slots: {0: one}}
programs:
  entry: [tail_call: "t[0]", return: 7]
  one: [return: 1]
  two: [{set: r6, to: 2}, {return: r6}]
runs:
  - run: entry
`

// TestExploreBruteForce compares the reduction with the execution of every schedule, on the machine.
func TestExploreBruteForce(t *testing.T) {
	b := buildText(t, "tiny.yaml", []byte(tinyScenario))
	for _, row := range []struct {
		target string
		kind   interleave.UpdateKind
		noRCU  bool
		long   bool
	}{
		{"5.10", interleave.UpdateReplace, false, true},
		{"direct-poke", interleave.UpdateDelete, false, true},
		{"pop-nop-push", interleave.UpdateDelete, false, false},
		{"fp53", interleave.UpdateInsert, false, true},
		{"5.10", interleave.UpdateDelete, false, true},
	} {
		t.Run(fmt.Sprintf("%s/%s", row.target, row.kind), func(t *testing.T) {
			if row.long && testing.Short() {
				t.Skip("takes long")
			}
			o := interleave.Options{Kinds: []interleave.UpdateKind{row.kind}, NoRCU: row.noRCU, Max: 1 << 20}
			reduced := explored(t, b, row.target, o)[0]
			o.BruteForce = true
			all := explored(t, b, row.target, o)[0]
			if all.All.Schedules.Cmp(big.NewInt(int64(all.All.Classes))) != 0 || !all.Exhaustive {
				t.Fatalf("brute force: %v schedules, %d executed, exhaustive %v", all.All.Schedules, all.All.Classes, all.Exhaustive)
			}
			if d := cmp.Diff(totals(&all), totals(&reduced)); d != "" {
				t.Errorf("(-every schedule +classes):\n%s", d)
			}
			t.Logf("%d schedules in %d classes; every one of them executed at %.0f/s",
				all.All.Classes, reduced.All.Classes, float64(all.All.Classes)/all.Took.Seconds())
		})
	}
}

// TestExploreWindow has the numbers that the execution of each of the 484,473 schedules gave, which takes
// a quarter of a minute (ExploreOptions.BruteForce).
func TestExploreWindow(t *testing.T) {
	b := buildText(t, "tiny.yaml", []byte(tinyScenario))
	x := explored(t, b, "ip-aux", interleave.Options{Kinds: []interleave.UpdateKind{interleave.UpdateDelete}})[0]
	if x.All.Schedules.Int64() != 484473 || x.Result.Failed["pokes"].Schedules.Int64() != 138873 || x.All.Classes != 3 {
		t.Errorf("%v schedules in %d classes, %v fail", x.All.Schedules, x.All.Classes, x.Result.Failed["pokes"])
	}
}

// totals are what must not depend on the reduction.
func totals(x *interleave.Explored) []string {
	out := []string{x.All.Schedules.String()}
	for name, c := range x.Failed {
		out = append(out, fmt.Sprint(name, c.Schedules))
	}
	if x.Failure != nil {
		out = append(out, fmt.Sprint(x.Failure.Insns, len(x.Failure.Steps), x.Failure.Violation.Text))
	}
	return out
}

// TestExploreFailure looks at everything shown of the schedule that the wait prevents.
func TestExploreFailure(t *testing.T) {
	x := explored(t, build(t, "poke_one_site"), "6.12", interleave.Options{Slot: "jmp_table[0]", To: "empty", NoRCU: true})[0]
	f := x.Failure
	if f == nil {
		t.Fatal("the schedule without the wait does not fail")
	}
	// The pointer, the bypass whole, and the breakpoint over the target.
	if len(f.Steps) != 5 || !strings.HasPrefix(f.Steps[4].Step, "target") || !strings.HasSuffix(f.Steps[4].Step, "breakpoint") {
		t.Errorf("steps %+v", f.Steps)
	}
	for _, s := range f.Steps {
		if s.After == 0 || f.Code.Lookup(image.Addr(s.RIP)) == nil || s.Where == "" {
			t.Errorf("step %+v is nowhere", s)
		}
	}
	last := f.Events[len(f.Events)-1]
	if last.Kind != trace.KindRefused || !last.FellThrough || last.Seq+1 != f.Insns {
		t.Errorf("last event %+v", last)
	}
	pokes := 0
	for _, e := range f.Events {
		if e.Kind == trace.KindPoke {
			pokes++
		}
	}
	if pokes != 4 {
		t.Errorf("%d pokes in the trace, want 4", pokes)
	}
	pic := f.Layout.Picture(stack.Options{})
	if strings.Contains(pic, "entry() #2") || !strings.Contains(pic, "RBP, RSP") {
		t.Errorf("the stack is not that of entry with its frame taken down:\n%s", pic)
	}
}

// TestExploreAlone tells what a run does by itself from what an update makes it do.
func TestExploreAlone(t *testing.T) {
	for name, alone := range map[string]bool{"hierarchy": true, "poke_one_site": false} {
		x := explored(t, build(t, name), "6.1", interleave.Options{Kinds: []interleave.UpdateKind{interleave.UpdateDelete}, NoRCU: true})[0]
		if x.Failure == nil || (x.Alone != nil) != alone {
			t.Errorf("%s: failure %v, alone %v", name, x.Failure, x.Alone)
		}
	}
}

// TestExploreBefore has an update that is not reached, because an earlier one is refused.
func TestExploreBefore(t *testing.T) {
	xs := explored(t, build(t, "poke_one_site"), "jmp-always-valid", interleave.Options{Kinds: []interleave.UpdateKind{interleave.UpdateDelete}, Run: 4})
	if x := xs[0]; x.Before == nil || x.OK() || x.Failure != nil || findings(&x) != "before:pokes open" {
		t.Errorf("%s: %+v", findings(&x), x)
	}
}

func TestExploreBound(t *testing.T) {
	x := explored(t, build(t, "poke_one_site"), "6.12", interleave.Options{Slot: "jmp_table[0]", To: "two", Max: 1})[0]
	if x.Exhaustive || x.OK() || x.Wrong() || x.All.Classes != 1 {
		t.Errorf("%+v", x.Result)
	}
}

func TestExploreOptions(t *testing.T) {
	b := build(t, "poke_one_site")
	c := compiled(t, b, target(t, "6.12"))
	for want, o := range map[string]interleave.Options{
		"expected a slot":                  {Slot: "jmp_table", To: "two"},
		"the keys of jmp_table are 0 to 0": {Slot: "jmp_table[1]", To: "two"},
		`no program "three"`:               {Slot: "jmp_table[0]", To: "three"},
		"needs a slot":                     {To: "two"},
		"not both":                         {Slot: "jmp_table[0]", To: "two", Kinds: interleave.UpdateKinds()},
		"no run 9":                         {Slot: "jmp_table[0]", To: "two", Run: 9},
		`no kind of update "change"`:       {Kinds: []interleave.UpdateKind{"change"}},
	} {
		if _, err := interleave.Explore(context.Background(), c, runner.Options{}, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", o, err, want)
		}
	}
}

// BenchmarkExplore states how many schedules are decided per second: executed ones, and those that they
// stand for.
func BenchmarkExplore(b *testing.B) {
	c := compiled(b, build(b, "poke_two_sites"), target(b, "6.12"))
	for _, brute := range []bool{false, true} {
		b.Run(fmt.Sprintf("bruteforce=%v", brute), func(b *testing.B) {
			executed, took, decided := 0, 0.0, new(big.Int)
			for b.Loop() {
				o := interleave.Options{Slot: "jmp_table[0]", To: "empty", BruteForce: brute, Max: 20_000}
				xs, err := interleave.Explore(context.Background(), c, runner.Options{}, o)
				if err != nil {
					b.Fatal(err)
				}
				executed += xs[0].All.Classes
				took += xs[0].Took.Seconds()
				decided.Add(decided, xs[0].All.Schedules)
			}
			all, _ := new(big.Float).SetInt(decided).Float64()
			b.ReportMetric(float64(executed)/took, "executed/s")
			b.ReportMetric(all/took, "schedules/s")
		})
	}
}
