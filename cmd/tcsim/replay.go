// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/cmd/tcsim/events"
	"github.com/tcsim/tcsim/cmd/tcsim/inputs"
	"github.com/tcsim/tcsim/cmd/tcsim/render"
	"github.com/tcsim/tcsim/cmd/tcsim/units"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/parts"
	"github.com/tcsim/tcsim/jit/x86"
	"github.com/tcsim/tcsim/scenarios/replay"
	"github.com/tcsim/tcsim/scenarios/runner"
)

func (e env) replayCommand() *cli.Command {
	return &cli.Command{
		Name:      "replay",
		Usage:     "run code captured from a real kernel",
		ArgsUsage: "CAPTURE...",
		Description: "Places the bytes that the kernel emitted at the addresses they had, runs every scenario that\n" +
			"the kernel itself ran, checks the invariants and compares return value and output slots;\n" +
			"those with tracing programs run a second time, through the kernel's trampolines. Scenarios\n" +
			"whose result depends on time or the like are named and counted apart.\n\n" +
			"Examples:\n   tcsim replay fixtures/kernels/6.12-off.jsonl.gz\n" +
			"   tcsim replay --scenario hier/self/const/n2/r6 --trace fixtures/kernels/6.12-off.jsonl.gz\n\n" + exitCodesInHelp,
		Flags: append(append(events.Flags(), lookFlags()...),
			&cli.StringFlag{Name: "scenario", Aliases: []string{"s"}, Usage: "only this one, or with a star at the end all that begin with it"},
			&cli.BoolFlag{Name: "trace", Usage: "show the events of the one scenario"},
			&cli.StringFlag{Name: "at", Usage: "draw the stack of the one scenario at a moment, see tcsim stack"},
			&cli.BoolFlag{Name: "traced", Usage: "with --trace and --at: with all tracing programs of the scenario attached"},
			runFlag(), events.FileFlag("of the one scenario: "),
			&cli.BoolFlag{Name: "all", Usage: "draw every frame of a long stack"},
			units.ShardFlag("scenarios of all captures"), jsonFlag(),
		),
		Action: e.replay,
	}
}

func (e env) replay(ctx context.Context, cmd *cli.Command) error {
	if cmd.NArg() == 0 {
		return badUsage("replay takes capture files, found none (see tcsim replay --help)")
	}
	if cmd.Bool("trace") || cmd.String("at") != "" || cmd.String("events") != "" {
		if cmd.IsSet("shard") {
			return badUsage("--trace, --at and --events are for one scenario: expected no --shard with them")
		}
		return e.recorded(ctx, cmd, cmd.Int("run"), func(e env) error { return e.replayOne(ctx, cmd) })
	}
	r, err := replay.New(runner.Options{})
	if err != nil {
		return err
	}
	defer r.Close()
	var rows, bad []render.ReplayRow
	var errs []error
	interrupted := false
	paths, err := inputs.ExpandAll(cmd.Args().Slice(), inputs.CaptureFiles)
	errs = append(errs, badInput(err))
	w, err := units.Begin(cmd, e.args, paths, e.sum)
	if err != nil {
		return err
	}
	for _, path := range paths {
		if interrupted {
			break
		}
		row, err := e.replayFile(ctx, w, r, path, cmd.String("scenario"))
		var in inputs.Error
		switch {
		case errors.As(err, &in):
			errs = append(errs, err)
			row = render.NewReplayRow(path)
			row.Bad = []string{err.Error()}
			bad = append(bad, *row)
		case cutShort(ctx, err) && row != nil:
			interrupted = true
			rows = append(rows, *row)
		case err != nil:
			return err
		default:
			rows = append(rows, *row)
		}
	}
	if w.Part() {
		return e.printPart(ctx, w, errors.Join(errs...))
	}
	errs = append(errs, w.Err())
	for i := range rows {
		for _, bad := range rows[i].Bad {
			errs = append(errs, errors.New(bad))
		}
	}
	if len(rows) == 0 && !cmd.Bool("json") {
		return badInput(errors.Join(errs...))
	}
	if cmd.Bool("json") {
		if err := render.JSON(e.stdout, render.Replay{Captures: append(rows, bad...), Interrupted: interrupted, Schema: render.SchemaReplay}); err != nil {
			return err
		}
	} else {
		render.ReplayText(e.stdout, rows)
	}
	if err := errors.Join(errs...); err != nil {
		return badInput(err)
	}
	return orInterrupted(interrupted, replayVerdict(rows))
}

// replayVerdict turns rows into the command's result.
func replayVerdict(rows []render.ReplayRow) error {
	missing, run, unlike := 0, 0, 0
	for i := range rows {
		if len(rows[i].Wrong) != 0 {
			return errFailed
		}
		missing += len(rows[i].Missing)
		run += rows[i].Total + rows[i].Traced.Total + len(rows[i].Apart)
		unlike += rows[i].Skipped[replay.UnlikeSites]
	}
	if missing != 0 {
		return fmt.Errorf("%w: some scenarios need what the emulator does not model", kernels.ErrUnsupported)
	}
	if run == 0 && unlike > 0 {
		return fmt.Errorf("%w: %s", errUntestable, replay.UnlikeSites)
	}
	return nil
}

