// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/emu/stack"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/scenarios/runner"
)

func (e env) replayCommand() *cli.Command {
	return &cli.Command{
		Name:      "replay",
		Usage:     "run code captured from a real kernel",
		ArgsUsage: "CAPTURE...",
		Description: "Places the bytes that the kernel emitted at the addresses they had, runs every scenario that the\n" +
			"kernel itself ran, checks the invariants and compares return value and output slots; those with tracing\n" +
			"programs a second time through the kernel's trampolines. Scenarios\n" +
			"whose result depends on time or other things outside are named and counted apart.\n\n" +
			"Examples:\n   tcsim replay fixtures/kernels/6.12-off.jsonl.gz\n" +
			"   tcsim replay --scenario hier/self/const/n2/r6 --trace fixtures/kernels/6.12-off.jsonl.gz\n\n" + exitCodesInHelp,
		Flags: append(eventFlags(),
			&cli.StringFlag{Name: "scenario", Aliases: []string{"s"}, Usage: "only this one, or with a star at the end all that begin so"},
			&cli.BoolFlag{Name: "trace", Usage: "show the events of the one scenario"},
			&cli.StringFlag{Name: "at", Usage: "draw the stack of the one scenario at a moment, see tcsim stack"},
			&cli.BoolFlag{Name: "traced", Usage: "with --trace and --at: with all tracing programs of the scenario attached"},
			runFlag(),
			&cli.BoolFlag{Name: "all", Usage: "draw every frame of a long stack"},
			jsonFlag(),
		),
		Action: e.replay,
	}
}

// replayRow is one capture.
type replayRow struct {
	File    string         `json:"file"`
	Equal   int            `json:"equal"`
	Total   int            `json:"total"`
	Traced  capture.Count  `json:"traced"`
	Apart   []replayLine   `json:"outside_world,omitempty"`
	Wrong   []replayLine   `json:"wrong,omitempty"`
	Skipped map[string]int `json:"skipped,omitempty"`
	Missing map[string]int `json:"not_modelled,omitempty"`
	Designs map[string]int `json:"designs"`
	Taken   uint64         `json:"taken"`
	// NotByKernel counts scenarios of Total that the kernel itself did not run.
	NotByKernel int `json:"not_run_by_kernel,omitempty"`
	// Kernel says why offsets and limit are read from the code, "" if the header names a known kernel.
	Kernel string `json:"from_code,omitempty"`
	// Played are the verdicts on scenarios that the capture has the source of.
	Played []runRow `json:"played,omitempty"`
}

// replayLine names a scenario and says something of it.
type replayLine struct {
	Scenario string   `json:"scenario"`
	Notes    []string `json:"notes"`
}

