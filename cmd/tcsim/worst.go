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
	ts, err := e.targets(cmd.StringSlice("target"), cmd.Uint32("limit"))
	if err != nil {
		return err
	}
	if cmd.Bool("scenario") && len(ts) != 1 {
		return badUsage("--scenario needs one --target")
	}
	var found []*campaign.Worst
	for _, t := range ts {
		w, err := campaign.WorstStack(ctx, t)
		if errors.Is(err, kernels.ErrUnsupported) && len(ts) > 1 {
			fmt.Fprintln(e.stderr, "tcsim:", err)
			continue
		}
		if err != nil {
			return err
		}
		found = append(found, w)
	}
	switch {
	case cmd.Bool("json"):
		return render.JSON(e.stdout, worstResult{campaign.VerifierEstimate, render.SchemaWorst, check.DefaultStackBudget, found})
	case cmd.Bool("scenario"):
		_, err := fmt.Fprint(e.stdout, found[0].Scenario)
		return err
	}
	fmt.Fprint(e.stdout, worstTable(found))
	if len(ts) != 1 {
		return nil
	}
	d, err := campaign.WorstDrawing(ctx, found[0], ts[0])
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.stdout, "\n%s", d.Layout.Picture(stack.Options{Title: "deepest point", All: cmd.Bool("all")}))
	return err
}

// worstResult is the object of tcsim worst.
type worstResult struct {
	Estimate int               `json:"estimate"`
	Schema   render.Schema     `json:"schema"`
	Stack    int               `json:"stack"`
	Worst    []*campaign.Worst `json:"worst"`
}

// worstTable has a row for each target: the callers, their BPF stack, what is left of the verifier's
// estimate (8 KiB) and of a kernel stack (16 KiB).
func worstTable(found []*campaign.Worst) *render.Table {
	t := render.NewTable("target", "callers", "stack", "last", "saved", "per tail call", "taken", "one caller", "deepest", "left/8K", "left/16K")
	t.Right(1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
	for _, w := range found {
		s := w.Shape
		theirs := 0
		if s.Callers > 0 {
			theirs = s.First + (s.Callers-1)*s.Other
		}
		t.Add(w.Target, fmt.Sprint(s.Callers), fmt.Sprint(theirs), fmt.Sprint(s.Last), fmt.Sprint(s.Saved), fmt.Sprint(w.PerTailCall),
			fmt.Sprint(w.Taken), oneCaller(w), fmt.Sprint(w.Deepest), fmt.Sprint(w.Margin(campaign.VerifierEstimate)), fmt.Sprint(w.Margin(check.DefaultStackBudget)))
		if w.Endless != "" {
			t.Note("no bound: with callers, tail calls go on until the stack overflows (" + string(w.Endless) + ")")
		}
	}
	return t
}

// oneCaller is the deepest stack with one caller only.
func oneCaller(w *campaign.Worst) string {
	if w.OneCaller == 0 {
		return "-"
	}
	return fmt.Sprint(w.OneCaller)
}
