// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/cmd/tcsim/render"
	"github.com/tcsim/tcsim/emu/check"
	"github.com/tcsim/tcsim/emu/stack"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/scenarios/campaign"
)

func (e env) worstCommand() *cli.Command {
	return &cli.Command{
		Name:  "worst",
		Usage: "search for the deepest stack that accepted programs reach by tail calls",
		Description: "The verifier lets subprograms make tail calls with less than 256 bytes of BPF stack in use above\n" +
			"them, which it takes for 32 times 256 bytes, 8 KiB, at most. Return addresses, saved registers and\n" +
			"counters come on top, and a tail call is possible 33 times. For each target this searches, among\n" +
			"the programs that its verifier accepts, for the one that goes deepest, by running them. With one\n" +
			"target the stack is drawn at its deepest point, and --scenario prints the program as a scenario.\n\n" +
			"Examples:\n   tcsim worst --target 5.10,6.12,7.2\n   tcsim worst --target 7.2\n" +
			"   tcsim worst --target 7.2 --scenario > deep.yaml && tcsim run deep.yaml --target 7.2\n\n" + exitCodesInHelp,
		Flags: []cli.Flag{
			targetFlag(false), limitFlag(), jsonFlag(),
			&cli.BoolFlag{Name: "scenario", Usage: "print the worst program of one target"},
			&cli.BoolFlag{Name: "all", Usage: "draw every frame"},
		},
		Action: e.worst,
	}
}

func (e env) worst(ctx context.Context, cmd *cli.Command) error {
	if cmd.NArg() > 0 {
		return badUsage("worst takes no arguments, found %q (see tcsim worst --help)", cmd.Args().First())
	}
	ts, err := e.targets(cmd.StringSlice("target"), cmd.Uint32("limit"))
	if err != nil {
		return err
	}
	if cmd.Bool("scenario") && len(ts) != 1 {
		return badUsage("--scenario needs one --target")
	}
	var found []*campaign.Worst
	interrupted, failed := false, false
	bar := e.progress("worst")
	defer bar.Done()
	for n, t := range ts {
		bar.Set(n, len(ts))
		w, err := campaign.WorstStack(ctx, t)
		if wrong := errors.Is(err, jit.ErrEmitter); len(ts) > 1 && (wrong || errors.Is(err, kernels.ErrUnsupported)) {
			fmt.Fprintln(e.stderr, "tcsim:", err)
			failed = failed || wrong
			continue
		}
		if interrupted = cutShort(ctx, err); interrupted {
			break
		}
		if err != nil {
			return err
		}
		found, failed = append(found, w), failed || w.Broken > 0 && t.Emitter != nil
	}
	var left error
	switch {
	case failed:
		left = errFailed
	case len(found) == 0 && !interrupted:
		left = fmt.Errorf("%w: %s, see above", kernels.ErrUnsupported, render.Plural(len(ts), "target"))
	}
	switch {
	case cmd.Bool("json"):
		if err := render.JSON(e.stdout, render.WorstResult{
			Estimate: campaign.VerifierEstimate, Interrupted: interrupted, Schema: render.SchemaWorst, Stack: check.DefaultStackBudget, Worst: found,
		}); err != nil {
			return err
		}
		return orInterrupted(interrupted, left)
	case interrupted:
		fmt.Fprint(e.stdout, render.WorstTable(found))
		return errInterrupted
	case cmd.Bool("scenario"):
		_, err := fmt.Fprint(e.stdout, found[0].Scenario)
		return errors.Join(err, left)
	}
	if len(found) > 0 {
		fmt.Fprint(e.stdout, render.WorstTable(found))
	}
	if len(ts) != 1 {
		return left
	}
	d, err := campaign.WorstDrawing(ctx, found[0], ts[0])
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.stdout, "\n%s", d.Layout.Picture(stack.Options{Title: "deepest point", All: cmd.Bool("all")}))
	return errors.Join(err, left)
}
