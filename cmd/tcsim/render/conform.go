// SPDX-License-Identifier: GPL-2.0-only

package render

import (
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"

	"github.com/tcsim/tcsim/jit/conform"
)

// ConformRow is one capture in JSON.
type ConformRow struct {
	File       string                   `json:"file"`
	Target     string                   `json:"target"`
	Categories map[string]conform.Count `json:"categories"`
	Facts      conform.Count            `json:"facts"`
	All        conform.Count            `json:"all"`
	Refused    int                      `json:"refused_by_kernel"`
	NotJITed   int                      `json:"not_jited_by_kernel"`
	Tramps     conform.Count            `json:"trampolines"`
	Mismatches []string                 `json:"mismatches,omitempty"`
	Bad        []string                 `json:"bad,omitempty"` // why nothing was compared
}

// ConformRows is what was compared, a row for each capture.
func ConformRows(reports []*conform.Report) []ConformRow {
	var rows []ConformRow
	for _, r := range reports {
		row := ConformRow{
			File: r.File, Target: r.Target.Name, Categories: r.Images, Facts: r.Facts, All: r.Total(),
			Refused: r.Refused, NotJITed: r.NotJITed, Tramps: r.Trampolines,
		}
		for _, m := range r.Mismatches {
			row.Mismatches = append(row.Mismatches, fmt.Sprintf("%s: program %d, function %d, %v: %s",
				m.Scenario, m.Prog, m.Func, m.State, m.Reason))
		}
		rows = append(rows, row)
	}
	return rows
}

// ConformText prints the totals of each capture, and the listings of what differs.
func ConformText(w io.Writer, reports []*conform.Report) {
	t := NewTable("capture", "target", "category", "identical/total")
	t.Right(3)
	var all conform.Count
	refused, gaveUp := 0, 0
	var tramps conform.Count
	for _, r := range reports {
		for _, c := range slices.Sorted(maps.Keys(r.Images)) {
			t.Add(filepath.Base(r.File), r.Target.Name, c, r.Images[c].String())
		}
		t.Add(filepath.Base(r.File), r.Target.Name, "facts", r.Facts.String())
		if r.Trampolines.Total > 0 {
			t.Add(filepath.Base(r.File), r.Target.Name, "trampolines", r.Trampolines.String())
		}
		n := r.Total()
		t.Add(filepath.Base(r.File), r.Target.Name, "all", n.String())
		all.Same += n.Same
		all.Total += n.Total
		refused += r.Refused
		gaveUp += r.NotJITed
		tramps.Same += r.Trampolines.Same
		tramps.Total += r.Trampolines.Total
	}
	fmt.Fprint(w, t)
	for _, r := range reports {
		for _, m := range r.Mismatches {
			fmt.Fprintf(w, "\n%s:%d: %s: program %d, function %d, %v: %s\n%s",
				r.File, m.Line, m.Scenario, m.Prog, m.Func, m.State, m.Reason, m.Listing)
		}
	}
	fmt.Fprintf(w, "apart: %s that the kernel refused, %d it did not JIT\n", Plural(refused, "program"), gaveUp)
	if tramps.Total > 0 {
		fmt.Fprintf(w, "trampolines: %v\n", tramps)
	}
	fmt.Fprintf(w, "identical: %v\n", all)
}
