// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/cmd/tcsim/render"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/splat"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/locate"
	"github.com/tcsim/tcsim/scenarios/measure"
)

func (e env) splatCommand() *cli.Command {
	return &cli.Command{
		Name:      "splat",
		Usage:     "read a kernel's oops, lockup or stall as people mail it",
		ArgsUsage: "FILE.log|- [SCENARIO]",
		Description: "Decodes the code around RIP, names the tail-call design and the step of the tail call, finds\n" +
			"tail_call_cnt, draws the stack as far as addresses tell, and says which tail call of how many it\n" +
			"was. With a scenario, finds the moment in its run, and how long that takes. docs/splat.md explains it.\n\n" +
			"Examples:\n   tcsim splat fixtures/splats/hierarchy-2023.log\n" +
			"   tcsim splat fixtures/splats/hierarchy-2023.log fixtures/seeds/splat.yaml --target 6.1-nosls\n" +
			"   tcsim splat fixtures/splats/hierarchy-2023.log --pace hierarchy\n\n" + exitCodesInHelp,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "target", Aliases: []string{"t"}, Usage: "kernel or design to compile for; else the first whose code it is"},
			&cli.StringFlag{Name: "pace", Usage: "scenario whose tail calls cost what those of the log did, for seconds"},
			limitFlag(), runFlag(), coreFlag(),
			&cli.FloatFlag{Name: "ghz", Value: render.DefaultGHz, Usage: "frequency of the CPU, for seconds"},
			jsonFlag(),
		},
		Action: e.splat,
	}
}

func (e env) splat(ctx context.Context, cmd *cli.Command) error {
	if cmd.NArg() < 1 || cmd.NArg() > 2 {
		return badUsage("splat takes a log, or a log and a scenario, found %s (see tcsim splat --help)", render.Plural(cmd.NArg(), "argument"))
	}
	if cmd.Float("ghz") <= 0 {
		return badUsage("--ghz: expected a frequency above 0, found %v", cmd.Float("ghz"))
	}
	name := cmd.Args().First()
	text, err := e.readInput(name)
	if err != nil {
		return badInput(err)
	}
	log, err := splat.Read(string(text))
	if err != nil {
		return badInput(fmt.Errorf("%s: %w", name, err))
	}
	out := render.Splat{Notes: log.Notes, Schema: render.SchemaSplat}
	var missed error
	for i := range log.Reports {
		a := splat.Analyse(&log.Reports[i])
		row := render.SplatReport{Facts: a.Facts()}
		if cmd.NArg() == 2 && a.Ctx != nil {
			found, err := e.locate(ctx, cmd, a)
			switch {
			case errors.Is(err, locate.ErrElsewhere):
				missed, row.Elsewhere = errFailed, err.Error()
			case err != nil:
				return err
			default:
				row.Located = found
			}
		}
		if cmd.String("pace") != "" && a.Position != nil {
			if row.Pace, err = e.pace(ctx, cmd, a); err != nil {
				return countError(err)
			}
		}
		out.Reports = append(out.Reports, row)
	}
	if cmd.Bool("json") {
		err = render.JSON(e.stdout, out)
	} else {
		err = render.SplatText(e.stdout, &out)
	}
	return errors.Join(err, missed)
}

// locate finds the moment of a report in the scenario of the command line.
func (e env) locate(ctx context.Context, cmd *cli.Command, a *splat.Analysis) (*locate.Found, error) {
	b, ts, err := e.splatScenario(cmd, cmd.Args().Get(1), a)
	if err != nil {
		return nil, err
	}
	return searched(locate.Search(ctx, b, ts, cmd.Int("run"), a, measure.CountOptions{Core: cmd.String("core")}, cmd.Float("ghz")))
}

// pace applies the pace of the scenario that --pace names to the position in a report.
func (e env) pace(ctx context.Context, cmd *cli.Command, a *splat.Analysis) (*locate.Pace, error) {
	b, ts, err := e.splatScenario(cmd, cmd.String("pace"), a)
	if err != nil {
		return nil, err
	}
	return locate.PaceOf(ctx, b, ts[0], cmd.Int("run"), a.Position, measure.CountOptions{Core: cmd.String("core")}, cmd.Float("ghz"))
}

// splatScenario loads a scenario, and the targets that a report can be of.
func (e env) splatScenario(cmd *cli.Command, name string, a *splat.Analysis) (*scenarios.Built, []*jit.Target, error) {
	if _, err := coreOf(cmd); err != nil {
		return nil, nil, err
	}
	bs, err := e.loadScenarios([]string{name})
	if err != nil {
		return nil, nil, err
	}
	names := slices.Concat(a.Targets, a.Proposals)
	if t := cmd.String("target"); t != "" {
		names = []string{t}
	}
	if len(names) == 0 {
		return nil, nil, badUsage("the code shows none of the listed targets: give one with --target")
	}
	ts, err := e.targets(names, cmd.Uint32("limit"))
	return bs[0], ts, err
}

// searched tells a wrong question from a report that is of something else.
func searched(f *locate.Found, err error) (*locate.Found, error) {
	if err == nil || errors.Is(err, locate.ErrElsewhere) {
		return f, err
	}
	var mistakes scenarios.Errors
	if errors.As(err, &mistakes) {
		return nil, badInput(err)
	}
	return nil, countError(err)
}
