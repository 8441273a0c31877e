// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/cmd/tcsim/render"
	"github.com/tcsim/tcsim/emu/timing"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/campaign"
)

func (e env) matrixCommand() *cli.Command {
	return &cli.Command{
		Name:  "matrix",
		Usage: "play every scenario on every design, and show what each design costs",
		Description: "Plays every built-in scenario on every kernel and design and prints one table: a point where\n" +
			"no invariant breaks, else the first one that does. A ! marks what differs from what the\n" +
			"scenario's file expects. A second table has the costs of each design, measured on small\n" +
			"programs.\n\n" +
			"Examples:\n   tcsim matrix\n   tcsim matrix --scenario hierarchy,bpf2bpf_6 --target all --json\n" +
			"   tcsim matrix --target 6.12,7.2 --tap\n\n" + exitCodesInHelp,
		Flags: append(ciFlags(), []cli.Flag{
			&cli.StringSliceFlag{Name: "scenario", Aliases: []string{"s"}, Usage: "built-in scenarios or files, separated by commas (default: all built-in ones)"},
			&cli.StringSliceFlag{
				Name: "target", Aliases: []string{"t"},
				Usage: "kernels or designs, separated by commas; \"all\" means every variant too (default: one per kernel and design)",
			},
			coresFlag(),
			&cli.IntFlag{Name: "workers", Value: 2, Usage: "emulators that run in parallel"},
			limitFlag(), jsonFlag(),
		}...),
		Action: e.matrix,
	}
}

func (e env) matrix(ctx context.Context, cmd *cli.Command) error {
	if cmd.NArg() != 0 {
		return badUsage("matrix takes no arguments, found %q (see tcsim matrix --help)", cmd.Args().First())
	}
	names := cmd.StringSlice("scenario")
	if len(names) == 0 {
		names = scenarios.Builtin()
	}
	tn := cmd.StringSlice("target")
	if len(tn) == 0 {
		tn = matrixTargets()
	}
	form, wrongForm := ciForm(cmd)
	bs, wrongScenario := loadScenarios(names)
	ts, wrongTarget := e.targets(tn, cmd.Uint32("limit"))
	cores, wrongCore := coresOf(cmd)
	if err := errors.Join(wrongForm, wrongScenario, wrongTarget, wrongCore); err != nil {
		return err
	}
	opt := campaign.MatrixOptions{Workers: cmd.Int("workers")}
	if e.self != "" {
		opt.Start, opt.Setup = e.launch(), matrixSetup{names, tn, cmd.Uint32("limit"), cmd.String("core")}
	}
	priced := cores
	if form != nil {
		priced = nil // costs are no test
	}
	m, costs, err := e.playMatrix(ctx, opt, bs, ts, priced)
	if err != nil {
		return err
	}
	switch {
	case form != nil:
		err = form(e.stdout, "matrix", render.MatrixTests(m))
	case cmd.Bool("json"):
		err = render.JSON(e.stdout, matrixResult{
			Scenarios: m.Scenarios, Results: matrixJSON(m), Core: cores[0].Name, Costs: costs[0].Costs, Unexpected: m.Unexpected(),
			Schema: render.SchemaMatrix, OtherCores: costs[1:], OrderDependsOnCore: orderDepends(costs),
		})
	default:
		_, err = fmt.Fprint(e.stdout, matrixText(m), "\n", costText(costs, cores))
	}
	if err == nil && (m.Unexpected() != 0 || jitFails(costs)) {
		err = errFailed
	}
	return err
}

// jitFails reports whether the JIT of a target failed on a program of the cost sheet.
func jitFails(costs []coreCosts) bool {
	return slices.ContainsFunc(costs, func(c coreCosts) bool {
		return slices.ContainsFunc(c.Costs, func(t campaign.Costs) bool { return t.JITFails })
	})
}

// matrixTargets returns one target for each kernel and design, and the kernels with a bug of their
// own: variants of mitigations behave alike.
func matrixTargets() []string {
	out := jit.KernelNames()
	for _, n := range jit.TargetNames() {
		t, err := jit.TargetByName(n)
		if err != nil {
			panic("BUG: " + err.Error()) // it is listed
		}
		if kernel := t.Version != (kernels.Version{}) && t.Name == t.Base; t.Unmitigated() && !kernel {
			out = append(out, n)
		}
	}
	return out
}

// coreCosts are the costs of designs on one core.
type coreCosts struct {
	Core  string           `json:"core"`
	Costs []campaign.Costs `json:"costs"`
}

// playMatrix does the work under one progress bar. Without a core there are no costs.
func (e env) playMatrix(ctx context.Context, opt campaign.MatrixOptions, bs []*scenarios.Built, ts []*jit.Target, cores []*timing.Core) (*campaign.Matrix, []coreCosts, error) {
	bar := e.progress("matrix")
	defer bar.done()
	cells, total := len(bs)*len(ts), len(bs)*len(ts)+len(ts)*len(cores)
	opt.Progress = func(done, _ int) { bar.set(done, total) }
	m, err := campaign.PlayMatrix(ctx, bs, ts, opt)
	var all []coreCosts
	setup, _ := opt.Setup.(matrixSetup)
	names := strings.Split(setup.Core, ",")
	for n, core := range cores {
		if err != nil {
			break
		}
		opt.Progress = func(done, _ int) { bar.set(cells+n*len(ts)+done, total) }
		if opt.Setup != nil {
			setup.Core = names[n]
			opt.Setup = setup
		}
		var costs []campaign.Costs
		costs, err = campaign.MeasureCosts(ctx, ts, core, opt)
		all = append(all, coreCosts{core.Name, costs})
	}
	return m, all, err
}

