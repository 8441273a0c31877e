// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"context"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/cmd/tcsim/inputs"

	"github.com/tcsim/tcsim/cmd/tcsim/render"
	"github.com/tcsim/tcsim/scenarios/runner"
)

func (e env) stackCommand() *cli.Command {
	return &cli.Command{
		Name:      "stack",
		Usage:     "draw the stack at a moment of a run",
		ArgsUsage: "SCENARIO|EVENTS",
		Description: "Every slot between rsp and the outside caller: address, value, owner and meaning, with an\n" +
			"arrow from each tail_call_cnt_ptr to the counter. --at takes an event number as in tcsim trace,\n" +
			"KIND:N or each:KIND with KIND one of entry, call, helper, return, tailcall, refused, hook; deepest, or\n" +
			"violation; FUNCTION+0xOFFSET for the instruction there, with :N its Nth execution; insn:N for instruction\n" +
			"number N; after:N or after:KIND:N for directly after the instruction of an event. Of a\n" +
			"file that --events of tcsim trace wrote, the run is repeated.\n\n" +
			"Examples:\n   tcsim stack hierarchy --target 6.12 --at tailcall:33\n" +
			"   tcsim stack hierarchy --target 6.1 --at violation\n   tcsim stack hierarchy --at tailcall:2 --svg - > stack.svg\n" +
			"   tcsim stack hierarchy --target 6.1 --at sub+0x21:3 --stale\n\n" + exitCodesInHelp,
		Flags: append(append(inputs.ObjectFlags(), lookFlags()...), targetFlag(true), limitFlag(), runFlag(), coreFlag(), jsonFlag(), keepGoingFlag(),
			&cli.BoolFlag{Name: "stale", Usage: "also draw what functions that have returned left below rsp"},
			&cli.StringFlag{Name: "at", Value: "deepest", Usage: "the moment"},
			svgFlag(),
			&cli.BoolFlag{Name: "all", Usage: "draw every frame of a long stack"},
		),
		Action: e.stack,
	}
}

func (e env) stack(ctx context.Context, cmd *cli.Command) error {
	at, err := e.moment(cmd)
	if err == nil {
		err = e.rerun(cmd)
	}
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
	drawings, err := s.Stack(ctx, cmd.Int("run"), at)
	if err != nil {
		return badInput(err)
	}
	return e.printDrawings(cmd, drawings)
}

// printDrawings writes stack drawings as text or JSON.
func (e env) printDrawings(cmd *cli.Command, drawings []runner.Drawing) error {
	if cmd.Bool("json") {
		return render.JSON(e.stdout, render.StacksOf(drawings))
	}
	if cmd.String("svg") != "" {
		return e.svgStacks(cmd, drawings)
	}
	look, err := e.look(cmd)
	if err == nil {
		render.StackText(e.drawn(look), drawings, cmd.Bool("all"), look)
	}
	return err
}