// openCapture opens a capture and finds the target whose offsets it uses.
func (e env) openCapture(path string) (*capture.Source, *jit.Target, error) {
	src, err := e.openSource(path)
	if err != nil {
		return nil, nil, badInput(err)
	}
	t, err := replay.TargetOf(src)
	if err != nil {
		return nil, nil, badInput(fmt.Errorf("%s: %w", path, err))
	}
	return src, t, nil
}

func (e env) replayFile(ctx context.Context, w *parts.Work, r *replay.Replayer, path, pattern string) (*render.ReplayRow, error) {
	src, t, err := e.openCapture(path)
	if err != nil {
		return nil, err
	}
	bar := e.progress(filepath.Base(src.Name))
	defer bar.Done()
	return units.Replay(ctx, w, r, src, t, pattern, bar.Set)
}

// pickOne finds the one scenario that a command line names in its one capture.
func (e env) pickOne(cmd *cli.Command) (replay.Captured, error) {
	src, t, err := e.openCapture(cmd.Args().First())
	if err != nil {
		return nil, err
	}
	picked, err := replay.Select(src, cmd.String("scenario"))
	if err != nil {
		return nil, badInput(err)
	}
	if len(picked) != 1 {
		return nil, badUsage("expected one scenario: --scenario selects %d", len(picked))
	}
	c, err := replay.Capture(src, t, picked[0])
	if err != nil {
		return nil, badInput(err)
	}
	if cmd.Bool("traced") {
		traced, ok := replay.WithTracing(c)
		if !ok {
			return nil, badUsage("--traced: %s has no tracing programs", c.Known().Scenario.Name)
		}
		c = traced
	}
	return c, nil
}

// replayOne shows events or a stack drawing of one captured scenario.
func (e env) replayOne(ctx context.Context, cmd *cli.Command) error {
	if cmd.NArg() != 1 {
		return badUsage("--trace, --at and --events take one capture, found %d", cmd.NArg())
	}
	if e.recording != nil && cmd.String("at") != "" {
		return badUsage("--events and --at exclude each other: tcsim stack draws what the file has")
	}
	shown, err := events.Chosen(cmd)
	if err != nil {
		return err
	}
	r, err := replay.New(events.Options(runner.Options{}, e.recording, e.stored))
	if err != nil {
		return err
	}
	defer r.Close()
	picked, err := e.pickOne(cmd)
	if err != nil {
		return err
	}
	if c, ok := picked.(*replay.Sourced); ok {
		return e.replaySource(ctx, cmd, r, c, shown)
	}
	c := picked.(*replay.Bare)
	e.recording.Of(c.Scenario.Name, c.Design())
	if cmd.String("at") != "" {
		sel, err := e.moment(cmd)
		if err != nil {
			return err
		}
		drawings, err := r.Stack(ctx, c, sel)
		if err != nil {
			return badInput(err)
		}
		return e.printDrawings(cmd, drawings)
	}
	res, err := r.Run(ctx, c)
	if err != nil {
		return err
	}
	if res.Skipped != "" {
		return badUsage("%s: %s", res.Scenario, res.Skipped)
	}
	if e.recording != nil {
		e.recording.Wrong(res.Wrong, len(res.Wrong) != 0 && len(res.World) == 0)
	} else if err := e.printTrace(cmd, &res.Run, shown.Pick(res.Run.Events)); err != nil {
		return err
	}
	for _, w := range res.Wrong {
		fmt.Fprintln(e.stdout, w)
	}
	if len(res.Wrong) != 0 && len(res.World) == 0 {
		return errFailed
	}
	return nil
}

// replaySource shows events or a stack drawing of one run of a scenario that the capture has the
// source of.
func (e env) replaySource(ctx context.Context, cmd *cli.Command, r *replay.Replayer, c *replay.Sourced, shown events.Choice) error {
	s, err := r.Session(c)
	if err != nil {
		return badInput(err)
	}
	e.recording.Of(c.Known().Scenario.Name, c.Known().Design())
	if cmd.String("at") != "" {
		sel, err := e.moment(cmd)
		if err != nil {
			return err
		}
		drawings, err := s.Stack(ctx, cmd.Int("run"), sel)
		if err != nil {
			return badInput(err)
		}
		return e.printDrawings(cmd, drawings)
	}
	run, err := s.PlayTo(ctx, cmd.Int("run"))
	if err != nil {
		return badInput(err)
	}
	if e.recording == nil {
		err = e.printTrace(cmd, run, shown.Pick(run.Events))
	}
	if err != nil {
		return err
	}
	if len(run.Mismatches) != 0 {
		return errFailed
	}
	return nil
}

// printTrace writes events as text or JSON.
func (e env) printTrace(cmd *cli.Command, run *runner.Run, events []trace.Event, regs ...x86.Reg) error {
	if cmd.String("svg") != "" {
		return e.svgTrace(cmd, run, events)
	}
	if !cmd.Bool("json") {
		look, err := e.look(cmd)
		if err == nil {
			render.TraceText(e.drawn(look), run, events, look, regs...)
		}
		return err
	}
	t, err := render.TraceOf(run, events)
	if err != nil {
		return err
	}
	return render.JSON(e.stdout, t)
}
