// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/emu/count"
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
			"   tcsim run fixtures/objects/xdp.o --entry xdp --packet fixtures/objects/packets.pcap\n\n" + exitCodesInHelp,
		Flags: append([]cli.Flag{targetFlag(false), limitFlag(), coreFlag(), jsonFlag()},
			append(objectFlags(), expectFlags()...)...),
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
	Updates  []string     `json:"update_violations,omitempty"`
	Failed   []string     `json:"mismatches,omitempty"`
	// Counted is what the last run does in full, if it was ended before it was over.
	Counted string `json:"counted,omitempty"`
}

func (e env) run(ctx context.Context, cmd *cli.Command) error {
	opt, err := objectOptions(cmd)
	if err != nil {
		return err
	}
	bs, err := loadWith(cmd.Args().Slice(), opt)
	if err != nil {
		return err
	}
	ts, err := targets(cmd.StringSlice("target"), cmd.Uint32("limit"))
	if err != nil {
		return err
	}
	core, err := coreOf(cmd)
	if err != nil {
		return err
	}
	rows, err := e.runAll(ctx, bs, ts, core)
	if err != nil {
		return err
	}
	if cmd.Bool("json") {
		err = e.printJSON("run", map[string]any{"results": rows})
	} else {
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
			if err != nil {
				return nil, err
			}
			row = fillRow(row, res)
			if row.Counted, err = inFull(ctx, s, res); err != nil {
				return nil, err
			}
			rows = append(rows, row)
		}
	}
	return rows, nil
}

// openNext opens a session in the machine of the last one.
func openNext(s *runner.Session, c *runner.Compiled, core *timing.Core) (*runner.Session, error) {
	opt := runner.Options{Core: core}
	if s == nil {
		return runner.Open(c, opt)
	}
	return s.Reopen(c, opt)
}

// inFull says what a run does that was not let run to its end, "" if none was.
func inFull(ctx context.Context, s *runner.Session, res *runner.Result) (string, error) {
	c, err := s.CountOpen(ctx, res, runner.CountOptions{})
	switch {
	case errors.Is(err, count.ErrUndecided):
		return "left alone, how it would go on is " + err.Error(), nil
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
				run.verdict(r.OK))
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
		for _, v := range append(r.Updates, r.Failed...) {
			t.note(v)
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

// verdict says in a word or two how a run went; ok is the scenario's.
func (r *runSummary) verdict(ok bool) string {
	var words []string
	if !ok && r.Unexpected {
		words = append(words, "NOT AS EXPECTED")
	}
	switch {
	case r.Violation != nil:
		words = append(words, "violates "+string(r.Violation.Invariant))
	case r.Killed != "":
		words = append(words, r.Killed)
	default:
		words = append(words, "ok")
	}
	return strings.Join(words, ": ")
}
