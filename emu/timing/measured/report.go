// SPDX-License-Identifier: GPL-2.0-only

package measured

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/tcsim/tcsim/emu/record"
	"github.com/tcsim/tcsim/emu/timing"
)

// Report is the judgement of a core's model over measured sequences; its JSON form carries the same
// values as the text.
type Report struct {
	Schema string `json:"schema"` // "tcsim.cycles/v1"
	// Interrupted says that the results are those of some sequences only.
	Interrupted bool `json:"interrupted,omitempty"`

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
func NewReport(core *timing.Core, m *File, rs []Result) *Report {
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

// Evaluate predicts every sequence from the stream that record returns for it and judges the core.
// record runs the sequence: code at its At with a return address on the stack, registers Regs
// with r12 set to RecordTrips, memory Mem. The error lists every sequence that failed.
func Evaluate(core *timing.Core, m *File, record func(*Sequence) ([]record.Retired, error)) (*Report, error) {
	var rs []Result
	var errs []error
	for n := range m.Sequences {
		s := &m.Sequences[n]
		stream, err := record(s)
		if err != nil {
			errs = append(errs, fmt.Errorf("sequence %s: %w", s.Name, err))
			continue
		}
		p, err := s.Predict(core, stream)
		if err != nil {
			errs = append(errs, fmt.Errorf("sequence %s: %w", s.Name, err))
			continue
		}
		rs = append(rs, s.Judge(p))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return NewReport(core, m, rs), nil
}

// DropParts takes the scores out that divide sequences into those that parameters may be fitted to and others:
// for sequences that no parameter was fitted to.
func (r *Report) DropParts() {
	r.Scores = slices.DeleteFunc(r.Scores, func(s Score) bool { return s.Kind == kindFitted || s.Kind == kindHeldOut })
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
		if x.States > 1 {
			note = fmt.Sprintf("  %d states", x.States)
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
