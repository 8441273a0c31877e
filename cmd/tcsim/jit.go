// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/cmd/tcsim/inputs"

	"github.com/tcsim/tcsim/cmd/tcsim/render"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/nearest"
	"github.com/tcsim/tcsim/scenarios/inspect"
	"github.com/tcsim/tcsim/scenarios/replay"
	"github.com/tcsim/tcsim/scenarios/runner"
)

func (e env) jitCommand() *cli.Command {
	return &cli.Command{
		Name:      "jit",
		Usage:     "list the machine code of a scenario's programs",
		ArgsUsage: "SCENARIO|FILE.o|CAPTURE",
		Description: "Shows each BPF instruction with its x86 code: as the target's kernel emits it, with empty prog arrays,\n" +
			"or with --state filled as the scenario begins. --diff shows two targets side by side, aligned by BPF\n" +
			"instruction, with sizes, bytes that differ, and what makes them differ: facts of the kernels' registry,\n" +
			"each tried alone. Of a capture the code is what the kernel had, at its addresses.\n\n" +
			"Examples:\n   tcsim jit hierarchy --target 6.12\n   tcsim jit hierarchy --diff 6.1,6.12\n" +
			"   tcsim jit fixtures/kernels/6.1-off.jsonl.gz --scenario hier/self/const/n2/r6 --state filled\n\n" + exitCodesInHelp,
		Flags: append(append([]cli.Flag{targetFlag(true), limitFlag(), jsonFlag()}, inputs.LoadFlags()...),
			&cli.StringSliceFlag{Name: "diff", Usage: "two targets, separated by a comma, to compare"},
			&cli.IntFlag{Name: "context", Value: -1, Usage: "with --diff, show only this many BPF instructions around each difference"},
			widthFlag(), colorFlag(),
			&cli.BoolFlag{Name: "att", Usage: "AT&T text as scenario files expect it under jited"},
			&cli.StringFlag{Name: "state", Usage: "empty or filled prog arrays (default empty, with --att filled)"},
			&cli.StringFlag{Name: "scenario", Aliases: []string{"s"}, Usage: "of a capture: only this one, or with a star at the end all that begin with it"},
			&cli.StringFlag{Name: "program", Aliases: []string{"p"}, Usage: "only this program"},
		),
		Action: e.jit,
	}
}

func (e env) jit(_ context.Context, cmd *cli.Command) error {
	if cmd.NArg() != 1 {
		return badUsage("jit takes one scenario, found %s (see tcsim jit --help)", render.Plural(cmd.NArg(), "argument"))
	}
	if n := cmd.Int("context"); cmd.IsSet("context") && n < 0 {
		return badUsage("--context: expected at least 0, found %d", n)
	}
	look, err := e.look(cmd)
	if err != nil {
		return err
	}
	state, err := render.StateOf(cmd.String("state"), cmd.Bool("att"))
	if err != nil {
		return badUsage("--state: %w", err)
	}
	if path := cmd.Args().First(); capture.IsFile(path) {
		return e.jitCapture(cmd, path, state)
	}
	names := cmd.StringSlice("diff")
	switch len(names) {
	case 0:
		names = []string{cmd.String("target")}
		if names[0] == "all" || strings.Contains(names[0], ",") {
			return badUsage("jit takes one target, found %q", names[0])
		}
	case 2:
		if cmd.Bool("att") {
			return badUsage("--att and --diff exclude each other")
		}
	default:
		return badUsage("--diff takes two targets, found %d", len(names))
	}
	opt, err := inputs.ObjectOptions(cmd)
	if err != nil {
		return err
	}
	b, err := e.wholeInput(cmd.Args().First(), opt)
	if err != nil {
		return badInput(err)
	}
	ts, err := e.targets(names, cmd.Uint32("limit"))
	if err != nil {
		return err
	}
	var cs []*runner.Compiled
	var refused []error
	for _, t := range ts {
		var c *runner.Compiled
		if c, refused = runner.CompileAccepted(b, t); len(refused) > 0 && (len(ts) > 1 || state == render.Filled || len(c.Images) == 0) {
			return badInput(errors.Join(refused...))
		}
		if err := e.noteInspected(c); err != nil {
			return err
		}
		if state == render.Filled {
			if c, err = filled(c); err != nil {
				return err
			}
		}
		if c, err = onlyProgram(c, cmd.String("program")); err != nil {
			return err
		}
		cs = append(cs, c)
	}
	switch {
	case len(cs) == 2 && cmd.Bool("json"):
		return render.JSON(e.stdout, render.CodeDiffOf(cs, state, runner.Why(b, ts[0], ts[1])))
	case len(cs) == 2:
		return render.CodeDiffText(e.drawn(look), cs, state, cmd.Int("context"), runner.Why(b, ts[0], ts[1]), look)
	case cmd.Bool("att"):
		err = render.CodeATT(e.stdout, cs[0], state)
	case cmd.Bool("json"):
		err = render.JSON(e.stdout, render.CodeOf(cs[0], state))
	default:
		err = render.CodeText(e.stdout, cs[0], state, look)
	}
	if err == nil && len(refused) > 0 {
		err = badInput(fmt.Errorf("%s on %s:\n%w", render.Plural(len(refused), "refusal"), ts[0].Name, errors.Join(refused...)))
	}
	return err
}

