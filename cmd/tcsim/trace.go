// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/cmd/tcsim/render"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit/nearest"
	"github.com/tcsim/tcsim/jit/x86"
)

func (e env) traceCommand() *cli.Command {
	return &cli.Command{
		Name:      "trace",
		Usage:     "show every call, return and tail call of a run",
		ArgsUsage: "SCENARIO",
		Description: "One line per event: where it happened, rsp, rbp, rax, tail_call_cnt and where that lives.\n" +
			"A run that breaks an invariant ends there. Cycles are those of the first run after loading.\n\n" +
			"Examples:\n   tcsim trace hierarchy --target 6.12 --first 12\n" +
			"   tcsim trace hierarchy --target 6.1 --regs rbx,rcx,rsi --first 5\n" +
			"   tcsim trace chain33 --target 6.1 --cost --warm\n" +
			"   tcsim trace chain33 --target 6.1 --pipeline 12+30 --warm\n" +
			"   tcsim trace hierarchy --target 6.12 --folded -\n\n" + exitCodesInHelp,
		Flags: append(append(append(eventFlags(), objectFlags()...), profileFlags()...), targetFlag(true), limitFlag(), runFlag(), jsonFlag(), coreFlag(),
			svgFlag(), widthFlag(), colorFlag(), keepGoingFlag(),
			&cli.StringSliceFlag{Name: "regs", Usage: "show these registers at each event, or \"all\"; --json then has all"},
			&cli.BoolFlag{Name: "cost", Usage: "instead, show where the cycles go: by function, BPF instruction and cause"},
			&cli.StringFlag{Name: "pipeline", Usage: "instead, draw when instructions pass the stages of the core: EVENT or EVENT+COUNT"},
			&cli.BoolFlag{Name: "warm", Usage: "with --cost, --pipeline, --pprof and --folded: one of many runs in a row instead of the first"},
		),
		Action: e.trace,
	}
}

func (e env) trace(ctx context.Context, cmd *cli.Command) error {
	shown, err := chooseEvents(cmd)
	if err != nil {
		return err
	}
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
	events := shown(run.Events)
	if len(regs) > 0 {
		events = slices.Clone(events)
		if err := s.AddRegisters(ctx, cmd.Int("run"), events); err != nil {
			return err
		}
	}
	if err := e.printTrace(cmd, run, events, regs...); err != nil {
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

// eventFlags choose which events are shown.
func eventFlags() []cli.Flag {
	return []cli.Flag{
		&cli.IntFlag{Name: "first", Usage: "show only this many events from the beginning, 0 or left out for all"},
		&cli.IntFlag{Name: "last", Usage: "show only this many events from the end, 0 or left out for all"},
		&cli.StringSliceFlag{Name: "only", Usage: "show only these kinds: entry, call, helper, return, tailcall, refused, poke, hook"},
	}
}

// chooseEvents returns the filter that eventFlags ask for.
func chooseEvents(cmd *cli.Command) (func([]trace.Event) []trace.Event, error) {
	keep, err := kinds(cmd.StringSlice("only"))
	if err != nil {
		return nil, err
	}
	first, last := cmd.Int("first"), cmd.Int("last")
	if first < 0 || last < 0 {
		return nil, badUsage("--first and --last: expected numbers of events from 0, found %d", min(first, last))
	}
	return func(events []trace.Event) []trace.Event { return pick(events, keep, first, last) }, nil
}

// kinds returns the set of kinds with these names, nil for all.
func kinds(names []string) (map[trace.Kind]bool, error) {
	if len(names) == 0 {
		return nil, nil
	}
	all := map[string]trace.Kind{}
	for k := trace.KindEntry; k <= trace.KindHook; k++ {
		all[k.String()] = k
	}
	out := map[trace.Kind]bool{}
	for _, n := range names {
		k, ok := all[n]
		if !ok {
			return nil, badUsage("--only: no kind of event %q; expected entry, call, helper, return, tailcall, refused, poke or hook%s",
				n, nearest.DidYouMean(n, render.SortedKeys(all)))
		}
		out[k] = true
	}
	return out, nil
}

// pick filters events: first and last count from the ends, 0 means no bound.
func pick(events []trace.Event, keep map[trace.Kind]bool, first, last int) []trace.Event {
	var out []trace.Event
	for i := range events {
		if keep == nil || keep[events[i].Kind] {
			out = append(out, events[i])
		}
	}
	switch n := len(out); {
	case first > 0 && last > 0 && first+last < n:
		return append(out[:first:first], out[n-last:]...)
	case first > 0 && last == 0 && first < n:
		return out[:first]
	case last > 0 && first == 0 && last < n:
		return out[n-last:]
	}
	return out
}
