// SPDX-License-Identifier: GPL-2.0-only

package render

import (
	"fmt"
	"io"
	"strings"

	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/scenarios/campaign"
)

// CheckKernel is the object of tcsim check-kernel.
type CheckKernel struct {
	Interrupted bool         `json:"interrupted,omitempty"`
	Kernels     []KernelBugs `json:"kernels"`
	Schema      Schema       `json:"schema"`
}

// KernelBugs are the known bugs and whether a kernel has them.
type KernelBugs struct {
	Kernel string   `json:"kernel"`
	Bugs   []BugRow `json:"bugs"`
}

// BugRow is one bug on one kernel.
type BugRow struct {
	Name     string            `json:"name"`
	Here     campaign.Presence `json:"here"`
	Since    string            `json:"since,omitempty"` // first release with it
	Fixed    string            `json:"fixed"`           // first mainline release without it
	Stable   []string          `json:"stable,omitempty"`
	Commit   string            `json:"commit"`
	Scenario string            `json:"scenario,omitempty"` // that shows it
	Text     string            `json:"text"`
	Why      string            `json:"why,omitempty"`
}

// BugRows turns checks into rows.
func BugRows(checks []campaign.BugCheck) []BugRow {
	var out []BugRow
	for _, c := range checks {
		b := c.Bug
		r := BugRow{Name: b.Name, Here: c.Here, Fixed: b.Fixed().String(), Commit: b.Fix, Scenario: b.Scenario, Text: b.Text, Why: c.Why}
		if b.Since != (kernels.Version{}) {
			r.Since = b.Since.String()
		}
		for _, s := range b.Backports() {
			r.Stable = append(r.Stable, fmt.Sprintf("%s.%d", s.Base, s.Patch))
		}
		out = append(out, r)
	}
	return out
}

// BugsText prints a table for each kernel, and what its bugs do.
func BugsText(w io.Writer, all []KernelBugs) {
	for i, k := range all {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintln(w, k.Kernel)
		t := NewTable("bug", "here", "fixed in", "commit", "and in (or before)")
		for _, b := range k.Bugs {
			t.Add(b.Name, b.Here.String(), b.Fixed, b.Commit, strings.Join(b.Stable, ", "))
		}
		fmt.Fprint(w, t)
		for _, b := range k.Bugs {
			switch {
			case b.Here.Here():
				lines := []string{b.Name + ": " + b.Text + "."}
				if b.Here == campaign.BugShown {
					lines = append(lines, "    Shown by scenario "+b.Scenario+": "+b.Why)
				}
				said(w, lines...)
			case b.Here == campaign.BugUnknown:
				said(w, b.Name+": "+b.Why)
			}
		}
	}
}

// said prints texts, folded to the page.
func said(w io.Writer, texts ...string) {
	fmt.Fprintln(w)
	for _, text := range texts {
		inner := strings.TrimLeft(text, " ")
		indent := text[:len(text)-len(inner)]
		for _, line := range Fold(inner, Width-len(indent)) {
			fmt.Fprintf(w, "%s%s\n", indent, line)
		}
	}
}

// History is the object of tcsim matrix --kernels.
type History struct {
	Scenarios   []HistoryRow `json:"scenarios"`
	Schema      Schema       `json:"schema"`
	Interrupted bool         `json:"interrupted,omitempty"` // scenarios are missing
}

// HistoryRow is one scenario on all mainline releases.
type HistoryRow struct {
	Scenario string        `json:"scenario"`
	Spans    []HistorySpan `json:"spans"`
}

// HistorySpan is a row of releases with one verdict.
type HistorySpan struct {
	From    string           `json:"from"`
	To      string           `json:"to"`
	Verdict campaign.Verdict `json:"verdict"`
	Why     string           `json:"why,omitempty"`
	Causes  []Cause          `json:"causes,omitempty"`
	// Together says that it takes all causes, not one of them.
	Together bool `json:"together,omitempty"`
}

// Cause is a fact of the registry that changes a verdict.
type Cause struct {
	Fact   string `json:"fact"`
	Commit string `json:"commit,omitempty"`
	Ends   bool   `json:"ends,omitempty"` // it is no longer there
}

// HistoryRows turns histories into rows.
func HistoryRows(all []campaign.ScenarioHistory) []HistoryRow {
	var out []HistoryRow
	for _, h := range all {
		row := HistoryRow{Scenario: h.Scenario}
		for _, s := range h.Spans {
			span := HistorySpan{From: s.From.String(), To: s.To.String(), Verdict: s.Cell.Verdict, Why: s.Cell.Why, Together: s.Together}
			for _, f := range s.Causes {
				span.Causes = append(span.Causes, Cause{f.Name, f.Commit, !f.Holds(s.From, 0)})
			}
			row.Spans = append(row.Spans, span)
		}
		out = append(out, row)
	}
	return out
}

// HistoryText prints the scenarios whose verdict changes, a line for each row of releases, then the others.
func HistoryText(w io.Writer, rows []HistoryRow) {
	t := NewTable("scenario", "releases", "verdict", "since then")
	var same []string
	for _, r := range rows {
		if len(r.Spans) == 1 {
			same = append(same, fmt.Sprintf("%s %s", r.Scenario, r.Spans[0].Verdict))
			continue
		}
		for i, s := range r.Spans {
			name := r.Scenario
			if i > 0 {
				name = ""
			}
			releases := s.From
			if s.To != s.From {
				releases += " - " + s.To
			}
			t.Add(name, releases, string(s.Verdict), causesText(&s))
		}
	}
	fmt.Fprint(w, t)
	if len(same) > 0 {
		said(w, "The same on all of them: "+strings.Join(same, "; ")+".")
	}
	said(w, "Releases are those of mainline as they were published, without mitigations; what stands under \"since then\" is the "+
		"fact of docs/history.md which makes the difference. unsupported: no such kernel takes the programs, or tcsim does not "+
		"model it there; --json has the reasons.")
}

func causesText(s *HistorySpan) string {
	var out []string
	for _, c := range s.Causes {
		text := c.Fact
		if c.Ends {
			text = "end of " + text
		}
		if len(s.Causes) == 1 && c.Commit != "" {
			text += " (" + c.Commit + ")"
		}
		out = append(out, text)
	}
	if s.Together {
		return strings.Join(out, " + ")
	}
	return strings.Join(out, ", ")
}
