// SPDX-License-Identifier: GPL-2.0-only

package render

import (
	"fmt"
	"strings"

	"github.com/tcsim/tcsim/emu/check"
	"github.com/tcsim/tcsim/scenarios/campaign"
)

// WorstResult is the object of tcsim worst.
type WorstResult struct {
	Estimate    int               `json:"estimate"`
	Interrupted bool              `json:"interrupted,omitempty"`
	Schema      Schema            `json:"schema"`
	Stack       int               `json:"stack"`
	Worst       []*campaign.Worst `json:"worst"`
}

// WorstTable has a row for each target: the callers, their BPF stack, what is left of the verifier's
// estimate (8 KiB) and of a kernel stack (16 KiB).
func WorstTable(found []*campaign.Worst) *Table {
	t := NewTable("target", "callers", "stack", "last", "saved", "per tail call", "taken", "one caller", "alone", "deepest", "left/8K", "left/16K")
	t.Right(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)
	for _, w := range found {
		s := w.Shape
		theirs := 0
		if s.Callers > 0 {
			theirs = s.First + (s.Callers-1)*s.Other
		}
		t.Add(w.Target, fmt.Sprint(s.Callers), fmt.Sprint(theirs), fmt.Sprint(s.Last), fmt.Sprint(s.Saved), fmt.Sprint(w.PerTailCall),
			fmt.Sprint(w.Taken), oneCaller(w), fmt.Sprint(w.Alone), fmt.Sprint(w.Deepest), fmt.Sprint(w.Margin(campaign.VerifierEstimate)), fmt.Sprint(w.Margin(check.DefaultStackBudget)))
		if text := reached(w); text != "" {
			t.Note(text)
		}
		if w.EndlessTraced != "" {
			t.Note("no bound: traced, tail calls go on until the stack overflows (" + string(w.EndlessTraced) + ")")
		}
		if w.Endless != "" {
			t.Note("no bound: with callers, tail calls go on until the stack overflows (" + string(w.Endless) + ")")
		}
		if w.Broken > 0 {
			t.Note(fmt.Sprintf("left out: %s of programs that do not work, the first for this: %s", Plural(w.Broken, "shape"), w.FirstBroken))
		}
	}
	return t
}

// reached says how the deepest stack comes about, and how far from it the bound is.
func reached(w *campaign.Worst) string {
	var with []string
	if w.Shape.Throws {
		with = append(with, "the entry function may throw")
	}
	if w.Shape.Arena {
		with = append(with, "the program has an arena")
	}
	if w.Shape.Counted {
		with = append(with, "every function has a may_goto")
	}
	if w.Shape.Looped {
		with = append(with, "every caller has a bpf_loop")
	}
	if w.Shape.Replaces {
		with = append(with, "it replaces a function at the end of another chain of calls")
	}
	if w.Shape.Traced {
		with = append(with, "every function is traced by fexit")
	}
	if w.Bound > w.Deepest {
		with = append(with, fmt.Sprintf("the largest frames of each level together would be %d bytes deeper", w.Bound-w.Deepest))
	} else {
		with = append(with, "no program of such frames goes deeper")
	}
	return strings.Join(with, "; ")
}

// oneCaller is the deepest stack with one caller only.
func oneCaller(w *campaign.Worst) string {
	if w.OneCaller == 0 {
		return "-"
	}
	return fmt.Sprint(w.OneCaller)
}
