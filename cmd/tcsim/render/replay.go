// SPDX-License-Identifier: GPL-2.0-only

package render

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/tcsim/tcsim/jit/conform"
	"github.com/tcsim/tcsim/scenarios/replay"
)

// ReplayRow is one capture.
type ReplayRow struct {
	File    string         `json:"file"`
	Equal   int            `json:"equal"`
	Total   int            `json:"total"`
	Traced  conform.Count  `json:"traced"`
	Apart   []ReplayLine   `json:"outside_world,omitempty"`
	Wrong   []ReplayLine   `json:"wrong,omitempty"`
	Skipped map[string]int `json:"skipped,omitempty"`
	Missing map[string]int `json:"not_modelled,omitempty"`
	Designs map[string]int `json:"designs"`
	Taken   uint64         `json:"taken"`
	// NotByKernel counts scenarios of Total that the kernel itself did not run.
	NotByKernel int `json:"not_run_by_kernel,omitempty"`
	// Kernel says why offsets and limit are read from the code, "" if the header names a known kernel.
	Kernel string `json:"from_code,omitempty"`
	// Bad are scenarios that cannot be replayed because the capture is bad, each with its place.
	Bad []string `json:"bad,omitempty"`
	// Unchecked says of which code nothing is known, with the number of scenarios: only runs have judged it.
	Unchecked map[string]int `json:"unchecked,omitempty"`
	// Played are the verdicts on scenarios that the capture has the source of.
	Played []RunRow `json:"played,omitempty"`
}

// ReplayLine names a scenario and says something of it.
type ReplayLine struct {
	Scenario string   `json:"scenario"`
	Notes    []string `json:"notes"`
}

// NewReplayRow returns the row of a capture of which nothing was replayed.
func NewReplayRow(file string) *ReplayRow {
	return &ReplayRow{File: file, Skipped: map[string]int{}, Missing: map[string]int{}, Designs: map[string]int{}}
}

// Join adds the row of further scenarios of the same capture.
func (r *ReplayRow) Join(o *ReplayRow) {
	r.Equal += o.Equal
	r.Total += o.Total
	r.Traced.Same += o.Traced.Same
	r.Traced.Total += o.Traced.Total
	r.Taken += o.Taken
	r.NotByKernel += o.NotByKernel
	r.Apart, r.Wrong = append(r.Apart, o.Apart...), append(r.Wrong, o.Wrong...)
	r.Bad, r.Played = append(r.Bad, o.Bad...), append(r.Played, o.Played...)
	if r.Unchecked == nil && len(o.Unchecked) > 0 {
		r.Unchecked = map[string]int{}
	}
	for _, m := range []struct{ to, from map[string]int }{{r.Skipped, o.Skipped}, {r.Missing, o.Missing}, {r.Designs, o.Designs}, {r.Unchecked, o.Unchecked}} {
		for k, n := range m.from {
			m.to[k] += n
		}
	}
}

// Take counts one run.
func (r *ReplayRow) Take(res *replay.Replay) {
	if res.Skipped != "" {
		why, _, _ := strings.Cut(res.Skipped, ":")
		r.Skipped[why]++
		return
	}
	if res.Design != "" {
		r.Designs[res.Design]++
	}
	r.Taken += res.Counts.Taken
	for _, what := range res.Unchecked {
		if r.Unchecked == nil {
			r.Unchecked = map[string]int{}
		}
		r.Unchecked[what]++
	}
	if res.Result != nil {
		row := RunRow{Scenario: res.Scenario, Target: res.Design}
		row.Fill(res.Result)
		row.OK, row.Failed = len(res.Wrong) == 0, res.Wrong
		r.Played = append(r.Played, row)
		if !res.KernelRan {
			r.NotByKernel++
		}
	}
	if len(res.World) != 0 {
		notes := append([]string{"uses " + strings.Join(res.World, ", ")}, res.Wrong...)
		if res.Violation == nil && res.Killed == "" {
			r.Apart = append(r.Apart, ReplayLine{res.Scenario, notes})
			return
		}
	}
	name := res.Scenario
	if res.Traced {
		name += " (traced)"
		r.Traced.Total++
	} else {
		r.Total++
	}
	switch {
	case len(res.Wrong) != 0:
		r.Wrong = append(r.Wrong, ReplayLine{name, res.Wrong})
	case res.Traced:
		r.Traced.Same++
	default:
		r.Equal++
	}
}

