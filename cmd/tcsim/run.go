// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/emu/count"
	"github.com/tcsim/tcsim/emu/stack"
	"github.com/tcsim/tcsim/emu/timing"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/runner"
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
		Flags: append([]cli.Flag{targetFlag(false), limitFlag(), coreFlag(), jsonFlag()},
			slices.Concat(ciFlags(), objectFlags(), expectFlags())...),
		Action: e.run,
	}
}

// runRow is one scenario on one target.
type runRow struct {
	Scenario string       `json:"scenario"`
	Target   string       `json:"target"`
	OK       bool         `json:"ok"`
	Error    string       `json:"error,omitempty"` // why it could not be run
	Runs     []runSummary `json:"runs,omitempty"`
	// Refused are updates and replacements that the kernel of the target refuses, with its error.
	Refused []string `json:"refused_updates,omitempty"`
	Updates []string `json:"update_violations,omitempty"`
	Failed  []string `json:"mismatches,omitempty"`
	// Counted is what the last run does in full, if it was ended before it was over.
	Counted string `json:"counted,omitempty"`
	// Stack is the stack where an invariant broke that was expected to hold.
	Stack     *stack.Layout `json:"stack,omitempty"`
	stackText string
}

func (e env) run(ctx context.Context, cmd *cli.Command) error {
	form, wrongForm := ciForm(cmd)
	opt, wrongObject := objectOptions(cmd)
	bs, wrongScenario := loadWith(cmd.Args().Slice(), opt)
	ts, wrongTarget := targets(cmd.StringSlice("target"), cmd.Uint32("limit"))
	core, wrongCore := coreOf(cmd)
	if err := errors.Join(wrongForm, wrongObject, wrongScenario, wrongTarget, wrongCore); err != nil {
		return err
	}
	rows, err := e.runAll(ctx, bs, ts, core)
	if err != nil {
		return err
	}
	switch {
	case form != nil:
		err = form(e.stdout, "run", runTests(rows))
	case cmd.Bool("json"):
		err = e.printJSON("run", map[string]any{"results": rows})
	default:
		err = e.printRuns(rows)
	}
	if err != nil {
		return err
	}
	return verdict(rows)
}

// verdict turns rows into the command's result: a failure outweighs what could not be tested.
func verdict(rows []runRow) error {
	untested := ""
	for _, r := range rows {
		switch {
		case r.Error != "":
			untested = r.Error
		case !r.OK:
			return errFailed
		}
	}
	if untested != "" {
		return fmt.Errorf("%w: %s", jit.ErrUnsupported, untested)
	}
	return nil
}

func (e env) runAll(ctx context.Context, bs []*scenarios.Built, ts []*jit.Target, core *timing.Core) ([]runRow, error) {
	var rows []runRow
	var s *runner.Session
	defer func() {
		if s != nil {
			s.Close()
		}
	}()
	for _, b := range bs {
		for _, t := range ts {
			row := runRow{Scenario: b.Scenario.Name, Target: t.Name}
			c, err := runner.Compile(b, t)
			switch {
			case errors.Is(err, jit.ErrUnsupported):
				row.Error = err.Error()
				rows = append(rows, row)
				continue
			case err != nil:
				return nil, badInput(err)
			}
			if s, err = openNext(s, c, core); err != nil {
				return nil, err
			}
			res, err := s.Play(ctx)
			if errors.Is(err, jit.ErrUnsupported) {
				row.Error = err.Error()
				rows = append(rows, row)
				continue
			}
			if err != nil {
				return nil, err
			}
			row = fillRow(row, res)
			if row.Counted, err = inFull(ctx, s, res); err != nil {
				return nil, err
			}
			if err := row.draw(ctx, s, res); err != nil {
				return nil, err
			}
			rows = append(rows, row)
		}
	}
	return rows, nil
}

