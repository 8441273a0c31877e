// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/cmd/tcsim/inputs"

	"github.com/tcsim/tcsim/cmd/tcsim/render"
	"github.com/tcsim/tcsim/emu/count"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/scenarios/measure"
	"github.com/tcsim/tcsim/scenarios/replay"
	"github.com/tcsim/tcsim/scenarios/runner"
)

func (e env) countCommand() *cli.Command {
	return &cli.Command{
		Name:      "count",
		Usage:     "count exactly what a run does, however long it would take",
		ArgsUsage: "SCENARIO|FILE.o",
		Description: "Executes each call once for every state that matters to it, and so finds the exact numbers of\n" +
			"tail calls, calls and instructions and the final map values of runs of any length. If a run\n" +
			"never ends, this proves that it repeats itself. docs/counting.md explains the method.\n\n" +
			"Examples:\n   tcsim count hierarchy --target 6.1\n" +
			"   tcsim count --capture fixtures/kernels/6.1-off.jsonl.gz --scenario hier/self/const/n2/r6\n\n" +
			"A count that reaches a bound is undecided: exit code 125.\n\n" + exitCodesInHelp,
		Flags: append(inputs.ObjectFlags(),
			targetFlag(true), limitFlag(), runFlag(),
			&cli.StringFlag{Name: "capture", Usage: "count scenarios of this capture of a real kernel's images"},
			&cli.StringFlag{Name: "scenario", Aliases: []string{"s"}, Usage: "with --capture: only this one, or with a star at the end all that begin with it"},
			&cli.FloatFlag{Name: "ghz", Value: render.DefaultGHz, Usage: "frequency of the CPU, for seconds"},
			&cli.StringFlag{Name: "core", Usage: "core whose cycles are reported"},
			&cli.Uint64Flag{Name: "max-steps", Value: count.DefaultMaxSteps, Usage: "give up after executing this many instructions"},
			&cli.IntFlag{Name: "max-summaries", Value: count.DefaultMaxSummaries, Usage: "give up after this many summaries"},
			&cli.BoolFlag{Name: "no-reuse", Usage: "execute every call, as plain emulation does"},
			&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "show summaries, memory and time on stderr"},
			jsonFlag(),
		),
		Action: e.count,
	}
}

func (e env) count(ctx context.Context, cmd *cli.Command) error {
	if cmd.Float("ghz") <= 0 {
		return badUsage("--ghz: expected a frequency above 0, found %v", cmd.Float("ghz"))
	}
	o := measure.CountOptions{
		MaxSteps: cmd.Uint64("max-steps"), MaxSummaries: cmd.Int("max-summaries"),
		NoReuse: cmd.Bool("no-reuse"), Core: cmd.String("core"),
	}
	list, err := e.countAll(ctx, cmd, o)
	interrupted, wrong := cutShort(ctx, err), err
	if err != nil && !interrupted && len(list) == 0 {
		return err
	}
	if cmd.Bool("json") {
		results := make([]render.CountResult, 0, len(list))
		for _, c := range list {
			results = append(results, render.CountOf(c, cmd.Float("ghz"), cmd.Bool("verbose")))
		}
		err = render.JSON(e.stdout, render.CountResults{Interrupted: interrupted, Results: results, Schema: render.SchemaCount})
	} else {
		for i, c := range list {
			if i > 0 {
				fmt.Fprintln(e.stdout)
			}
			fmt.Fprint(e.stdout, render.CountText(c, cmd.Float("ghz")))
		}
	}
	if err != nil {
		return err
	}
	for _, c := range list {
		if cmd.Bool("verbose") {
			fmt.Fprint(e.stderr, render.CountDetails(c))
		}
		if !c.OK() {
			err = errFailed
		}
	}
	if wrong != nil && !interrupted {
		return wrong
	}
	return orInterrupted(interrupted, err)
}

func (e env) countAll(ctx context.Context, cmd *cli.Command, o measure.CountOptions) ([]*runner.Counted, error) {
	if path := cmd.String("capture"); path != "" {
		if cmd.NArg() != 0 {
			return nil, badUsage("count takes a scenario or --capture, not both")
		}
		return e.countCapture(ctx, path, cmd.String("scenario"), o)
	}
	if cmd.String("scenario") != "" {
		return nil, badUsage("--scenario chooses from a capture: --capture is missing")
	}
	s, err := e.openOne(cmd, nil)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	c, err := s.Count(ctx, cmd.Int("run"), o)
	if err != nil {
		return nil, countError(err)
	}
	return []*runner.Counted{c}, nil
}

func (e env) countCapture(ctx context.Context, path, pattern string, o measure.CountOptions) ([]*runner.Counted, error) {
	src, t, err := e.openCapture(path)
	if err != nil {
		return nil, err
	}
	picked, err := replay.Select(src, pattern)
	if err != nil {
		return nil, badInput(err)
	}
	r, err := replay.New(runner.Options{})
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var out []*runner.Counted
	var bad []error // scenarios that cannot be read
	bar := e.progress("count")
	defer bar.Done()
	for n, i := range picked {
		bar.Set(n, len(picked))
		c, err := replay.Capture(src, t, i)
		if err != nil && len(picked) > 1 {
			bad = append(bad, err)
			continue
		}
		if err != nil {
			return nil, badInput(err)
		}
		counted, err := r.Count(ctx, c, o)
		if (errors.Is(err, replay.ErrNotCaptured) || errors.Is(err, kernels.ErrUnsupported)) && len(picked) > 1 {
			fmt.Fprintf(e.stderr, "%v\n", err)
			continue
		}
		if err != nil {
			return out, countError(err)
		}
		out = append(out, counted)
	}
	if err := errors.Join(bad...); err != nil {
		return out, badInput(err)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s: %w: none of %s can be counted", path, errUntestable, render.Plural(len(picked), "scenario"))
	}
	return out, nil
}

// countError tells a count that found no answer from a wrong question.
func countError(err error) error {
	if errors.Is(err, count.ErrUndecided) || errors.Is(err, context.Canceled) {
		return err
	}
	return badInput(err)
}