func (e env) replay(ctx context.Context, cmd *cli.Command) error {
	if cmd.NArg() == 0 {
		return badUsage("replay takes capture files, found none (see tcsim replay --help)")
	}
	r, err := runner.NewReplayer(runner.Options{})
	if err != nil {
		return err
	}
	defer r.Close()
	if cmd.Bool("trace") || cmd.String("at") != "" {
		return e.replayOne(ctx, cmd, r)
	}
	var rows []replayRow
	var errs []error
	for _, path := range cmd.Args().Slice() {
		row, err := e.replayFile(ctx, r, path, cmd.String("scenario"))
		var in inputError
		switch {
		case errors.As(err, &in):
			errs = append(errs, err)
		case err != nil:
			return err
		default:
			rows = append(rows, *row)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return badInput(err)
	}
	if cmd.Bool("json") {
		if err := e.printJSON("replay", map[string]any{"captures": rows}); err != nil {
			return err
		}
	} else {
		e.replayText(rows)
	}
	return replayVerdict(rows)
}

// replayVerdict turns rows into the command's result.
func replayVerdict(rows []replayRow) error {
	missing, run, unlike := 0, 0, 0
	for i := range rows {
		if len(rows[i].Wrong) != 0 {
			return errFailed
		}
		missing += len(rows[i].Missing)
		run += rows[i].Total + rows[i].Traced.Total + len(rows[i].Apart)
		unlike += rows[i].Skipped[runner.UnlikeSites]
	}
	if missing != 0 {
		return fmt.Errorf("%w: some scenarios need what the emulator does not model", jit.ErrUnsupported)
	}
	if run == 0 && unlike > 0 {
		return fmt.Errorf("%w: %s", errUntestable, runner.UnlikeSites)
	}
	return nil
}

// openCapture opens a capture and finds the target whose offsets it uses.
func openCapture(path string) (*capture.Source, *jit.Target, error) {
	src, err := capture.Open(path)
	if err != nil {
		return nil, nil, badInput(err)
	}
	t, err := runner.TargetOf(src)
	if err != nil {
		return nil, nil, badInput(fmt.Errorf("%s: %w", path, err))
	}
	return src, t, nil
}

func (e env) replayFile(ctx context.Context, r *runner.Replayer, path, pattern string) (*replayRow, error) {
	src, t, err := openCapture(path)
	if err != nil {
		return nil, err
	}
	return e.replaySelected(ctx, r, src, t, pattern)
}

// replaySelected replays scenarios of an open capture.
func (e env) replaySelected(ctx context.Context, r *runner.Replayer, src *capture.Source, t *jit.Target, pattern string) (*replayRow, error) {
	picked, err := runner.Select(src, pattern)
	if err != nil {
		return nil, badInput(err)
	}
	bar := e.progress(filepath.Base(src.Name))
	defer bar.done()
	row := &replayRow{File: src.Name, Skipped: map[string]int{}, Missing: map[string]int{}, Designs: map[string]int{}}
	for n, i := range picked {
		c, err := runner.Capture(src, t, i)
		if err != nil {
			return nil, badInput(err)
		}
		if err := row.run(ctx, r, c); err != nil {
			return nil, err
		}
		if traced, ok := c.WithTracing(); ok {
			if err := row.run(ctx, r, traced); err != nil {
				return nil, err
			}
		}
		bar.set(n+1, len(picked))
	}
	if t.Name == runner.DecodedTarget {
		row.Kernel = t.Source
	}
	if pattern != "" {
		return row, nil
	}
	odd, err := runner.OddCode(src, t)
	if err != nil {
		return nil, badInput(err)
	}
	for _, text := range odd {
		name, what, _ := strings.Cut(text, ": ")
		row.Wrong = append(row.Wrong, replayLine{name, []string{what}})
	}
	return row, nil
}

// run runs one scenario and counts it.
func (r *replayRow) run(ctx context.Context, rp *runner.Replayer, c *runner.Captured) error {
	res, err := rp.Run(ctx, c)
	switch {
	case errors.Is(err, jit.ErrUnsupported):
		r.Missing[err.Error()]++
	case err != nil:
		return err
	default:
		r.take(res)
	}
	return nil
}

// take counts one run.
func (r *replayRow) take(res *runner.Replay) {
	if res.Skipped != "" {
		why, _, _ := strings.Cut(res.Skipped, ":")
		r.Skipped[why]++
		return
	}
	if res.Design != "" {
		r.Designs[res.Design]++
	}
	r.Taken += res.Counts.Taken
	if res.Result != nil {
		row := fillRow(runRow{Scenario: res.Scenario, Target: res.Design}, res.Result)
		row.OK, row.Failed = len(res.Wrong) == 0, res.Wrong
		r.Played = append(r.Played, row)
		if !res.KernelRan {
			r.NotByKernel++
		}
	}
	if len(res.World) != 0 {
		notes := append([]string{"uses " + strings.Join(res.World, ", ")}, res.Wrong...)
		if res.Violation == nil && res.Killed == "" {
			r.Apart = append(r.Apart, replayLine{res.Scenario, notes})
			return
		}
	}
	name := res.Scenario
	if res.Traced {
		name += " (traced)"
		r.Traced.Total++
	} else {
		r.Total++
	}
	switch {
	case len(res.Wrong) != 0:
		r.Wrong = append(r.Wrong, replayLine{name, res.Wrong})
	case res.Traced:
		r.Traced.Same++
	default:
		r.Equal++
	}
}

func (e env) replayText(rows []replayRow) {
	as := "as the kernel"
	for _, r := range rows {
		if r.NotByKernel > 0 {
			as = "as expected"
		}
	}
	t := newTable("capture", "design", as, "traced", "apart", "tail calls taken")
	t.right(2, 3, 4, 5)
	equal, total := 0, 0
	var traced capture.Count
	for _, r := range rows {
		runs := "-"
		if r.Traced.Total > 0 {
			runs = r.Traced.String()
		}
		var designs []string
		for d := range r.Designs {
			designs = append(designs, d)
		}
		t.add(filepath.Base(r.File), oneOf(designs), fmt.Sprintf("%d/%d", r.Equal, r.Total),
			runs, fmt.Sprint(len(r.Apart)), fmt.Sprint(r.Taken))
		if r.Kernel != "" {
			t.note("the header does not tell; taken from " + r.Kernel)
		}
		for _, l := range r.Wrong {
			t.note("WRONG " + l.Scenario + ": " + strings.Join(l.Notes, "; "))
		}
		for _, text := range apart(r.Apart) {
			t.note(text)
		}
		for _, why := range sortedKeys(r.Missing) {
			t.note(fmt.Sprintf("not modelled: %d: %s", r.Missing[why], why))
		}
		for _, why := range sortedKeys(r.Skipped) {
			t.note(fmt.Sprintf("not run: %d: %s", r.Skipped[why], why))
		}
		equal += r.Equal
		total += r.Total
		traced.Same += r.Traced.Same
		traced.Total += r.Traced.Total
	}
	fmt.Fprint(e.stdout, t)
	for _, r := range rows {
		e.replayVerdicts(&r)
	}
	fmt.Fprintf(e.stdout, "%s: %d/%d\n", as, equal, total)
	if traced.Total > 0 {
		fmt.Fprintf(e.stdout, "traced: %v\n", traced)
	}
}

// replayVerdicts prints each run of scenarios that were played from their source.
func (e env) replayVerdicts(r *replayRow) {
	if len(r.Played) == 0 {
		return
	}
	t := newTable("scenario", "design", "run", "taken", "refused", "stack", "insns", "return", "verdict")
	t.right(2, 3, 4, 5, 6, 7)
	for _, p := range r.Played {
		for i, run := range p.Runs {
			t.add(p.Scenario, p.Target, fmt.Sprint(i+1), fmt.Sprint(run.Taken), fmt.Sprint(run.Refused.total()),
				fmt.Sprint(run.Stack), fmt.Sprint(run.Insns), run.returned(), run.verdict())
			if run.Unexpected && !p.OK {
				t.note("NOT AS EXPECTED")
			}
			if run.Violation != nil {
				t.note(run.Violation.String())
			}
		}
		for _, v := range p.Updates {
			t.note(v)
		}
	}
	fmt.Fprintf(e.stdout, "\n%s\n", t)
}

// apart says which scenarios depend on the outside world: by name where the result is not the
// kernel's, in numbers otherwise; --json names all.
func apart(lines []replayLine) []string {
	var out []string
	same := map[string]int{}
	for _, l := range lines {
		if len(l.Notes) > 1 {
			out = append(out, "apart: "+l.Scenario+": "+strings.Join(l.Notes, "; "))
			continue
		}
		same[l.Notes[0]]++
	}
	for _, uses := range sortedKeys(same) {
		out = append(out, fmt.Sprintf("apart, though as the kernel: %s (%s)", plural(same[uses], "scenario"), uses))
	}
	return out
}

// pickOne finds the one scenario that a command line names in its one capture.
func pickOne(cmd *cli.Command) (*runner.Captured, error) {
	src, t, err := openCapture(cmd.Args().First())
	if err != nil {
		return nil, err
	}
	picked, err := runner.Select(src, cmd.String("scenario"))
	if err != nil {
		return nil, badInput(err)
	}
	if len(picked) != 1 {
		return nil, badUsage("--trace and --at take one scenario: --scenario selects %d", len(picked))
	}
	c, err := runner.Capture(src, t, picked[0])
	if err != nil {
		return nil, badInput(err)
	}
	if cmd.Bool("traced") {
		traced, ok := c.WithTracing()
		if !ok {
			return nil, badUsage("--traced: %s has no tracing programs", c.Scenario.Name)
		}
		c = traced
	}
	return c, nil
}

// replayOne shows events or a stack drawing of one captured scenario.
func (e env) replayOne(ctx context.Context, cmd *cli.Command, r *runner.Replayer) error {
	if cmd.NArg() != 1 {
		return badUsage("--trace and --at take one capture, found %d", cmd.NArg())
	}
	shown, err := chooseEvents(cmd)
	if err != nil {
		return err
	}
	c, err := pickOne(cmd)
	if err != nil {
		return err
	}
	if c.HasSource() {
		return e.replaySource(ctx, cmd, r, c, shown)
	}
	if at := cmd.String("at"); at != "" {
		sel, err := stack.ParseAt(at)
		if err != nil {
			return badUsage("--at: %w", err)
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
	if err := e.printTrace(cmd, &res.Run, shown(res.Run.Events)); err != nil {
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
func (e env) replaySource(ctx context.Context, cmd *cli.Command, r *runner.Replayer, c *runner.Captured, shown func([]trace.Event) []trace.Event) error {
	s, err := r.Session(c)
	if err != nil {
		return badInput(err)
	}
	if at := cmd.String("at"); at != "" {
		sel, err := stack.ParseAt(at)
		if err != nil {
			return badUsage("--at: %w", err)
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
	if err := e.printTrace(cmd, run, shown(run.Events)); err != nil {
		return err
	}
	if len(run.Mismatches) != 0 {
		return errFailed
	}
	return nil
}

// printTrace writes events as text or JSON.
func (e env) printTrace(cmd *cli.Command, run *runner.Run, events []trace.Event) error {
	if cmd.Bool("json") {
		return e.traceJSON(run, events)
	}
	fmt.Fprint(e.stdout, trace.Text(run.Code, events))
	if len(events) < len(run.Events) {
		fmt.Fprintf(e.stdout, "(%d of %s shown)\n", len(events), plural(len(run.Events), "event"))
	}
	if run.Violation != nil {
		fmt.Fprintf(e.stdout, "\n%s\n", strings.Join(fold(run.Violation.String(), width), "\n"))
	}
	return nil
}
