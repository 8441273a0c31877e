// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/cmd/tcsim/inputs"

	"github.com/tcsim/tcsim/cmd/tcsim/events"
	"github.com/tcsim/tcsim/jit/x86"
)

func (e env) traceCommand() *cli.Command {
	return &cli.Command{
		Name:      "trace",
		Usage:     "show every call, return and tail call of a run",
		ArgsUsage: "SCENARIO|EVENTS",
		Description: "One line per event: where it happened, rsp, rbp, rax, tail_call_cnt and where that lives.\n" +
			"A run that breaks an invariant ends there. Cycles are those of the first run after loading.\n" +
			"--events keeps all events of a long run in a file, which takes the place of SCENARIO from then on.\n\n" +
			"Examples:\n   tcsim trace hierarchy --target 6.12 --first 12\n" +
			"   tcsim trace hierarchy --target 6.1 --regs rbx,rcx,rsi --first 5\n" +
			"   tcsim trace chain33 --target 6.1 --cost --warm\n" +
			"   tcsim trace chain33 --target 6.1 --pipeline 12+30 --warm\n" +
			"   tcsim trace hierarchy --target 6.12 --folded -\n\n" + exitCodesInHelp,
		Flags: append(append(append(events.Flags(), inputs.ObjectFlags()...), profileFlags()...), targetFlag(true), limitFlag(), runFlag(), jsonFlag(), coreFlag(),
			events.FileFlag("instead, "), svgFlag(), widthFlag(), colorFlag(), keepGoingFlag(),
			&cli.StringSliceFlag{Name: "regs", Usage: "show these registers at each event, or \"all\"; --json then has all"},
			&cli.BoolFlag{Name: "cost", Usage: "instead, show where the cycles go: by function, BPF instruction and cause"},
			&cli.StringFlag{Name: "pipeline", Usage: "instead, draw when instructions pass the stages of the core: EVENT or EVENT+COUNT"},
			&cli.BoolFlag{Name: "warm", Usage: "with --cost, --pipeline, --pprof and --folded: one of many runs in a row instead of the first"},
		),
		Action: e.trace,
	}
}

func (e env) trace(ctx context.Context, cmd *cli.Command) error {
	shown, err := events.Chosen(cmd)
	if err != nil {
		return err
	}
	file, run, err := events.Open(cmd)
	if run != nil {
		defer file.Close()
		return e.showStored(cmd, run, shown)
	}
	if err != nil {
		return err
	}
	return e.recorded(ctx, cmd, cmd.Int("run"), func(e env) error { return e.traceRun(ctx, cmd, shown) })
}

// traceRun shows the events of a run, or has them recorded.
func (e env) traceRun(ctx context.Context, cmd *cli.Command, shown events.Choice) error {
	regs, err := registers(cmd.StringSlice("regs"))
	if err != nil {
		return err
	}
	core, err := coreOf(cmd)
	if err != nil {
		return err
	}
	s, err := e.openOne(cmd, core)
	if err != nil {
		return err
	}
	defer s.Close()
	switch {
	case writesProfile(cmd):
		return e.profile(ctx, cmd, s, core)
	case cmd.Bool("cost"):
		return e.cost(ctx, cmd, s, core)
	case cmd.String("pipeline") != "":
		return e.pipeline(ctx, cmd, s, core)
	}
	run, err := s.PlayTo(ctx, cmd.Int("run"))
	if err != nil {
		return badInput(err)
	}
	picked := shown.Pick(run.Events)
	if len(regs) > 0 {
		if err := s.AddRegisters(ctx, cmd.Int("run"), picked); err != nil {
			return err
		}
	}
	if e.recording == nil {
		err = e.printTrace(cmd, run, picked, regs...)
	}
	if err != nil {
		return err
	}
	for _, m := range run.Mismatches {
		fmt.Fprintln(e.stderr, m)
	}
	if len(run.Mismatches) != 0 {
		return errFailed
	}
	return nil
}

func keepGoingFlag() cli.Flag {
	return &cli.BoolFlag{Name: "keep-going", Usage: "go on after the first broken invariant: what comes then may be its consequence"}
}

// registers reads the names of registers.
func registers(names []string) (out []x86.Reg, err error) {
	for _, n := range names {
		if n == "all" {
			return x86.Regs(), nil
		}
		r, ok := x86.RegNamed(n)
		if !ok {
			return nil, badUsage("--regs: no register %q; expected rax, rcx, ..., r15, or all", n)
		}
		out = append(out, r)
	}
	return out, nil
}
