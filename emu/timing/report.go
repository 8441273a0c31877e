// SPDX-License-Identifier: GPL-2.0-only

package timing

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// Report is the judgement of a core's model over measured sequences; its JSON form carries the same
// values as the text.
type Report struct {
	Schema  string   `json:"schema"` // "tcsim.cycles/v1"
	Core    string   `json:"core"`
	Machine string   `json:"machine"` // on which the sequences were measured
	Results []Result `json:"results"`
	Scores  []Score  `json:"scores"`
	// Designs are the tail-call sequences by measured cost. Swapped names each pair of them that the
	// model puts in the other order although the measured ranges do not overlap.
	Designs []Result    `json:"designs"`
	Swapped [][2]string `json:"swapped"`
}

// NewReport sums up results that were judged against m.
func NewReport(core *Core, m *Measured, rs []Result) *Report {
	r := &Report{
		Schema: "tcsim.cycles/v1", Core: core.Name, Machine: m.Core,
		Results: rs, Scores: Scores(rs), Swapped: [][2]string{}, Designs: []Result{},
	}
	for _, x := range rs {
		if x.Kind == "tailcall" {
			r.Designs = append(r.Designs, x)
		}
	}
	slices.SortStableFunc(r.Designs, func(a, b Result) int { return cmp.Compare(a.Median, b.Median) })
	for i, a := range r.Designs {
		for _, b := range r.Designs[i+1:] {
			if a.P90 < b.P10 && a.Predicted > b.Predicted {
				r.Swapped = append(r.Swapped, [2]string{a.Name, b.Name})
			}
		}
	}
	return r
}

// MAPE returns the mean absolute error over all results in percent.
func (r *Report) MAPE() float64 {
	for _, s := range r.Scores {
		if s.Kind == "all" {
			return s.MAPE
		}
	}
	return 0
}

// WriteText prints the report: one row per sequence, one per kind, the order of the tail calls.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "core %s, measured on %s; cycles per trip\n\n", r.Core, r.Machine)
	fmt.Fprintf(&b, "%-28s %-10s %10s %10s %10s %10s %8s\n", "sequence", "kind", "predicted", "p10", "median", "p90", "error %")
	for _, x := range r.Results {
		note := ""
		if x.Hard {
			note = "  known hard"
		}
		fmt.Fprintf(&b, "%-28s %-10s %10.2f %10.2f %10.2f %10.2f %8.1f%s\n", x.Name, x.Kind, x.Predicted, x.P10, x.Median, x.P90, x.Error, note)
	}
	fmt.Fprintf(&b, "\n%-12s %4s %7s %7s %7s %9s  %s\n", "kind", "n", "MAPE %", "median", "worst", "sum", "worst sequence")
	for _, s := range r.Scores {
		fmt.Fprintf(&b, "%-12s %4d %7.1f %7.1f %7.1f %+8.1f%%  %s\n", s.Kind, s.N, s.MAPE, s.MedianError, s.Worst, s.Total, s.WorstName)
	}
	if len(r.Designs) != 0 {
		fmt.Fprintf(&b, "\ntail calls by measured cost: %d sequences, %d pairs in the wrong order\n", len(r.Designs), len(r.Swapped))
		for _, p := range r.Swapped {
			fmt.Fprintf(&b, "  %s is cheaper than %s, predicted the other way\n", p[0], p[1])
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// PipelineRow is one instruction of a pipeline view.
type PipelineRow struct {
	Stamp Stamp
	Text  string // the instruction
}

// pipelineWidth is the number of cycles that a pipeline view shows side by side.
const pipelineWidth = 60

// WritePipeline draws when each instruction was fetched (F), issued (I), executed (E), complete (C)
// and retired (R), one row each, in cycles from the first fetch: = waits in the queue, . waits for
// operands or a port, e executes, - waits for retirement. Where a row begins beyond the columns that
// are shown, the view starts anew under a line with the cycle.
func WritePipeline(w io.Writer, rows []PipelineRow) error {
	if len(rows) == 0 {
		return nil
	}
	first := rows[0].Stamp.Fetch
	for _, r := range rows {
		first = min(first, r.Stamp.Fetch)
	}
	var b strings.Builder
	base := Cycle(math.MinInt64)
	for _, r := range rows {
		s := r.Stamp
		if base == math.MinInt64 || s.Fetch < base || s.Retire >= base+pipelineWidth {
			base = s.Fetch
			fmt.Fprintf(&b, "%s cycle %d\n", strings.Repeat(" ", 30), base-first)
		}
		fmt.Fprintf(&b, "%#012x %-30.30s |%s| %3d %s\n", uint64(s.RIP), r.Text, lane(s, base), s.Cost, s.Cause)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// lane draws one row; what lies outside of the columns is left out.
func lane(s Stamp, base Cycle) string {
	row := []byte(strings.Repeat(" ", pipelineWidth))
	fill := func(from, to Cycle, c byte) {
		for t := max(from, base); t < min(to, base+pipelineWidth); t++ {
			row[t-base] = c
		}
	}
	fill(s.Fetch, s.Issue, '=')
	fill(s.Issue, s.Execute, '.')
	fill(s.Execute, s.Complete, 'e')
	fill(s.Complete, s.Retire, '-')
	fill(s.Fetch, s.Fetch+1, 'F')
	fill(s.Issue, s.Issue+1, 'I')
	fill(s.Execute, s.Execute+1, 'E')
	fill(s.Complete, s.Complete+1, 'C')
	fill(s.Retire, s.Retire+1, 'R')
	return string(row)
}
