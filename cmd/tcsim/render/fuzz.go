// SPDX-License-Identifier: GPL-2.0-only

package render

import (
	"fmt"
	"strings"

	"github.com/tcsim/tcsim/scenarios/campaign"
)

// FuzzResult is the object of tcsim fuzz.
type FuzzResult struct {
	Exhaustive  int                     `json:"exhaustive"`
	Failures    []Fuzzed                `json:"failures"`
	Graphs      int                     `json:"graphs"`
	Interrupted bool                    `json:"interrupted"`
	Kind        string                  `json:"kind"`
	Schema      Schema                  `json:"schema"`
	Seed        uint64                  `json:"seed"`
	Targets     []campaign.FuzzedTarget `json:"targets"`
}

// Fuzzed is a failure as it is printed.
type Fuzzed struct {
	Target  string           `json:"target"`
	Verdict campaign.Verdict `json:"verdict"`
	Count   int              `json:"graphs"` // that fail so
	First   int              `json:"first_graph"`
	Why     string           `json:"why"`
	Shrunk  bool             `json:"shrunk"`
	Tries   int              `json:"tries,omitempty"`
	Files   []string         `json:"files,omitempty"`

	Scenario string `json:"-"` // its text
}

// lostText says that a worker process ended, and what becomes of its graph.
func lostText(c *campaign.Campaign, l *campaign.LostWorker) string {
	switch {
	case l.Graph < 0:
		return fmt.Sprintf("a worker process ended while a failure was being minimised: %s", l.Why)
	case c.Source.All != 0:
		return fmt.Sprintf("a worker process ended at graph %d of all up to size %d, which is played alone: %s", l.Graph, c.Source.All, l.Why)
	}
	return fmt.Sprintf("a worker process ended at %s %d of seed %d, which is played alone: %s", c.Source.Case(), l.Graph, c.Source.Seed, l.Why)
}

// FuzzNotes says in lines what is to be known of a campaign besides its results: lost workers, and what became of its corpus.
func FuzzNotes(c *campaign.Campaign, r *campaign.CampaignReport) (lines []string) {
	for i := range r.Lost {
		lines = append(lines, lostText(c, &r.Lost[i]))
	}
	if r.Corpus != nil {
		lines = append(lines, r.Corpus.String())
	}
	return lines
}

// FuzzText prints a campaign.
func FuzzText(c *campaign.Campaign, r *campaign.CampaignReport, failures []Fuzzed) string {
	var b strings.Builder
	switch {
	case c.Source.All != 0 && !r.Interrupted:
		fmt.Fprintf(&b, "all %s of at most %s and %s, each on %s\n\n",
			Plural(r.Graphs, "graph"), Plural(c.Source.All, "program"), Plural(c.Source.All, "call site"), Plural(len(r.Targets), "target"))
	case c.Source.All != 0:
		fmt.Fprintf(&b, "interrupted: %d of all graphs up to size %d, each on %s\n\n", r.Graphs, c.Source.All, Plural(len(r.Targets), "target"))
	default:
		if r.Interrupted {
			b.WriteString("interrupted: ")
		}
		fmt.Fprintf(&b, "%s of seed %d, each on %s\n\n", Plural(r.Graphs, c.Source.Case()), c.Source.Seed, Plural(len(r.Targets), "target"))
	}
	t := NewTable("target", "ok", "foreseen", "unsupported", "failed")
	t.Right(1, 2, 3, 4)
	for _, x := range r.Targets {
		v := x.Verdicts
		ok, foreseen, cannot := v[campaign.VerdictOK], v[campaign.VerdictForeseen], v[campaign.VerdictUnsupported]
		failed := -ok - foreseen - cannot
		for _, n := range v {
			failed += n
		}
		t.Add(x.Target, fmt.Sprint(ok), fmt.Sprint(foreseen), fmt.Sprint(cannot), fmt.Sprint(failed))
	}
	b.WriteString(t.String())
	for _, x := range failures {
		fmt.Fprintf(&b, "\n%s: %s in %s, first in %s %d", x.Target, x.Verdict, Plural(x.Count, c.Source.Case()), c.Source.Case(), x.First)
		if x.Shrunk {
			fmt.Fprintf(&b, ", minimised by playing %s", Plural(x.Tries, c.Source.Case()))
		}
		b.WriteString("\n")
		for _, line := range Fold(x.Why, Width-4) {
			fmt.Fprintf(&b, "    %s\n", line)
		}
		if len(x.Files) > 0 {
			fmt.Fprintf(&b, "\n%s\n", indent(x.Scenario))
			for _, f := range x.Files {
				fmt.Fprintf(&b, "    %s\n", f)
			}
		}
	}
	return b.String()
}

// indent moves text to the right by one step.
func indent(text string) string {
	return "    " + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n    ") + "\n"
}
