// SPDX-License-Identifier: GPL-2.0-only

package render

import (
	"fmt"
	"strings"

	"github.com/tcsim/tcsim/emu/check"
	"github.com/tcsim/tcsim/emu/stack"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/scenarios/inspect"
	"github.com/tcsim/tcsim/scenarios/measure"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// RunRow is one scenario on one target.
type RunRow struct {
	Scenario string `json:"scenario"`
	Target   string `json:"target"`
	// Core is that of the cycles where several were asked for.
	Core  string `json:"core,omitempty"`
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty"` // why it could not be run
	// Rejected says why the input was: the kernel of the target refuses a program, or the file is bad.
	Rejected string    `json:"rejected,omitempty"`
	Runs     []Summary `json:"runs,omitempty"`
	// Refused are updates and replacements that the kernel of the target refuses, with its error.
	Refused []string `json:"refused_updates,omitempty"`
	Updates []string `json:"update_violations,omitempty"`
	// broken are the verdicts on the same, each with the update.
	broken [][2]string
	Failed []string `json:"mismatches,omitempty"`
	// Flaws are what is wrong in code that no run has to reach.
	Flaws []string `json:"code_flaws,omitempty"`
	// Differs are places in which the code of a kernel's source is not shown to do what that kernel's own does.
	Differs []string `json:"code_differences,omitempty"`
	// Unchecked says of which code nothing is known, so that only the runs have judged it.
	Unchecked []string `json:"unchecked,omitempty"`
	// Counted is what the last run does in full, if it was ended before it was over.
	Counted string `json:"counted,omitempty"`
	// Stack is the stack where an invariant broke that was expected to hold.
	Stack *stack.Layout `json:"stack,omitempty"`
	// StackText is its drawing.
	StackText string `json:"-"`
}

// Fill takes over what a scenario gave.
func (row *RunRow) Fill(res *runner.Result) {
	row.OK = res.OK()
	for i := range res.Runs {
		row.Runs = append(row.Runs, Summarise(&res.Runs[i]))
	}
	for _, u := range res.Updates {
		if u.Errno != "" {
			row.Refused = append(row.Refused, u.What+": "+u.Errno)
		}
		if u.Violation != nil {
			s := Summary{Violation: u.Violation, Unexpected: !u.Foreseen}
			row.Updates, row.broken = append(row.Updates, u.Violation.String()), append(row.broken, [2]string{u.What, s.Judged()})
		}
	}
	for _, m := range res.Mismatches() {
		row.Failed = append(row.Failed, m.String())
	}
}

// Inspected takes over what code shows without being run. Differences from a release that captures are of fail,
// unless they are allowed.
func (row *RunRow) Inspected(r *inspect.Report, allow bool) {
	row.Flaws, row.Differs, row.Unchecked = r.Flaws, r.Differences, r.Unchecked
	if len(r.Differences) > 0 && r.Release != "" && !allow {
		row.OK = false
		row.Failed = append(row.Failed, fmt.Sprintf("the file is an edited one of Linux %s, and its code does something else in %s, see above; "+
			"--allow-differences if that is meant", r.Release, Plural(len(r.Differences), "place")))
	}
	row.OK = row.OK && len(r.Flaws) == 0
}

// InspectedLines gives the lines about code that was looked at, not all of many.
func (row *RunRow) InspectedLines(note func(string)) {
	const most = 8
	lines := func(what string, of []string) {
		for i, text := range of {
			if i == most {
				note(fmt.Sprintf("%s: %d more", what, len(of)-most))
				return
			}
			note(what + ": " + text)
		}
	}
	lines("FLAW", row.Flaws)
	lines("differs", row.Differs)
	lines("unchecked", row.Unchecked)
}

// InspectedText is the same for people who look at the code.
func InspectedText(target string, r *inspect.Report) string {
	var b strings.Builder
	row := RunRow{Flaws: r.Flaws, Differs: r.Differences, Unchecked: r.Unchecked}
	row.InspectedLines(func(text string) { fmt.Fprintf(&b, "note: %s: %s\n", target, Plain(text)) })
	return b.String()
}

// RunText prints a line for each run, with what is to be said of it.
func RunText(rows []RunRow) string {
	t := NewTable("scenario", "target", "run", "taken", "refused", "stack", "insns", "cold", "warm", "return", "verdict")
	t.Right(2, 3, 4, 5, 6, 7, 8, 9)
	for _, r := range rows {
		target := r.Target
		if r.Core != "" {
			target += " on " + r.Core
		}
		if r.Rejected != "" {
			t.Add(r.Scenario, target, "", "", "", "", "", "", "", "", "refused")
			t.Note(r.Rejected)
			continue
		}
		if r.Error != "" {
			t.Add(r.Scenario, target, "", "", "", "", "", "", "", "", "cannot be tested")
			t.Note(r.Error)
			continue
		}
		if len(r.Runs) == 0 && len(r.Failed) > 0 {
			t.Add(r.Scenario, r.Target, "", "", "", "", "", "", "", "", "JIT fails")
		}
		for i, run := range r.Runs {
			t.Add(r.Scenario, target, fmt.Sprint(i+1), fmt.Sprint(run.Taken), fmt.Sprint(run.Refused.Total()),
				fmt.Sprint(run.Stack), fmt.Sprint(run.Insns), run.Cycles.ColdText(), run.Cycles.WarmText(), run.Returned(),
				run.Judged())
			if run.Cycles != nil && run.Cycles.Error != "" {
				t.Note("cycles unknown: " + run.Cycles.Error)
			}
			if run.Violation != nil {
				t.Note(run.Violation.String())
			}
			for k := range run.More {
				t.Note(moreText(&run.More[k]))
			}
		}
		for i, v := range r.Updates {
			t.Add(r.Scenario, target, "", "", "", "", "", "", "", "", r.broken[i][1])
			t.Note(r.broken[i][0] + ": " + v)
		}
		if r.Counted != "" {
			t.Note(r.Counted)
		}
		if len(r.Refused) > 0 {
			t.Note("refused: " + strings.Join(r.Refused, "; "))
		}
		r.InspectedLines(func(text string) { t.Note(text) })
		for _, v := range r.Failed {
			t.Note("NOT AS EXPECTED: " + v)
		}
		if r.StackText != "" {
			t.Picture(r.StackText)
		}
	}
	return t.String()
}

// Summary is a run in numbers.
type Summary struct {
	Program    string           `json:"program"`
	Return     uint32           `json:"return"`
	Taken      uint64           `json:"taken"`
	Refused    Refused          `json:"refused"`
	Calls      uint64           `json:"calls"`
	Helpers    uint64           `json:"helper_calls"`
	Stack      uint64           `json:"stack_bytes"`
	Insns      uint64           `json:"instructions"`
	Cycles     *Cycles          `json:"cycles,omitempty"`
	Violation  *check.Violation `json:"violation,omitempty"`
	More       []check.Again    `json:"further_violations,omitempty"`
	Killed     string           `json:"ended_by,omitempty"`
	World      []string         `json:"outside_world,omitempty"`
	Unexpected bool             `json:"unexpected,omitempty"`
}

type Refused struct {
	Limit   uint64 `json:"limit"`
	Bounds  uint64 `json:"bounds"`
	Empty   uint64 `json:"empty"`
	Unknown uint64 `json:"unknown,omitempty"`
}

// Total is their sum.
func (r Refused) Total() uint64 { return r.Limit + r.Bounds + r.Empty + r.Unknown }

// Summarise is a run in numbers.
func Summarise(r *runner.Run) Summary {
	c := &r.Counts
	return Summary{
		Program: r.Program, Return: uint32(r.Return), Taken: c.Taken, Calls: c.Calls, Helpers: c.Helpers,
		Refused: Refused{
			c.Refused[trace.ReasonLimit], c.Refused[trace.ReasonBounds],
			c.Refused[trace.ReasonEmpty], c.Refused[trace.ReasonUnknown],
		},
		Stack: r.Deepest, Insns: r.Retired, Violation: r.Violation, More: r.More, Killed: r.Killed, World: r.World,
		Unexpected: len(r.Mismatches) != 0, Cycles: cyclesOf(r.Cycles),
	}
}

// Cycles is what a run costs: the first run after loading, and one of many in a row.
type Cycles struct {
	Core  string  `json:"core"`
	Cold  int64   `json:"cold,omitempty"`
	Warm  float64 `json:"warm,omitempty"`
	Error string  `json:"error,omitempty"`
}

func cyclesOf(c *measure.Cycles) *Cycles {
	if c == nil {
		return nil
	}
	out := &Cycles{Core: c.Core, Cold: int64(c.Cold), Warm: c.Warm}
	if c.Err != nil {
		out.Cold, out.Warm, out.Error = 0, 0, c.Err.Error()
	}
	return out
}

// ColdText and WarmText are the cycles in a table, "-" if unknown.
func (c *Cycles) ColdText() string {
	if c == nil || c.Cold == 0 {
		return "-"
	}
	return fmt.Sprint(c.Cold)
}

func (c *Cycles) WarmText() string {
	if c == nil || c.Warm == 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f", c.Warm)
}

// Returned is the return value as a kernel reports it.
func (r *Summary) Returned() string {
	if r.Violation != nil || r.Killed != "" {
		return "-"
	}
	if v := int32(r.Return); v < 0 {
		return fmt.Sprint(v)
	}
	return fmt.Sprint(r.Return)
}

// Judged is the verdict of a run whose violation somebody has compared with what the scenario expects.
func (r *Summary) Judged() string {
	if r.Violation != nil && !r.Unexpected {
		return r.Verdict() + " (expected)"
	}
	return r.Verdict()
}

// Verdict says in a word or two how a run went.
func (r *Summary) Verdict() string {
	switch {
	case r.Violation != nil:
		return "violates " + string(r.Violation.Invariant)
	case r.Killed != "":
		return r.Killed
	}
	return "ok"
}
