// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/cmd/tcsim/ci"
	"github.com/tcsim/tcsim/cmd/tcsim/events"
	"github.com/tcsim/tcsim/cmd/tcsim/inputs"
	"github.com/tcsim/tcsim/cmd/tcsim/play"
	"github.com/tcsim/tcsim/cmd/tcsim/render"
	"github.com/tcsim/tcsim/jit/kernels"
)

func (e env) runCommand() *cli.Command {
	return &cli.Command{
		Name:      "run",
		Usage:     "replay scenarios on targets and judge them",
		ArgsUsage: "SCENARIO|FILE.o...",
		Description: "Compiles each scenario (a file, or the name of a built-in one) as each target's kernel would,\n" +
			"runs it and checks every invariant and everything the scenario expects. Of an object file that clang\n" +
			"made for BPF it runs one program on each packet, with prog arrays as they are declared.\n\n" +
			"Examples:\n   tcsim run hierarchy --target 6.1,6.12\n" +
			"   tcsim run fixtures/objects/xdp.o --entry xdp --packet fixtures/objects/packets.pcap\n" +
			"   tcsim run hierarchy chain33 --target 6.1,6.12,7.2 --junit\n\n" + exitCodesInHelp,
		Flags: append([]cli.Flag{targetFlag(false), limitFlag(), coresFlag(), keepGoingFlag(), events.FileFlag("of one scenario on one target: "), allowFlag(), jsonFlag(), colorFlag()},
			slices.Concat(ciFlags(), inputs.ObjectFlags(), inputs.ExpectFlags())...),
		Action: e.run,
	}
}

func allowFlag() cli.Flag {
	return &cli.BoolFlag{Name: "allow-differences", Usage: "of a kernel's source: code that does something else than that of the release it was edited from is only reported"}
}

func (e env) run(ctx context.Context, cmd *cli.Command) error {
	form, wrongForm := ciForm(cmd)
	opt, wrongObject := inputs.ObjectOptions(cmd)
	bs, wrongScenario := e.loadWith(cmd.Args().Slice(), opt)
	ts, wrongTarget := e.targets(cmd.StringSlice("target"), cmd.Uint32("limit"))
	cores, wrongCore := coresOf(cmd)
	look, wrongLook := e.look(cmd)
	nothing := len(bs) == 0 && (cmd.NArg() == 0 || form == nil && !cmd.Bool("json")) // else what is printed names the bad ones
	if err := errors.Join(wrongForm, wrongObject, wrongTarget, wrongCore, wrongLook); err != nil || nothing {
		said := e.annotate(cmd, "run", func() []ci.Test { return ci.RunTests(render.BadInputs(wrongScenario)) })
		return errors.Join(err, said, wrongScenario)
	}
	if cmd.String("events") != "" && (len(bs) != 1 || len(ts) != 1 || len(cores) != 1) {
		return badUsage("--events: expected one scenario, target and core, found %d, %d and %d", len(bs), len(ts), len(cores))
	}
	var rows []render.RunRow
	interrupted := false
	for _, core := range cores {
		if interrupted {
			break
		}
		var more []render.RunRow
		err := e.recorded(ctx, cmd, 0, func(e env) (err error) {
			opt := play.Options{Core: core, KeepGoing: cmd.Bool("keep-going"), Allow: cmd.Bool("allow-differences"), Recording: e.recording}
			more, err = play.All(ctx, bs, ts, opt)
			return err
		})
		if interrupted = cutShort(ctx, err); err != nil && !interrupted {
			return err
		}
		for i := range more {
			if len(cores) > 1 {
				more[i].Core = core.Name
			}
		}
		rows = append(rows, more...)
	}
	refused := render.BadInputs(wrongScenario) // the good ones are judged all the same
	if form != nil || cmd.Bool("json") {
		rows, refused = append(rows, refused...), nil
	}
	if interrupted && form != nil {
		rows = append(rows, render.RunRow{Scenario: "(interrupted)", Rejected: errInterrupted.Error()})
	}
	var err error
	switch {
	case form != nil:
		err = form(e.stdout, "run", ci.RunTests(rows))
	case cmd.Bool("json"):
		err = render.JSON(e.stdout, render.Run{Interrupted: interrupted, Results: rows, Schema: render.SchemaRun})
	default:
		_, err = fmt.Fprint(e.drawn(look), look.Verdicts(render.RunText(rows)))
	}
	if err == nil {
		err = e.annotate(cmd, "run", func() []ci.Test { return ci.RunTests(append(rows, refused...)) })
	}
	if err != nil {
		return err
	}
	if wrongScenario != nil {
		return wrongScenario
	}
	return orInterrupted(interrupted, verdict(rows))
}

// verdict turns rows into the command's result: bad input outweighs a failure, and that what could not be
// tested.
func verdict(rows []render.RunRow) error {
	untested, reason, rejected, failed := 0, "", 0, false
	for _, r := range rows {
		switch {
		case r.Rejected != "":
			rejected++
		case r.Error != "":
			untested, reason = untested+1, r.Error
		case !r.OK:
			failed = true
		}
	}
	switch {
	case rejected > 0:
		return badInput(fmt.Errorf("%s refused, see above", render.Plural(rejected, "result")))
	case failed:
		return errFailed
	}
	if untested > 1 {
		reason = render.Plural(untested, "result") + ", see above"
	}
	if untested > 0 {
		return fmt.Errorf("%w: %s", kernels.ErrUnsupported, reason)
	}
	return nil
}
