// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/cmd/tcsim/ci"
	"github.com/tcsim/tcsim/cmd/tcsim/inputs"
	"github.com/tcsim/tcsim/cmd/tcsim/render"
	"github.com/tcsim/tcsim/cmd/tcsim/units"
	"github.com/tcsim/tcsim/emu/timing"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/campaign"
	"github.com/tcsim/tcsim/scenarios/files"
	"github.com/tcsim/tcsim/scenarios/object"
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
		Flags: append(append(ciFlags(), tableFlags()...), []cli.Flag{
			&cli.StringSliceFlag{Name: "scenario", Aliases: []string{"s"}, Usage: "built-in scenarios or files, separated by commas (default: all built-in ones)"},
			&cli.StringSliceFlag{
				Name: "target", Aliases: []string{"t"},
				Usage: "kernels or designs, separated by commas; \"all\" means every variant too (default: one per kernel and design)",
			},
			&cli.BoolFlag{Name: "kernels", Usage: "print instead in which mainline releases from 4.4 on each verdict changes, and what changed it"},
			coresFlag(),
			&cli.IntFlag{Name: "workers", Value: 2, Usage: "emulators that run in parallel"},
			units.ShardFlag("cells and costs"), limitFlag(), jsonFlag(), colorFlag(),
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
		names = files.Builtin()
	}
	names, err := inputs.ExpandAll(names, inputs.ScenarioFiles)
	wrongName := badInput(err)
	if slices.Contains(names, inputs.Standard) {
		return badUsage("--scenario: matrix reads scenarios in several processes, and standard input only once: give a file")
	}
	tn := cmd.StringSlice("target")
	if len(tn) == 0 {
		tn = campaign.MatrixTargets()
	}
	form, wrongForm := ciForm(cmd)
	long, wrongTable := wantsTable(cmd)
	wrongForm = errors.Join(wrongForm, wrongTable, badInput(render.MatrixTable(&campaign.Matrix{}).Choose(tableChoice(cmd))))
	bs, names, wrongScenario := e.loadGood(names, object.Options{})
	if cmd.Bool("kernels") {
		return e.matrixKernels(ctx, cmd, bs, errors.Join(wrongForm, wrongName, wrongScenario))
	}
	ts, wrongTarget := e.targets(tn, cmd.Uint32("limit"))
	cores, wrongCore := coresOf(cmd)
	look, wrongLook := e.look(cmd)
	err = errors.Join(wrongForm, wrongName, wrongTarget, wrongCore, wrongLook)
	if err != nil || len(bs) == 0 && form == nil || cmd.String("shard") != "" && wrongScenario != nil { // parts are of all or of none
		return errors.Join(err, wrongScenario)
	}
	refused := render.BadInputs(wrongScenario) // the good ones are played all the same
	opt := campaign.MatrixOptions{Workers: cmd.Int("workers")}
	if e.self != "" {
		opt.Start, opt.Setup = e.launch(), matrixSetup{names, tn, cmd.Uint32("limit"), cmd.String("core")}
	}
	priced := cores
	if form != nil || long {
		priced = nil // costs are no test
	}
	if opt.Work, err = units.Begin(cmd, e.args, names, e.sum); err != nil {
		return err
	}
	m, costs, err := e.playMatrix(ctx, opt, bs, ts, priced)
	if opt.Work.Part() {
		return e.printPart(ctx, opt.Work, err)
	}
	err = cmp.Or(err, badInput(opt.Work.Err()))
	interrupted := cutShort(ctx, err)
	if err != nil && !interrupted {
		return err
	}
	if interrupted && len(costs) == 0 {
		costs = []render.CoreCosts{{Core: cores[0].Name}}
	}
	switch {
	case long:
		err = printTable(e, cmd, render.MatrixTable(m))
	case form != nil:
		err = form(e.stdout, "matrix", append(ci.MatrixTests(m), ci.RunTests(refused)...))
	case cmd.Bool("json"):
		err = render.JSON(e.stdout, render.MatrixResult{
			Scenarios: m.Scenarios, Results: render.MatrixRows(m), Core: cores[0].Name, Costs: costs[0].Costs, Unexpected: m.Unexpected(),
			Rejected: render.Rejected(refused), Schema: render.SchemaMatrix, Interrupted: interrupted, OtherCores: costs[1:], OrderDependsOnCore: render.OrderDepends(costs),
		})
	case interrupted:
		_, err = fmt.Fprint(e.stdout, render.MatrixText(m))
	default:
		_, err = fmt.Fprint(e.drawn(look), look.Cells(render.MatrixText(m)), "\n", render.Plain(render.CostSheet(costs, cores)))
	}
	if err == nil {
		err = e.annotate(cmd, "matrix", func() []ci.Test { return append(ci.MatrixTests(m), ci.RunTests(refused)...) })
	}
	err = cmp.Or(err, wrongScenario)
	if err == nil && (m.Unexpected() != 0 || jitFails(costs)) {
		err = errFailed
	}
	if interrupted && (err == nil || errors.Is(err, errFailed)) {
		err = errInterrupted
	}
	return err
}