// noteInspected says on standard error what the code of a kernel's source shows without being run.
func (e env) noteInspected(c *runner.Compiled) error {
	if c.Target.Emitter == nil {
		return nil
	}
	rep, err := inspect.Code(c)
	if err != nil {
		return err
	}
	fmt.Fprint(e.stderr, render.InspectedText(c.Target.Name, rep))
	return nil
}

// filled replaces the images of a compilation by what they are where the scenario begins.
func filled(c *runner.Compiled) (*runner.Compiled, error) {
	s, err := runner.Open(c, runner.Options{})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	begun, err := s.Begin()
	if err != nil {
		return nil, err
	}
	if st := begun.Stopped(); st != nil {
		return nil, badInput(fmt.Errorf("scenario %s on %s: %v", c.Built.Scenario.Name, c.Target.Name, st))
	}
	now := *c
	now.Images, err = s.Filled()
	return &now, err
}

// jitCapture lists what a kernel emitted.
func (e env) jitCapture(cmd *cli.Command, path string, state render.CodeState) error {
	for _, f := range []string{"target", "diff", "att", "limit"} {
		if cmd.IsSet(f) {
			return badUsage("--%s is for scenarios: a capture has the code of its kernel", f)
		}
	}
	look, err := e.look(cmd)
	if err != nil {
		return err
	}
	src, t, err := e.openCapture(path)
	if err != nil {
		return err
	}
	picked, err := replay.Select(src, cmd.String("scenario"))
	if err != nil {
		return badInput(err)
	}
	var all []render.CapturedCode
	for _, i := range picked {
		c, err := render.CapturedOf(src, t, i, state, cmd.String("program"))
		if err != nil && len(picked) == 1 {
			return badInput(err)
		}
		if err != nil {
			fmt.Fprintln(e.stderr, err)
			continue
		}
		all = append(all, c)
	}
	if cmd.Bool("json") {
		return render.JSON(e.stdout, render.CapturedCodes{Scenarios: all, Schema: render.SchemaJIT, State: state})
	}
	return render.CapturedText(e.stdout, all, state, look)
}

// onlyProgram drops the images of other programs; "" keeps all.
func onlyProgram(c *runner.Compiled, name string) (*runner.Compiled, error) {
	if name == "" {
		return c, nil
	}
	for i := range c.Built.Programs {
		if c.Built.Programs[i].Name == name {
			one := *c
			one.Images = c.Images[i : i+1]
			return &one, nil
		}
	}
	var names []string
	for i := range c.Built.Programs {
		names = append(names, c.Built.Programs[i].Name)
	}
	return nil, badUsage("--program: scenario %s has no program %q%s; it has %s", c.Built.Scenario.Name, name, nearest.DidYouMean(name, names), render.Words(names))
}
