// SPDX-License-Identifier: GPL-2.0-only

package render

import (
	"fmt"
	"io"

	"github.com/tcsim/tcsim/cmd/tcsim/table"
	"github.com/tcsim/tcsim/emu/timing/measured"
	"github.com/tcsim/tcsim/scenarios/campaign"
	"github.com/tcsim/tcsim/scenarios/verdicts"
)

// MatrixLine is a scenario on a target: a row of the matrix as a long table.
type MatrixLine struct {
	Scenario, Target string
	*campaign.Cell
}

// MatrixTable is the matrix as a long table.
func MatrixTable(m *campaign.Matrix) *table.Table[MatrixLine] {
	var rows []MatrixLine
	for i, t := range m.Targets {
		for j, s := range m.Scenarios {
			rows = append(rows, MatrixLine{s, t, &m.Cells[i][j]})
		}
	}
	return table.New(rows,
		table.Text("scenario", func(l *MatrixLine) string { return l.Scenario }),
		table.Text("target", func(l *MatrixLine) string { return l.Target }),
		table.Text("verdict", func(l *MatrixLine) string { return string(l.Verdict) }),
		table.Text("expected", func(l *MatrixLine) string { return yesNo(l.Expected) }),
		table.Number("run", func(l *MatrixLine) float64 { return float64(l.Run) }),
		table.Number("taken", func(l *MatrixLine) float64 { return float64(l.Taken) }),
		table.Aside("why", func(l *MatrixLine) string { return l.Why }))
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// FuzzTable has a row for each target of a campaign.
func FuzzTable(r *campaign.CampaignReport) *table.Table[campaign.FuzzedTarget] {
	of := func(v campaign.Verdict) func(t *campaign.FuzzedTarget) float64 {
		return func(t *campaign.FuzzedTarget) float64 { return float64(t.Verdicts[v]) }
	}
	return table.New(r.Targets,
		table.Text("target", func(t *campaign.FuzzedTarget) string { return t.Target }),
		table.Number("ok", of(campaign.VerdictOK)), table.Number("foreseen", of(campaign.VerdictForeseen)),
		table.Number("unsupported", of(campaign.VerdictUnsupported)),
		table.Number("failed", func(t *campaign.FuzzedTarget) float64 {
			n := 0
			for v, k := range t.Verdicts {
				if v != campaign.VerdictOK && v != campaign.VerdictForeseen && v != campaign.VerdictUnsupported {
					n += k
				}
			}
			return float64(n)
		}))
}

// CyclesTable has a row for each measured sequence.
func CyclesTable(r *measured.Report) *table.Table[measured.Result] {
	return table.New(r.Results,
		table.Text("name", func(x *measured.Result) string { return x.Name }),
		table.Text("kind", func(x *measured.Result) string { return x.Kind }),
		table.Number("predicted", func(x *measured.Result) float64 { return hundredths(x.Predicted) }),
		table.Number("p10", func(x *measured.Result) float64 { return hundredths(x.P10) }),
		table.Number("median", func(x *measured.Result) float64 { return hundredths(x.Median) }),
		table.Number("p90", func(x *measured.Result) float64 { return hundredths(x.P90) }),
		table.Number("error", func(x *measured.Result) float64 { return hundredths(x.Error) }))
}

// VerdictTable has a row for each program on each target; times says that it has the time that the analysis took.
func VerdictTable(rows []verdicts.Row, times bool) *table.Table[verdicts.Row] {
	type row = verdicts.Row
	columns := []table.Column[row]{
		table.Text("target", func(r *row) string { return r.Target }), table.Text("program", func(r *row) string { return r.Program }),
		table.Text("verdict", func(r *row) string { return string(r.Verdict) }),
		table.Number("insns", func(r *row) float64 { return float64(r.Insns) }),
		table.Number("states", func(r *row) float64 { return float64(r.States) }),
		table.Number("peak", func(r *row) float64 { return float64(r.PeakStates) }),
		table.Number("stack", func(r *row) float64 { return float64(r.Stack) }),
		table.Number("size", func(r *row) float64 { return float64(r.Size) }),
	}
	if times {
		columns = append(columns, table.Number("µs", func(r *row) float64 { return float64(r.Time.Microseconds()) }))
	}
	return table.New(rows, append(columns, table.Aside("reason", func(r *row) string { return r.Reason }))...)
}

// VerdictText prints the table with the reasons below it, where there is more room.
func VerdictText(w io.Writer, t *table.Table[verdicts.Row]) error {
	if err := t.Text(w); err != nil {
		return err
	}
	for i := range t.Rows {
		if r := &t.Rows[i]; r.Reason != "" {
			if _, err := fmt.Fprintf(w, "\n%s on %s: %s: %s\n", r.Program, r.Target, r.Verdict, r.Reason); err != nil {
				return err
			}
		}
	}
	return nil
}

func hundredths(v float64) float64 { return float64(int64(v*100+0.5*sign(v))) / 100 }

func sign(v float64) float64 {
	if v < 0 {
		return -1
	}
	return 1
}