// ReplayText prints a line for each capture, with what is to be said of it.
func ReplayText(w io.Writer, rows []ReplayRow) {
	as := "as the kernel"
	for _, r := range rows {
		if r.NotByKernel > 0 {
			as = "as expected"
		}
	}
	t := NewTable("capture", "design", as, "traced", "apart", "tail calls taken")
	t.Right(2, 3, 4, 5)
	equal, total := 0, 0
	var traced conform.Count
	for _, r := range rows {
		runs := "-"
		if r.Traced.Total > 0 {
			runs = r.Traced.String()
		}
		var designs []string
		for d := range r.Designs {
			designs = append(designs, d)
		}
		t.Add(filepath.Base(r.File), OneOf(designs), fmt.Sprintf("%d/%d", r.Equal, r.Total),
			runs, fmt.Sprint(len(r.Apart)), fmt.Sprint(r.Taken))
		if r.Kernel != "" {
			t.Note("the header does not say; taken from " + r.Kernel)
		}
		for _, l := range r.Wrong {
			t.Note("WRONG " + l.Scenario + ": " + strings.Join(l.Notes, "; "))
		}
		for _, text := range apart(r.Apart) {
			t.Note(text)
		}
		for _, why := range SortedKeys(r.Missing) {
			t.Note(fmt.Sprintf("not modelled: %d: %s", r.Missing[why], why))
		}
		for _, what := range SortedKeys(r.Unchecked) {
			t.Note(fmt.Sprintf("checked only where runs come to it: %d: %s", r.Unchecked[what], what))
		}
		for _, why := range SortedKeys(r.Skipped) {
			t.Note(fmt.Sprintf("not run: %d: %s", r.Skipped[why], why))
		}
		equal += r.Equal
		total += r.Total
		traced.Same += r.Traced.Same
		traced.Total += r.Traced.Total
	}
	fmt.Fprint(w, t)
	for _, r := range rows {
		replayVerdicts(w, &r)
	}
	fmt.Fprintf(w, "%s: %d/%d\n", as, equal, total)
	if traced.Total > 0 {
		fmt.Fprintf(w, "traced: %v\n", traced)
	}
}

// replayVerdicts prints each run of scenarios that were played from their source.
func replayVerdicts(w io.Writer, r *ReplayRow) {
	if len(r.Played) == 0 {
		return
	}
	t := NewTable("scenario", "design", "run", "taken", "refused", "stack", "insns", "return", "verdict")
	t.Right(2, 3, 4, 5, 6, 7)
	for _, p := range r.Played {
		for i, run := range p.Runs {
			t.Add(p.Scenario, p.Target, fmt.Sprint(i+1), fmt.Sprint(run.Taken), fmt.Sprint(run.Refused.Total()),
				fmt.Sprint(run.Stack), fmt.Sprint(run.Insns), run.Returned(), run.Judged())
			if run.Unexpected && !p.OK {
				t.Note("NOT AS EXPECTED")
			}
			if run.Violation != nil {
				t.Note(run.Violation.String())
			}
		}
		for _, v := range p.Updates {
			t.Note(v)
		}
	}
	fmt.Fprintf(w, "\n%s\n", t)
}

// apart says which scenarios depend on the outside world: by name where the result is not the
// kernel's, in numbers otherwise; --json names all.
func apart(lines []ReplayLine) []string {
	var out []string
	same := map[string]int{}
	for _, l := range lines {
		if len(l.Notes) > 1 {
			out = append(out, "apart: "+l.Scenario+": "+strings.Join(l.Notes, "; "))
			continue
		}
		same[l.Notes[0]]++
	}
	for _, uses := range SortedKeys(same) {
		out = append(out, fmt.Sprintf("apart, but as the kernel: %s (%s)", Plural(same[uses], "scenario"), uses))
	}
	return out
}
