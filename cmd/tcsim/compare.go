// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/cmd/tcsim/compare"
	"github.com/tcsim/tcsim/cmd/tcsim/play"
	"github.com/tcsim/tcsim/cmd/tcsim/render"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/scenarios/object"
	"github.com/tcsim/tcsim/scenarios/runner"
)

func (e env) compareCommand() *cli.Command {
	return &cli.Command{
		Name:      "compare",
		Usage:     "say what differs between two results, two captures or two targets",
		ArgsUsage: "A B [SCENARIO...]",
		Description: "A and B are files that --json wrote, two captures, or, with scenarios, two targets. Prints what differs,\n" +
			"verdicts first, then numbers by how much they changed: counts, bytes, cycles. Of two files with one target each,\n" +
			"rows are compared across targets. Exit code 1 if anything is left after --filter and --tolerance, so that CI can\n" +
			"hold a result against a baseline.\n\n" +
			"Examples:\n   tcsim compare 6.1 6.12 hierarchy chain33\n" +
			"   tcsim compare fixtures/kernels/6.1-off.jsonl.gz fixtures/kernels/6.12-off.jsonl.gz --filter what=bytes\n\n" + exitCodesInHelp,
		Flags: append(tableFlags(), coreFlag(), jsonFlag(),
			&cli.FloatFlag{Name: "tolerance", Usage: "leave out numbers that changed by no more percent than this"}),
		Action: e.compare,
	}
}

func (e env) compare(ctx context.Context, cmd *cli.Command) error {
	if cmd.NArg() < 2 {
		return badUsage("compare takes two results, two captures, or two targets and scenarios, found %s (see tcsim compare --help)", render.Plural(cmd.NArg(), "argument"))
	}
	r := compare.Result{A: cmd.Args().First(), B: cmd.Args().Get(1), Schema: render.SchemaCompare}
	var err error
	switch {
	case cmd.NArg() > 2:
		r.Differences, err = e.compareTargets(ctx, cmd)
	case capture.IsFile(r.A) && capture.IsFile(r.B):
		r.Differences, r.Only, err = compareCaptures(r.A, r.B)
	default:
		r.Differences, r.Targets, err = compare.Files(r.A, r.B)
		err = badInput(err)
	}
	if r.Interrupted = cutShort(ctx, err); err != nil && !r.Interrupted {
		return err
	}
	r.Differences = slices.DeleteFunc(r.Differences, func(d compare.Difference) bool {
		return !d.Text && math.Abs(d.Part) <= cmd.Float("tolerance")
	})
	t := compare.Table(r.Differences)
	if err := t.Choose(tableChoice(cmd)); err != nil {
		return badInput(err)
	}
	switch r.Differences = t.Rows; {
	case cmd.Bool("json"):
		err = render.JSON(e.stdout, r)
	case cmd.Bool("csv"):
		err = t.CSV(e.stdout)
	case !r.Interrupted || len(t.Rows) > 0: // else nothing is known
		err = r.Write(e.stdout)
	}
	if err == nil && len(r.Differences) > 0 {
		err = errFailed
	}
	return orInterrupted(r.Interrupted, err)
}

func compareCaptures(a, b string) ([]compare.Difference, []string, error) {
	x, errA := capture.Load(a)
	y, errB := capture.Load(b)
	if err := errors.Join(errA, errB); err != nil {
		return nil, nil, badInput(err)
	}
	return compare.Captures(x, y)
}

// compareTargets plays scenarios on two targets. If the context ends, its error comes with the differences of those that were
// played on both.
func (e env) compareTargets(ctx context.Context, cmd *cli.Command) ([]compare.Difference, error) {
	ts, wrongTarget := e.targets(cmd.Args().Slice()[:2], 0)
	bs, wrongScenario := e.loadWith(cmd.Args().Slice()[2:], object.Options{})
	core, wrongCore := coreOf(cmd)
	if err := errors.Join(wrongTarget, wrongScenario, wrongCore); err != nil {
		return nil, err
	}
	bar := e.progress("compare")
	rows, err := play.All(ctx, bs, ts, play.Options{Core: core, Allow: true, Progress: bar.Set})
	bar.Done()
	if err != nil && !cutShort(ctx, err) {
		return nil, err
	}
	var sides [2]compare.Side
	for _, b := range bs {
		var of []render.RunRow // rows are in the order of bs and ts
		for _, t := range ts {
			if len(rows) > 0 && rows[0].Scenario == b.Scenario.Name && rows[0].Target == t.Name {
				of, rows = append(of, rows[0]), rows[1:]
			}
		}
		if len(of) < len(ts) {
			continue
		}
		for i, t := range ts {
			sides[i].Results = append(sides[i].Results, of[i])
			if c, err := runner.Compile(b, t); err == nil {
				sides[i].Add(c)
			} // else its row says why
		}
	}
	differences, wrong := compare.Sides(&sides[0], &sides[1])
	return differences, cmp.Or(wrong, err)
}
