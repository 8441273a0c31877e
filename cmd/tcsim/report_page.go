// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"context"
	"errors"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/cmd/tcsim/inputs"

	"github.com/tcsim/tcsim/cmd/tcsim/events"
	"github.com/tcsim/tcsim/cmd/tcsim/play"
	"github.com/tcsim/tcsim/cmd/tcsim/report"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/interleave"
)

func (e env) reportCommand() *cli.Command {
	return &cli.Command{
		Name:      "report",
		Usage:     "write one HTML page of scenarios on targets, to look at in a browser",
		ArgsUsage: "SCENARIO|FILE.o|CAPTURE|EVENTS...",
		Description: "The page has a time line of each run with the stack, the code, the registers and the calls at each\n" +
			"event, two targets side by side, and tables of verdicts, code and cycles. It opens from disk\n" +
			"and loads nothing. Captures (*.jsonl, *.jsonl.gz) are replayed. --explore adds the interleavings of map updates with runs.\n\n" +
			"Examples:\n   tcsim report hierarchy --target 6.1,6.12 > report.html\n" +
			"   tcsim report poke_one_site --target ip-aux --explore > report.html\n" +
			"   tcsim report fixtures/kernels/6.12-off.jsonl.gz --scenario hier/self/const/n2/r6 > report.html\n\n" + exitCodesInHelp,
		Flags: append(inputs.ObjectFlags(), targetFlag(false), limitFlag(), coreFlag(),
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "file to write (default: standard output)"},
			&cli.IntFlag{Name: "events", Value: report.DefaultMost, Usage: "how many events of a run the time line has, the first ones"},
			&cli.Uint64Flag{Name: "from", Value: 1, Usage: "of a file of events: the event that the time line begins with"},
			&cli.StringFlag{Name: "scenario", Aliases: []string{"s"}, Usage: "of a capture: only this one, or with a star at the end all that begin with it"},
			allowFlag(),
			&cli.BoolFlag{Name: "explore", Usage: "try every interleaving of the scenario's updates, as tcsim explore does"},
		),
		Action: e.report,
	}
}

func (e env) report(ctx context.Context, cmd *cli.Command) error {
	if err := e.rerun(cmd); err != nil {
		return err
	}
	captures, others := splitCaptures(cmd.Args().Slice())
	object, wrongObject := inputs.ObjectOptions(cmd)
	ts, wrongTarget := e.targets(cmd.StringSlice("target"), cmd.Uint32("limit"))
	core, wrongCore := coreOf(cmd)
	err := errors.Join(wrongObject, wrongTarget, wrongCore)
	var bs []*scenarios.Built
	if len(others) > 0 || len(captures) == 0 {
		var wrong error
		bs, wrong = e.loadWith(others, object)
		err = errors.Join(err, wrong)
	}
	if cmd.Int("events") < 1 {
		err = errors.Join(err, badUsage("--events: expected a number from 1, found %d", cmd.Int("events")))
	}
	if e.stored == nil && cmd.IsSet("from") {
		err = errors.Join(err, badUsage("--from is for a file of events, and there is none: tcsim trace --events writes one"))
	}
	if len(captures) == 0 && cmd.IsSet("scenario") {
		err = errors.Join(err, badUsage("--scenario chooses from a capture, and there is none"))
	}
	if err != nil {
		return err
	}
	if err := writable(cmd); err != nil {
		return err
	}
	opt := report.Options{Core: core, InFull: play.InFull, Allow: cmd.Bool("allow-differences"), Most: cmd.Int("events"), Window: events.Window(e.stored, cmd.Uint64("from"), cmd.Int("events")), Command: "tcsim " + strings.Join(e.args, " ")}
	if cmd.Bool("explore") {
		opt.Explore = &interleave.Options{}
	}
	r := report.New(opt)
	for _, b := range bs {
		err := r.Add(ctx, b, ts)
		if r.Interrupted = cutShort(ctx, err); r.Interrupted {
			break
		}
		if err != nil {
			return badInput(err)
		}
	}
	for _, path := range captures {
		if r.Interrupted {
			break
		}
		src, t, err := e.openCapture(path)
		if err != nil {
			return err
		}
		err = r.AddCapture(ctx, src, t, cmd.String("scenario"))
		if r.Interrupted = cutShort(ctx, err); err != nil && !r.Interrupted {
			return badInput(err)
		}
	}
	if err := r.Save(cmd.String("output"), e.stdout); err != nil {
		return badInput(err)
	}
	return orInterrupted(r.Interrupted, verdict(r.Rows()))
}

// splitCaptures tells captures from scenarios by the end of the name.
func splitCaptures(args []string) (captures, others []string) {
	for _, a := range args {
		if name := strings.TrimSuffix(a, ".gz"); strings.HasSuffix(name, ".jsonl") {
			captures = append(captures, a)
		} else {
			others = append(others, a)
		}
	}
	return captures, others
}
