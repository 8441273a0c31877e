// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"context"
	"errors"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/cmd/tcsim/report"
	"github.com/tcsim/tcsim/scenarios/interleave"
)

func (e env) reportCommand() *cli.Command {
	return &cli.Command{
		Name:      "report",
		Usage:     "write one HTML page of scenarios on targets, to look at in a browser",
		ArgsUsage: "SCENARIO|FILE.o...",
		Description: "The page has a time line of each run with the stack, the code, the registers and the calls at each\n" +
			"event, two targets beside each other, and tables of verdicts, code and cycles. It opens from disk\n" +
			"and loads nothing. --explore adds the interleavings of map updates with runs.\n\n" +
			"Examples:\n   tcsim report hierarchy --target 6.1,6.12 > report.html\n" +
			"   tcsim report poke_one_site --target ip-aux --explore > report.html\n\n" + exitCodesInHelp,
		Flags: append(objectFlags(), targetFlag(false), limitFlag(), coreFlag(),
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "file to write (default: standard output)"},
			&cli.IntFlag{Name: "events", Value: report.DefaultMost, Usage: "how many events of a run the time line has, the first ones"},
			&cli.BoolFlag{Name: "explore", Usage: "try every interleaving of the scenario's updates, as tcsim explore does"},
		),
		Action: e.report,
	}
}

func (e env) report(ctx context.Context, cmd *cli.Command) error {
	object, wrongObject := objectOptions(cmd)
	bs, wrongScenario := e.loadWith(cmd.Args().Slice(), object)
	ts, wrongTarget := e.targets(cmd.StringSlice("target"), cmd.Uint32("limit"))
	core, wrongCore := coreOf(cmd)
	if err := errors.Join(wrongObject, wrongScenario, wrongTarget, wrongCore); err != nil {
		return err
	}
	if err := writable(cmd); err != nil {
		return err
	}
	opt := report.Options{Core: core, InFull: inFull, Most: cmd.Int("events"), Command: "tcsim " + strings.Join(e.args, " ")}
	if opt.Most < 1 {
		return badUsage("--events: expected a number from 1, found %d", opt.Most)
	}
	if cmd.Bool("explore") {
		opt.Explore = &interleave.Options{}
	}
	r := report.New(opt)
	interrupted := false
	for _, b := range bs {
		err := r.Add(ctx, b, ts)
		if interrupted = cutShort(ctx, err); interrupted {
			break
		}
		if err != nil {
			return badInput(err)
		}
	}
	if err := r.Save(cmd.String("output"), e.stdout); err != nil {
		return badInput(err)
	}
	return orInterrupted(interrupted, verdict(r.Rows()))
}
