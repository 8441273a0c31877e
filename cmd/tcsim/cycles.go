// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/cmd/tcsim/render"
	"github.com/tcsim/tcsim/emu/timing"
	"github.com/tcsim/tcsim/emu/timing/measured"
	"github.com/tcsim/tcsim/scenarios/measure"
)

func (e env) cyclesCommand() *cli.Command {
	return &cli.Command{
		Name:      "cycles",
		ArgsUsage: "[SCENARIO...]",
		Usage:     "compare the timing model with cycles measured on hardware",
		Description: "Runs every measured sequence in the emulator and through the model of a core. Prints predicted and\n" +
			"measured cycles (p10, median, p90) per sequence, and the mean absolute percentage error per kind\n" +
			"and overall; an error inside p10 to p90 counts as zero.\n\n" +
			"With --host the sequences, those of the file or those that are built in, are run and measured on this\n" +
			"processor, in processes of its own and after they have run in the emulator, and the model is compared\n" +
			"with that. Use only files that you trust. Exit code 125 means that this machine does not measure\n" +
			"reliably; the message says why.\n\n" +
			"With --learn the core file of this processor is made: about 450 experiments, then the sequences, then a\n" +
			"search that fits what they do not tell to two thirds of the sequences; the last third is the judge.\n" +
			"A run that was ended goes on where it stopped (NAME.yaml.partial).\n\n" +
			"With --host --scenarios the code of scenarios, moved to where a process may have it, takes the place of the\n" +
			"file: SCENARIO..., or all that are built in, on the kernels of --target. Runs that need a kernel are left\n" +
			"out, and it says why.\n\n" +
			"Example:\n   tcsim cycles --measured fixtures/uarch/measured.json --max-mape 8\n" +
			"   tcsim cycles --measured fixtures/uarch/measured.json --sweep memory.rename_verify\n" +
			"   tcsim cycles --host -o here.json\n" +
			"   tcsim cycles --host --learn -o mycore.yaml\n" +
			"   tcsim cycles --host --scenarios chain33 hierarchy --target 6.1,6.12\n\n" + exitCodesInHelp,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "measured", Usage: "file of measured sequences; with --host those that are built in unless another is named"},
			&cli.FloatFlag{Name: "max-mape", Usage: "exit with code 1 if the overall error exceeds this percentage"},
			&cli.BoolFlag{Name: "host", Usage: "measure the sequences on this machine first"},
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "with --host: write what was measured to this file, in the format of --measured"},
			&cli.StringFlag{Name: "sweep", Usage: "try values of a parameter of the core: NAME or NAME=VALUE,...; \"list\" lists them"},
			&cli.BoolFlag{Name: "learn", Usage: "with --host and -o NAME.yaml: measure this processor and write its core file"},
			&cli.BoolFlag{Name: "scenarios", Usage: "with --host: measure runs of scenarios in place of --measured"},
			severalTargets(defaultTargets...), coreFlag(), jsonFlag(), tableFlags()[0], tableFlags()[1], tableFlags()[2],
		},
		Action: e.cycles,
	}
}

func (e env) cycles(ctx context.Context, cmd *cli.Command) error {
	core, err := coreOf(cmd)
	if err != nil {
		return err
	}
	if cmd.IsSet("output") && !cmd.Bool("host") {
		return badUsage("--output needs --host")
	}
	src, file, err := e.sequences(ctx, cmd)
	if err != nil {
		return err
	}
	if cmd.Bool("learn") {
		return e.learn(ctx, cmd, src, file)
	}
	if cmd.IsSet("sweep") {
		return e.sweep(ctx, cmd, core, file)
	}
	results, err := e.measure(ctx, core, file)
	interrupted := cutShort(ctx, err)
	if err != nil && !interrupted {
		return err
	}
	if cmd.Bool("host") && !interrupted {
		if file, results, err = e.hosted(ctx, cmd, src, file, results); err != nil {
			return err
		}
		interrupted = ctx.Err() != nil
	}
	if interrupted && len(results) == 0 {
		return errInterrupted
	}
	report := measured.NewReport(core, file, results)
	if cmd.Bool("scenarios") {
		report.DropParts()
	}
	report.Interrupted = interrupted
	return orInterrupted(interrupted, e.judge(cmd, report))
}

// judge prints a report and compares it with --max-mape.
func (e env) judge(cmd *cli.Command, report *measured.Report) error {
	long, err := wantsTable(cmd)
	switch {
	case err != nil:
		return err
	case long:
		err = printTable(e, cmd, render.CyclesTable(report))
	case cmd.Bool("json"):
		enc := json.NewEncoder(e.stdout)
		enc.SetIndent("", "  ")
		err = enc.Encode(report)
	default:
		err = report.WriteText(e.stdout)
	}
	if err != nil {
		return err
	}
	if cmd.IsSet("max-mape") && report.MAPE() > cmd.Float("max-mape") {
		fmt.Fprintf(e.stderr, "tcsim: the error is %.2f %%, above %.2f %%\n", report.MAPE(), cmd.Float("max-mape"))
		return errFailed
	}
	return nil
}

// measure predicts all sequences.
func (e env) measure(ctx context.Context, core *timing.Core, file *measured.File) ([]measured.Result, error) {
	bar := e.progress("cycles")
	defer bar.Done()
	results, err := measure.Sequences(ctx, core, file, bar.Set)
	if cutShort(ctx, err) {
		return results, err
	}
	return results, badInput(err)
}
