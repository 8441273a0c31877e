// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"cmp"
	"context"
	"fmt"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/cmd/tcsim/inputs"

	"github.com/tcsim/tcsim/cmd/tcsim/render"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/scenarios/verdicts"
)

func (e env) verifyCommand() *cli.Command {
	return &cli.Command{
		Name:      "verify",
		Usage:     "say which programs kernels take, and what that costs their verifiers",
		ArgsUsage: "SCENARIO|FILE.o",
		Description: "Prints for each program and target the verdict, the instructions that the verifier follows, the\n" +
			"states that it keeps, the stack of the deepest chain of calls and the program's size, and the reason\n" +
			"of each refusal. --sort and --filter take a column: --sort -insns, --filter 'insns>1000'.\n\n" +
			"Examples:\n   tcsim verify fixtures/objects/loops.o --target 6.1,6.12 --sort -insns\n\n" + exitCodesInHelp,
		Flags: append(append([]cli.Flag{targetFlag(false)}, inputs.LoadFlags()...),
			jsonFlag(),
			tableFlags()[0], tableFlags()[1], tableFlags()[2],
			&cli.BoolFlag{Name: "time", Usage: "print how long the analysis took"},
		),
		Action: e.verify,
	}
}

func (e env) verify(ctx context.Context, cmd *cli.Command) error {
	if cmd.NArg() != 1 {
		return badUsage("verify takes one scenario or object file, found %s (see tcsim verify --help)", render.Plural(cmd.NArg(), "argument"))
	}
	opt, err := inputs.ObjectOptions(cmd)
	if err != nil {
		return err
	}
	ts, err := e.targets(cmd.StringSlice("target"), 0)
	if err != nil {
		return err
	}
	bar := e.progress("verify")
	rows, err := verdicts.Load(ctx, cmd.Args().First(), opt, ts, bar.Set)
	bar.Done()
	interrupted := cutShort(ctx, err)
	if err != nil && (!interrupted || len(rows) == 0) {
		return badInput(err)
	}
	outcome := verdicts.Outcome(rows)
	t := render.VerdictTable(rows, cmd.Bool("time"))
	if err := t.Choose(tableChoice(cmd)); err != nil {
		return badInput(err)
	}
	switch {
	case cmd.Bool("json"):
		err = render.JSON(e.stdout, render.Verdicts{Interrupted: interrupted, Results: t.Rows, Schema: render.SchemaVerify})
	case cmd.Bool("csv"):
		err = t.CSV(e.stdout)
	default:
		err = render.VerdictText(e.stdout, t)
	}
	switch {
	case err != nil || interrupted:
		return cmp.Or(err, errInterrupted)
	case outcome == verdicts.Refused:
		return errFailed
	case outcome == verdicts.NotModeled:
		return fmt.Errorf("%w: some programs, see above", kernels.ErrUnsupported)
	}
	return nil
}