// orderMargin is how much dearer, as a part, a design must be on each of two cores for their order to
// count as different.
const orderMargin = 0.05

// orderDepends says where the order of designs by the cost of a tail call depends on the core.
func orderDepends(all []coreCosts) []string {
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
						out = append(out, fmt.Sprintf("%s tail calls: %s is cheaper than %s on %s (%.1f and %.1f cycles), dearer on %s (%.1f and %.1f)",
							kind.name, all[0].Costs[i].Target, all[0].Costs[j].Target, all[0].Core, a.Cycles, b.Cycles, all[n].Core, p.Cycles, q.Cycles))
					}
				}
			}
		}
	}
	return out
}

// matrixResult is the object of tcsim matrix.
type matrixResult struct {
	Core  string           `json:"core"`
	Costs []campaign.Costs `json:"costs"`
	// OtherCores are the costs on the other cores that were asked for.
	OtherCores []coreCosts `json:"other_cores,omitempty"`
	// OrderDependsOnCore names the designs of which one is cheaper on one core and dearer on another.
	OrderDependsOnCore []string      `json:"order_depends_on_core,omitempty"`
	Results            []matrixRow   `json:"results"`
	Scenarios          []string      `json:"scenarios"`
	Schema             render.Schema `json:"schema"`
	Unexpected         int           `json:"unexpected"`
}

// matrixRow is one target in JSON.
type matrixRow struct {
	Target string                   `json:"target"`
	Cells  map[string]campaign.Cell `json:"cells"` // by scenario
}

func matrixJSON(m *campaign.Matrix) []matrixRow {
	var out []matrixRow
	for i, t := range m.Targets {
		row := matrixRow{t, map[string]campaign.Cell{}}
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

// matrixText prints targets in rows and scenarios, by number, in columns.
func matrixText(m *campaign.Matrix) string {
	var b strings.Builder
	for from := 0; from < len(m.Scenarios); from += columns {
		to := min(from+columns, len(m.Scenarios))
		head := []string{"target"}
		for n := from; n < to; n++ {
			head = append(head, fmt.Sprintf("%3d", n+1))
		}
		t := render.NewTable(head...)
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
	return strings.ReplaceAll(strings.Join(render.Fold(strings.Join(entries, "; "), render.Width), "\n"), glue, " ") + "\n"
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
				for _, line := range render.Fold(text, render.Width-4) {
					fmt.Fprintf(&b, "    %s\n", line)
				}
			}
		}
	}
	return b.String()
}

// costText prints the cost sheet: sizes, then cycles on each core.
func costText(all []coreCosts, cores []*timing.Core) string {
	t := render.NewTable("bytes/instructions", "no tail call", "main", "subprogram", "call", "direct", "indirect")
	t.Right(1, 2, 3, 4, 5, 6)
	for _, c := range all[0].Costs {
		t.Add(c.Target, sizes(c.Plain), sizes(c.Main), sizes(c.Sub), sizes(c.Call), sizes(c.Direct), sizes(c.Indirect))
	}
	text := t.String()
	var titles, notes []string
	for n, core := range all {
		head := "cycles"
		if len(all) > 1 {
			head = "cycles on " + core.Core
		}
		u := render.NewTable(head, "no tail call", "main", "call+sub", "direct", "indirect", "tail calls wait for")
		u.Right(1, 2, 3, 4, 5)
		for _, c := range core.Costs {
			u.Add(c.Target, cycles(c.Plain), cycles(c.Main), cycles(c.Call), cycles(c.Direct), cycles(c.Indirect),
				mostly(c.Direct, c.Indirect))
			for _, n := range c.Notes {
				notes = append(notes, c.Target+": "+n)
			}
		}
		text += "\n" + u.String()
		titles = append(titles, cores[n].Title)
	}
	text += "\n" + strings.Join(render.Fold(
		"Code bytes and executed instructions of a function that returns 0: without tail calls, with one in it that is "+
			"not reached, as a subprogram; of one call; of one tail call that is taken, up to the callee's first "+
			"instruction. Cycles on "+strings.Join(titles, ", ")+" in a warm loop: of an invocation; of a call with its "+
			"subprogram, which tests a word; of a tail call with the loads of map and key, and what most of "+
			"them are due to.", render.Width), "\n") + "\n"
	if order := orderDepends(all); len(all) > 1 && len(order) == 0 {
		text += "No two designs are in different orders on these cores.\n"
	} else if len(order) > 0 {
		text += "The order of designs depends on the core:\n"
		for _, o := range order {
			text += strings.Join(render.Fold("- "+o, render.Width), "\n") + "\n"
		}
	}
	for _, n := range notes {
		text += strings.Join(render.Fold(n, render.Width), "\n") + "\n"
	}
	return text
}

func sizes(c *campaign.Cost) string {
	if c == nil {
		return "-"
	}
	return fmt.Sprintf("%d/%d", c.Bytes, c.Insns)
}

// mostly names what most cycles of a tail call are due to, of the first that is known.
func mostly(costs ...*campaign.Cost) string {
	for _, c := range costs {
		if c != nil && c.Cause != "" {
			return fmt.Sprintf("%s %.1f", c.Cause, c.CauseCycles)
		}
	}
	return "-"
}

func cycles(c *campaign.Cost) string {
	if c == nil || c.Cycles == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f", c.Cycles)
}
