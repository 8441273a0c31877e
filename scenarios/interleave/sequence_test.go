// SPDX-License-Identifier: GPL-2.0-only

package interleave_test

import (
	"math/big"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/interleave"
)

func fromFile(t *testing.T, name string) *scenarios.Built {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return buildText(t, name, text)
}

// TestRegeneration has a loader refill a prog array slot by slot: the window in which packets are dropped is found and
// drawn, and with the slots in the right order there is none.
func TestRegeneration(t *testing.T) {
	for _, tn := range []string{"5.10", "6.12", "7.2", "direct-poke", "fp53"} {
		for _, x := range explored(t, fromFile(t, "regeneration.yaml"), tn, interleave.Options{Sequence: true}) {
			f := x.Failure
			if f == nil || !strings.Contains(f.Violation.Text, "it returns 2, expected one of 101, 102") || x.Update != nil || x.Later != nil {
				t.Fatalf("%s: %s", tn, findings(&x))
			}
			if len(x.Then) != 2 || f.Layout == nil || len(f.Events) == 0 {
				t.Errorf("%s: %+v", tn, x.Then)
			}
			// Each of the two mistakes is enough: a run that begins between, and one that began before.
			if len(f.Steps) == 0 || !strings.HasPrefix(f.Steps[0].Step, "calls[0] = classify_new") {
				t.Errorf("%s: %+v", tn, f.Steps)
			}
		}
		for _, x := range explored(t, fromFile(t, "regeneration_careful.yaml"), tn, interleave.Options{Sequence: true}) {
			if !x.OK() {
				t.Errorf("%s, careful: %s: %v", tn, findings(&x), x.Failure)
			}
		}
	}
}

// TestInARow explores updates of one slot that follow each other.
func TestInARow(t *testing.T) {
	rows := []interleave.UpdateKind{"delete+insert", "insert+delete", "replace+delete", "replace+replace", "delete+insert+delete"}
	b := build(t, "poke_one_site")
	for _, tn := range []string{"5.10", "6.12", "7.2", "direct-poke"} {
		for _, x := range explored(t, b, tn, interleave.Options{Kinds: rows, Slot: "jmp_table[0]"}) {
			if !x.OK() {
				t.Errorf("%s: %s of %s, then %v: %s", tn, x.Kind, x.Slot, x.Then, findings(&x))
			}
		}
	}
	// A second update does not make a missing wait of the first one right.
	xs := explored(t, b, "6.12", interleave.Options{Kinds: []interleave.UpdateKind{"delete+insert", "insert+delete"}, Slot: "jmp_table[0]", NoRCU: true})
	if got := findings(&xs[0]) + ", " + findings(&xs[1]); got != "pokes, pokes" {
		t.Errorf("without the wait: %s", got)
	}
	x := explored(t, b, "6.12", interleave.Options{Slot: "jmp_table[0]", To: "two,empty,one"})[0]
	if len(x.Then) != 2 || x.To != "two" || x.Then[0].To != "empty" || x.Then[1].To != "one" || !x.OK() {
		t.Errorf("%+v %+v: %s", x.SlotUpdate, x.Then, findings(&x))
	}
}

// TestInARowBruteForce compares the reduction with the execution of every schedule.
func TestInARowBruteForce(t *testing.T) {
	b := buildText(t, "tiny.yaml", []byte(tinyScenario))
	for _, row := range []struct {
		target string
		kind   interleave.UpdateKind
		noRCU  bool
	}{{"fp53", "delete+insert", false}, {"fp53", "insert+delete", false}, {"fp53", "delete+insert", true}} {
		o := interleave.Options{Kinds: []interleave.UpdateKind{row.kind}, NoRCU: row.noRCU, Max: 1 << 20}
		if testing.Short() && row.target != "fp53" {
			continue
		}
		reduced := explored(t, b, row.target, o)[0]
		o.BruteForce = true
		all := explored(t, b, row.target, o)[0]
		if all.All.Schedules.Cmp(big.NewInt(int64(all.All.Classes))) != 0 || !all.Exhaustive || len(all.Then) != 1 {
			t.Fatalf("%s: %v schedules, %d executed", row.kind, all.All.Schedules, all.All.Classes)
		}
		if d := cmp.Diff(totals(&all), totals(&reduced)); d != "" {
			t.Errorf("%s on %s (-every schedule +classes):\n%s", row.kind, row.target, d)
		}
		t.Logf("%s on %s: %d schedules in %d classes", row.kind, row.target, all.All.Classes, reduced.All.Classes)
	}
}

const interruptedScenario = `
version: 1
name: interrupted
maps:
  t: {type: prog_array, slots: {0: one}}
programs:
  entry: [tail_call: "t[0]", return: 7]
  one: [return: 1]
  two: [return: 2]
runs:
  - run: entry
    interrupt: {run: entry, at: "tailcall:1"}
    expect: {return_one_of: [1, 2, 7]}
`

// TestInterrupted explores a run in the middle of which another program goes through the same slot.
func TestInterrupted(t *testing.T) {
	b := buildText(t, "interrupted.yaml", []byte(interruptedScenario))
	for _, tn := range []string{"5.10", "6.12", "7.2", "direct-poke", "fp53"} {
		for _, x := range explored(t, b, tn, interleave.Options{Kinds: interleave.UpdateKinds()}) {
			if !x.OK() {
				t.Errorf("%s: %s: %s", tn, x.Kind, findings(&x))
			}
			// The program that interrupts comes to the slot, too.
			if n := x.All.Classes; x.Kind == interleave.UpdateReplace && n < 3 {
				t.Errorf("%s: %s in %d classes", tn, x.Kind, n)
			}
		}
	}
	for _, x := range explored(t, b, "6.12", interleave.Options{Kinds: []interleave.UpdateKind{interleave.UpdateDelete}, NoRCU: true}) {
		if findings(&x) != "pokes" {
			t.Errorf("without the wait: %s", findings(&x))
		}
	}
	for _, row := range []struct {
		target string
		kind   interleave.UpdateKind
	}{{"fp53", interleave.UpdateDelete}, {"fp53", interleave.UpdateInsert}} {
		o := interleave.Options{Kinds: []interleave.UpdateKind{row.kind}, Max: 1 << 20}
		reduced := explored(t, b, row.target, o)[0]
		o.BruteForce = true
		all := explored(t, b, row.target, o)[0]
		if d := cmp.Diff(totals(&all), totals(&reduced)); d != "" {
			t.Errorf("%s on %s (-every schedule +classes):\n%s", row.kind, row.target, d)
		}
	}
}
