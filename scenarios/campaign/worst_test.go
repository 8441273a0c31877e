// SPDX-License-Identifier: GPL-2.0-only

package campaign_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/emu/check"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/scenarios/campaign"
	"github.com/tcsim/tcsim/scenarios/runner"
)

func worst(t *testing.T, name string) *campaign.Worst {
	t.Helper()
	w, err := campaign.WorstStack(context.Background(), target(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// TestWorstByHand derives what is found: a frame has a return address, rbp, the counter's words and four
// saved registers around its BPF stack, r12 in a program with an arena, what a bpf_loop saves in each caller and the count
// of may_goto, and 33 tail calls leave that of each caller behind. Above all stand the callers of the function that is
// replaced, which use all of the BPF stack and have no counter: but for the least that a function counts for, which is
// nothing since 6.9 (round_up_stack_depth).
func TestWorstByHand(t *testing.T) {
	if testing.Short() {
		t.Skip("only in full runs")
	}
	for name, want := range map[string]struct{ frames, unit, least, counter, r12, loop, count int }{
		"5.10": {8, 32, 32, 8, 0, 0, 0}, "6.12": {8, 16, 0, 16, 8, 24, 8},
	} {
		w := worst(t, name)
		callers := want.frames - 1
		bpf := (256 - 1) / want.unit * want.unit // all callers together
		plain := 16 + 4*8 + want.r12 + want.count
		frame := plain + want.counter
		last := 512 - bpf
		per := bpf + callers*(frame+want.loop)
		above := 512 - want.least + callers*(plain+want.loop)
		deepest := above + 33*per + per + last + frame
		s := w.AloneShape
		if s.Callers != callers || s.Arena != (want.r12 > 0) || s.Looped != (want.loop > 0) || s.Counted != (want.count > 0) || !s.Replaces {
			t.Errorf("%s: %+v", name, s)
		}
		if w.Alone != uint64(deepest) || w.Taken != 33 {
			t.Errorf("%s: %+v, want %d callers, %d per tail call, %d in all", name, w, callers, per, deepest)
		}
		if w.Bound < w.Deepest {
			t.Errorf("%s: the bound is %d, and %d was reached", name, w.Bound, w.Deepest)
		}
	}
}

// TestWorstOverflows runs what is found on a kernel stack: it does not fit. The limit does not prevent it.
func TestWorstOverflows(t *testing.T) {
	if testing.Short() {
		t.Skip("only in full runs")
	}
	tg := target(t, "6.12")
	w := worst(t, "6.12")
	if w.Margin(check.DefaultStackBudget) >= 0 || w.Margin(campaign.VerifierEstimate) >= 0 {
		t.Fatalf("it fits: %+v", w)
	}
	b := buildText(t, "worst_stack.yaml", []byte(w.Scenario))
	r := play(t, opened(t, compiled(t, b, tg), runner.Options{})).Runs[0]
	if r.Violation == nil || r.Violation.Invariant != check.StackBudget || r.Counts.Taken >= 33 {
		t.Errorf("%v after %d tail calls", r.Violation, r.Counts.Taken)
	}
	// One more byte of the BPF stack and the verifier refuses it.
	more := w.Shape
	more.First += 8
	b, _, err := more.Scenario()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := runner.Compile(b, tg); err == nil || !strings.Contains(err.Error(), "are too much") {
		t.Errorf("more stack is accepted: %v", err)
	}
	d, err := campaign.WorstDrawing(context.Background(), w, tg)
	if err != nil || d.Layout == nil {
		t.Errorf("no drawing: %v", err)
	}
}

// TestWorstEndless: designs of 2020 count anew in each subprogram.
func TestWorstEndless(t *testing.T) {
	if testing.Short() {
		t.Skip("searches long")
	}
	if w := worst(t, "ip-aux"); w.Endless != check.Limit || w.Shape.Callers != 0 {
		t.Errorf("%+v", w)
	}
}

// TestWorstDoc keeps the table of docs/worst-stack.md equal to what is found.
func TestWorstDoc(t *testing.T) {
	if testing.Short() {
		t.Skip("searches on many targets")
	}
	doc, err := os.ReadFile("../../docs/worst-stack.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for _, line := range strings.Split(string(doc), "\n") {
		cells := strings.Split(line, "|")
		if len(cells) < 9 {
			continue
		}
		name := strings.TrimSpace(cells[1])
		if _, err := jit.TargetByName(name); err != nil {
			continue // the head
		}
		rows++
		w := worst(t, name)
		one := "-"
		if w.OneCaller != 0 {
			one = fmt.Sprint(w.OneCaller)
		}
		want := fmt.Sprintf("| %s | %d | %d | %d | %s | %d | %d | %d | %d |", name, w.Shape.Callers, w.PerTailCall, w.Taken, one, w.Alone, w.Deepest,
			w.Margin(campaign.VerifierEstimate), w.Margin(check.DefaultStackBudget))
		if line != want {
			t.Errorf("the table has\n%s\nfound\n%s", line, want)
		}
	}
	if rows < 8 {
		t.Errorf("%d rows", rows)
	}
}
