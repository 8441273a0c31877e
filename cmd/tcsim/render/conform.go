// SPDX-License-Identifier: GPL-2.0-only

package render

import (
	"fmt"

	"github.com/tcsim/tcsim/jit/capture"
)

// ConformRow is one capture in JSON.
type ConformRow struct {
	File       string                   `json:"file"`
	Target     string                   `json:"target"`
	Categories map[string]capture.Count `json:"categories"`
	Facts      capture.Count            `json:"facts"`
	All        capture.Count            `json:"all"`
	Refused    int                      `json:"refused_by_kernel"`
	NotJITed   int                      `json:"not_jited_by_kernel"`
	Tramps     capture.Count            `json:"trampolines"`
	Mismatches []string                 `json:"mismatches,omitempty"`
}

// ConformRows is what was compared, a row for each capture.
func ConformRows(reports []*capture.Report) []ConformRow {
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