// matrixKernels prints the releases in which verdicts change.
func (e env) matrixKernels(ctx context.Context, cmd *cli.Command, bs []*scenarios.Built, wrong error) error {
	if wrong != nil {
		return wrong
	}
	for _, f := range []string{"target", "core", "limit", "tap", "junit", "sort", "filter", "csv", "shard"} {
		if cmd.IsSet(f) {
			return badUsage("--kernels plays all mainline releases: expected no --%s with it", f)
		}
	}
	bar := e.progress("matrix")
	h, err := campaign.PlayHistory(ctx, bs, campaign.MatrixOptions{Workers: cmd.Int("workers"), Progress: bar.Set})
	bar.Done()
	interrupted := cutShort(ctx, err)
	if err != nil && !interrupted {
		return err
	}
	rows := render.HistoryRows(h)
	if cmd.Bool("json") {
		err = render.JSON(e.stdout, render.History{Scenarios: rows, Schema: render.SchemaHistory, Interrupted: interrupted})
		return cmp.Or(err, orInterrupted(interrupted, nil))
	}
	render.HistoryText(e.stdout, rows)
	return orInterrupted(interrupted, nil)
}

// jitFails reports whether the JIT of a target failed on a program of the cost sheet.
func jitFails(costs []render.CoreCosts) bool {
	return slices.ContainsFunc(costs, func(c render.CoreCosts) bool {
		return slices.ContainsFunc(c.Costs, func(t campaign.Costs) bool { return t.JITFails })
	})
}

// playMatrix does the work under one progress bar. Without a core there are no costs.
func (e env) playMatrix(ctx context.Context, opt campaign.MatrixOptions, bs []*scenarios.Built, ts []*jit.Target, cores []*timing.Core) (*campaign.Matrix, []render.CoreCosts, error) {
	bar := e.progress("matrix")
	defer bar.Done()
	cells, total := len(bs)*len(ts), len(bs)*len(ts)+len(ts)*len(cores)
	opt.Progress = func(done, _ int) { bar.Set(done, total) }
	m, err := campaign.PlayMatrix(ctx, bs, ts, opt)
	var all []render.CoreCosts
	setup, _ := opt.Setup.(matrixSetup)
	names := strings.Split(setup.Core, ",")
	for n, core := range cores {
		if err != nil {
			break
		}
		opt.Progress = func(done, _ int) { bar.Set(cells+n*len(ts)+done, total) }
		if opt.Setup != nil {
			setup.Core = names[n]
			opt.Setup = setup
		}
		var costs []campaign.Costs
		costs, err = campaign.MeasureCosts(ctx, ts, core, opt)
		all = append(all, render.CoreCosts{Core: core.Name, Costs: costs})
	}
	return m, all, err
}
