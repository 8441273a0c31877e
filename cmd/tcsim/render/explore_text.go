// SPDX-License-Identifier: GPL-2.0-only

package render

import (
	"fmt"
	"io"
	"math/big"
	"strings"

	"github.com/tcsim/tcsim/emu/check"
	"github.com/tcsim/tcsim/emu/stack"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/scenarios/interleave"
)

// ExploredOn is a scenario explored on one target.
type ExploredOn struct {
	Scenario, Target string
	Found            []ExploredRow
	Unsupported      error // why the target cannot be explored
}

// ExploredRow is all that is shown of an update.
type ExploredRow struct {
	ExploredUpdate
	Trace string `json:"trace,omitempty"` // of Shortest, as text
}

// ExploredRowOf makes the row of an update.
func ExploredRowOf(x *interleave.Explored) ExploredRow {
	row := ExploredRow{ExploredUpdate: exploredUpdate(x)}
	if f := x.Failure; f != nil {
		row.Trace = trace.Text(f.Code, f.Events)
	}
	return row
}

// Wrong reports that something is wrong.
func (x *ExploredRow) Wrong() bool {
	return x.Before != nil || x.Update != nil || x.Later != nil || x.Shortest != nil
}

// shownUpdates is how many updates are shown of a row, besides the first.
const shownUpdates = 7

// updateText is an update in a few words.
func updateText(x *ExploredRow) string {
	if len(x.Then) == 0 {
		return fmt.Sprintf("%s %s: %s -> %s", x.Kind, x.Slot, x.From, x.To)
	}
	slot, words := x.Slot, []string{fmt.Sprintf("%s: %s -> %s", x.Slot, x.From, x.To)}
	for i, u := range x.Then {
		if i == shownUpdates {
			return fmt.Sprintf("%s, … (%d updates)", strings.Join(words, ", "), len(x.Then)+1)
		}
		if u.Slot == slot {
			words[len(words)-1] += " -> " + u.To
			continue
		}
		slot = u.Slot
		words = append(words, fmt.Sprintf("%s: %s -> %s", u.Slot, u.From, u.To))
	}
	return strings.Join(words, ", ")
}

func exploreWord(x *ExploredRow) string {
	var words []string
	if x.Before != nil {
		return "not reached"
	}
	if x.Shortest != nil {
		for _, name := range SortedKeys(x.Failed) {
			words = append(words, fmt.Sprintf("FAILS %s in %v", name, x.Failed[name].Schedules))
		}
	}
	if x.Update != nil {
		words = append(words, "the update BREAKS pokes")
	}
	if x.Later != nil {
		words = append(words, "a later update FAILS")
	}
	if !x.Exhaustive {
		words = append(words, "not exhaustive")
	}
	if len(words) == 0 {
		return "passes"
	}
	return strings.Join(words, ", ")
}

// ExploredText prints a row for each update, and the shortest failing schedule: of the first update that has one, or of
// each.
func ExploredText(w io.Writer, list []ExploredOn, each bool) {
	columns := []string{"update", "run", "steps", "schedules", "classes", "verdict"}
	title := list[0].Scenario + " on " + list[0].Target
	if len(list) > 1 {
		columns, title = append([]string{"target"}, columns...), fmt.Sprintf("%s on %s", list[0].Scenario, Plural(len(list), "target"))
	}
	t := NewTable(columns...)
	for i := range 4 {
		t.Right(len(columns) - 5 + i)
	}
	schedules, classes := new(big.Int), 0
	for i := range list {
		if list[i].Unsupported != nil {
			t.Add(list[i].Target, "unsupported", "", "", "", "", "")
		}
		for j := range list[i].Found {
			x := &list[i].Found[j]
			cells := []string{updateText(x), fmt.Sprint(x.Run), fmt.Sprint(len(x.Steps)), x.Schedules, fmt.Sprint(x.Classes), exploreWord(x)}
			if len(list) > 1 {
				cells = append([]string{list[i].Target}, cells...)
			}
			t.Add(cells...)
			exploreNotes(t, x)
			if n, ok := new(big.Int).SetString(x.Schedules, 10); ok {
				schedules.Add(schedules, n)
			}
			classes += x.Classes
		}
	}
	fmt.Fprintf(w, "%s\n\n%s\n%s in %s, one of each executed.\n", title, t, plural(schedules.String(), "schedule"), Plural(classes, "class"))
	for i := range list {
		on := ""
		if len(list) > 1 {
			on = " on " + list[i].Target
		}
		for j := range list[i].Found {
			if list[i].Found[j].Shortest == nil {
				continue
			}
			printFailure(w, &list[i].Found[j], on)
			if !each {
				return
			}
		}
	}
}