// draw draws the stack where the last run broke an invariant, if that is not as expected.
func (r *runRow) draw(ctx context.Context, s *runner.Session, res *runner.Result) error {
	n := len(res.Runs)
	if res.OK() || n == 0 || res.Runs[n-1].Violation == nil {
		return nil
	}
	at, err := stack.ParseAt("violation")
	if err != nil {
		return err
	}
	drawings, err := s.Stack(ctx, n, at)
	if err != nil {
		return err
	}
	d := &drawings[0]
	r.Stack, r.stackText = d.Layout, d.Layout.Picture(stack.Options{Title: d.Moment.Name})
	return nil
}

// openNext opens a session in the machine of the last one.
func openNext(s *runner.Session, c *runner.Compiled, core *timing.Core) (*runner.Session, error) {
	opt := runner.Options{Core: core}
	if s == nil {
		return runner.Open(c, opt)
	}
	return s.Reopen(c, opt)
}

// inFullSteps bounds the count of a run that was broken off, to well below a second; tcsim count has
// a bound of its own.
const inFullSteps = 200_000

// inFull says what a run does that was not let run to its end, "" if none was.
func inFull(ctx context.Context, s *runner.Session, res *runner.Result) (string, error) {
	c, err := s.CountOpen(ctx, res, runner.CountOptions{MaxSteps: inFullSteps})
	switch {
	case errors.Is(err, count.ErrUndecided):
		_, why, _ := strings.Cut(err.Error(), count.ErrUndecided.Error()+": ")
		return fmt.Sprintf("left alone, what it does in all is not counted: %s; tcsim count tries longer", why), nil
	case err != nil || c == nil:
		return "", err
	}
	return "left alone, " + countSentence(c, defaultGHz), nil
}

func fillRow(row runRow, res *runner.Result) runRow {
	row.OK = res.OK()
	for i := range res.Runs {
		row.Runs = append(row.Runs, summarise(&res.Runs[i]))
	}
	for _, u := range res.Updates {
		if u.Errno != "" {
			row.Refused = append(row.Refused, u.What+": "+u.Errno)
		}
		if u.Violation != nil {
			row.Updates = append(row.Updates, u.Violation.String())
		}
	}
	for _, m := range res.Mismatches() {
		row.Failed = append(row.Failed, m.String())
	}
	return row
}

func (e env) printRuns(rows []runRow) error {
	t := newTable("scenario", "target", "run", "taken", "refused", "stack", "insns", "cold", "warm", "return", "verdict")
	t.right(2, 3, 4, 5, 6, 7, 8, 9)
	for _, r := range rows {
		if r.Error != "" {
			t.add(r.Scenario, r.Target, "", "", "", "", "", "", "", "", "cannot be tested")
			t.note(r.Error)
			continue
		}
		for i, run := range r.Runs {
			t.add(r.Scenario, r.Target, fmt.Sprint(i+1), fmt.Sprint(run.Taken), fmt.Sprint(run.Refused.total()),
				fmt.Sprint(run.Stack), fmt.Sprint(run.Insns), run.Cycles.cold(), run.Cycles.warm(), run.returned(),
				run.verdict())
			if run.Cycles != nil && run.Cycles.Error != "" {
				t.note("no cycles: " + run.Cycles.Error)
			}
			if run.Violation != nil {
				t.note(run.Violation.String())
			}
		}
		if r.Counted != "" {
			t.note(r.Counted)
		}
		if len(r.Refused) > 0 {
			t.note("refused: " + strings.Join(r.Refused, "; "))
		}
		for _, v := range r.Updates {
			t.note(v)
		}
		for _, v := range r.Failed {
			t.note("NOT AS EXPECTED: " + v)
		}
		if r.stackText != "" {
			t.picture(r.stackText)
		}
	}
	_, err := fmt.Fprint(e.stdout, t)
	return err
}

// returned is the return value as a kernel reports it.
func (r *runSummary) returned() string {
	if r.Violation != nil || r.Killed != "" {
		return "-"
	}
	if v := int32(r.Return); v < 0 {
		return fmt.Sprint(v)
	}
	return fmt.Sprint(r.Return)
}

// verdict says in a word or two how a run went.
func (r *runSummary) verdict() string {
	switch {
	case r.Violation != nil:
		return "violates " + string(r.Violation.Invariant)
	case r.Killed != "":
		return r.Killed
	}
	return "ok"
}
