// SPDX-License-Identifier: GPL-2.0-only

package render

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tcsim/tcsim/scenarios/campaign"
)

// CoreCosts are the costs of designs on one core.
type CoreCosts struct {
	Core  string           `json:"core"`
	Costs []campaign.Costs `json:"costs"`
}

// orderMargin is how much more expensive, as a part, a design must be on each of two cores for their order to
// count as different.
const orderMargin = 0.05

// OrderDepends says where the order of designs by the cost of a tail call depends on the core.
func OrderDepends(all []CoreCosts) []string {
	var out []string
	for _, kind := range []struct {
		name string
		of   func(*campaign.Costs) *campaign.Cost
	}{
		{"direct", func(c *campaign.Costs) *campaign.Cost { return c.Direct }},
		{"indirect", func(c *campaign.Costs) *campaign.Cost { return c.Indirect }},
	} {
		for n := 1; n < len(all); n++ {
			for i := range all[0].Costs {
				for j := range all[0].Costs {
					a, b := kind.of(&all[0].Costs[i]), kind.of(&all[0].Costs[j])
					p, q := kind.of(&all[n].Costs[i]), kind.of(&all[n].Costs[j])
					if a == nil || b == nil || p == nil || q == nil || a.Cycles == 0 || q.Cycles == 0 {
						continue
					}
					if a.Cycles*(1+orderMargin) < b.Cycles && q.Cycles*(1+orderMargin) < p.Cycles {
						out = append(out, fmt.Sprintf("%s tail calls: %s is cheaper than %s on %s (%.1f and %.1f cycles), more expensive on %s (%.1f and %.1f)",
							kind.name, all[0].Costs[i].Target, all[0].Costs[j].Target, all[0].Core, a.Cycles, b.Cycles, all[n].Core, p.Cycles, q.Cycles))
					}
				}
			}
		}
	}
	return out
}

// MatrixResult is the object of tcsim matrix.
type MatrixResult struct {
	// Interrupted says that cells are missing: their verdict is unplayed.
	Interrupted bool             `json:"interrupted,omitempty"`
	Core        string           `json:"core"`
	Costs       []campaign.Costs `json:"costs"`
	// OtherCores are the costs on the other cores that were asked for.
	OtherCores []CoreCosts `json:"other_cores,omitempty"`
	// OrderDependsOnCore names pairs of designs that are cheaper on one core and more expensive on another.
	OrderDependsOnCore []string `json:"order_depends_on_core,omitempty"`
	// Rejected are files that cannot be read, and why.
	Rejected   []BadInput  `json:"rejected,omitempty"`
	Results    []MatrixRow `json:"results"`
	Scenarios  []string    `json:"scenarios"`
	Schema     Schema      `json:"schema"`
	Unexpected int         `json:"unexpected"`
}

// MatrixRow is one target in JSON.
type MatrixRow struct {
	Target string                   `json:"target"`
	Cells  map[string]campaign.Cell `json:"cells"` // by scenario
}

func MatrixRows(m *campaign.Matrix) []MatrixRow {
	var out []MatrixRow
	for i, t := range m.Targets {
		row := MatrixRow{t, map[string]campaign.Cell{}}
		for j, s := range m.Scenarios {
			row.Cells[s] = m.Cells[i][j]
		}
		out = append(out, row)
	}
	return out
}

// verdictCodes are what fits into a column.
var verdictCodes = []struct {
	verdict campaign.Verdict
	code    string
	means   string
}{
	{campaign.VerdictOK, ".", "no invariant breaks"},
	{campaign.VerdictUnsupported, "-", "not possible in this design"},
	{"limit", "lim", "limit"},
	{"balance", "bal", "balance"},
	{"callee-saved", "reg", "callee-saved"},
	{"frame", "frm", "frame"},
	{"stack-budget", "stk", "stack-budget"},
	{"pokes", "pok", "pokes"},
	{"semantics", "sem", "semantics"},
	{"fault", "flt", "fault"},
	{"backtrace", "btr", "backtrace"},
	{"below-rsp", "low", "below-rsp"},
	{"helper-clobber", "clb", "helper-clobber"},
	{campaign.VerdictBudget, "end", "ended: it executed too much"},
	{campaign.VerdictError, "ERR", "failure of tcsim"},
	{campaign.VerdictUnplayed, "?", "not played: interrupted before"},
}

func verdictCode(c *campaign.Cell) string {
	code := string(c.Verdict)
	for _, v := range verdictCodes {
		if v.verdict == c.Verdict {
			code = v.code
		}
	}
	if !c.Expected {
		code += "!"
	}
	return code
}

// columns is how many scenarios stand side by side.
const columns = 15

// MatrixText prints targets in rows and scenarios, by number, in columns.
func MatrixText(m *campaign.Matrix) string {
	var b strings.Builder
	for from := 0; from < len(m.Scenarios); from += columns {
		to := min(from+columns, len(m.Scenarios))
		head := []string{"target"}
		for n := from; n < to; n++ {
			head = append(head, fmt.Sprintf("%3d", n+1))
		}
		t := NewTable(head...)
		t.Gap = 1
		for i, name := range m.Targets {
			row := []string{name}
			for n := from; n < to; n++ {
				row = append(row, fmt.Sprintf("%3s", strings.TrimSuffix(verdictCode(&m.Cells[i][n]), "!")))
				if !m.Cells[i][n].Expected {
					row[len(row)-1] += "!"
				}
			}
			t.Add(row...)
		}
		b.WriteString(t.String())
		b.WriteString("\n")
		b.WriteString(scenarioLegend(m.Scenarios[from:to], from))
		b.WriteString("\n")
	}
	b.WriteString(verdictLegend(m))
	b.WriteString(matrixNotes(m))
	return b.String()
}

func scenarioLegend(names []string, from int) string {
	var words []string
	for i, n := range names {
		words = append(words, fmt.Sprintf("%d %s", from+i+1, n))
	}
	return legend(words)
}

// legend joins entries and folds between them only.
func legend(entries []string) string {
	const glue = "\x00" // in place of blanks inside an entry
	for i := range entries {
		entries[i] = strings.ReplaceAll(entries[i], " ", glue)
	}
	return strings.ReplaceAll(strings.Join(Fold(strings.Join(entries, "; "), Width), "\n"), glue, " ") + "\n"
}

// verdictLegend explains the codes that occur.
func verdictLegend(m *campaign.Matrix) string {
	var words []string
	for _, v := range verdictCodes {
		for _, row := range m.Cells {
			if slices.ContainsFunc(row, func(c campaign.Cell) bool { return c.Verdict == v.verdict }) {
				words = append(words, v.code+" "+v.means)
				break
			}
		}
	}
	if m.Unexpected() != 0 {
		words = append(words, "! not what the scenario's file expects")
	}
	return legend(words)
}

// matrixNotes explains the cells that are not as expected.
func matrixNotes(m *campaign.Matrix) string {
	var b strings.Builder
	for i, t := range m.Targets {
		for j, s := range m.Scenarios {
			c := &m.Cells[i][j]
			if c.Expected {
				continue
			}
			fmt.Fprintf(&b, "\n%s on %s:\n", s, t)
			for _, text := range append([]string{c.Why}, c.Mismatches...) {
				if text == "" {
					continue
				}
				for _, line := range Fold(text, Width-4) {
					fmt.Fprintf(&b, "    %s\n", line)
				}
			}
		}
	}
	return b.String()
}