// exploreNotes adds what a verdict cannot say to the row of an update.
func exploreNotes(t *Table, x *ExploredRow) {
	if x.Unbounded {
		t.Note("a run did not end within its budget of instructions")
	}
	switch {
	case x.Exhaustive || x.Unbounded || x.Before != nil:
	case x.Complete == 0:
		t.Note("some schedules; --max executes more")
	case x.Complete == 1:
		t.Note("all schedules in which the run meets no change of what it executes and loads")
	default:
		t.Note(fmt.Sprintf("all schedules in which the run meets at most %s of what it executes and loads", Plural(x.Complete-1, "change")))
	}
	if x.Alone != nil {
		t.Note("without the update the run breaks " + string(x.Alone.Invariant) + " as well")
	}
	for _, v := range []*check.Violation{x.Before, x.Update, x.Later} {
		if v != nil {
			t.Note(v.String())
		}
	}
}

// printFailure shows the shortest failing schedule of an update; on names the target, if there are several.
func printFailure(w io.Writer, x *ExploredRow, on string) {
	f := x.Shortest
	title := fmt.Sprintf("Shortest failing schedule of %s%s (run %d, %s; %s; schedules of its class that fail alike: %v)",
		updateText(x), on, x.Run, x.Program, plural(fmt.Sprint(f.Insns), "instruction"), f.Schedules)
	fmt.Fprintf(w, "\n%s\n\n", strings.Join(Fold(title, Width), "\n"))
	for _, line := range Fold(f.Violation.String(), Width-2) {
		fmt.Fprintf(w, "  %s\n", line)
	}
	fmt.Fprintln(w)
	for i, s := range f.Steps {
		if i == 0 || s.After != f.Steps[i-1].After {
			where := "before the run"
			if s.After > 0 {
				where = fmt.Sprintf("after instruction %d (%#x, %s)", s.After, uint64(s.RIP), s.Where)
			}
			fmt.Fprintf(w, "  %s:\n", where)
		}
		fmt.Fprintf(w, "    %d. %s\n", i+1, s.Step)
	}
	if left := len(x.Steps) - len(f.Steps); left > 0 {
		fmt.Fprintf(w, "  the other %s may come at any time after\n", Plural(left, "step"))
	}
	fmt.Fprintf(w, "\n%s\n%s", x.Trace, f.Stack.Picture(stack.Options{Title: f.Violation.Moment().Name}))
}

// ExploredObject is the object of one target, or of several the list of their objects.
func ExploredObject(list []ExploredOn, interrupted bool) any {
	var each []Explored
	for i := range list {
		x := Explored{Scenario: list[i].Scenario, Target: list[i].Target}
		for j := range list[i].Found {
			x.Updates = append(x.Updates, list[i].Found[j].ExploredUpdate)
		}
		if err := list[i].Unsupported; err != nil {
			x.Error = err.Error()
		}
		each = append(each, x)
	}
	if len(each) == 1 {
		each[0].Schema, each[0].Interrupted = SchemaExplore, interrupted
		return each[0]
	}
	out := ExploredTargets{Interrupted: interrupted, Schema: SchemaExplore, Targets: each}
	if len(list) > 0 {
		out.Scenario = list[0].Scenario
	}
	return out
}
