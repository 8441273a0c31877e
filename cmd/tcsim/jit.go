// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/cmd/tcsim/render"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/nearest"
	"github.com/tcsim/tcsim/scenarios/runner"
)

func (e env) jitCommand() *cli.Command {
	return &cli.Command{
		Name:      "jit",
		Usage:     "list the machine code of a scenario's programs",
		ArgsUsage: "SCENARIO|FILE.o",
		Description: "Shows each BPF instruction with its x86 code, as the target's kernel emits it with empty prog\n" +
			"arrays. --diff shows two targets side by side, aligned by BPF instruction.\n\n" +
			"Examples:\n   tcsim jit hierarchy --target 6.12\n   tcsim jit hierarchy --diff 6.1,6.12\n\n" + exitCodesInHelp,
		Flags: []cli.Flag{
			targetFlag(true), limitFlag(), jsonFlag(), entryFlag(), fillFlag(), btfFlag(), typeFlag(), sizeFlag(), setFlag(),
			&cli.StringSliceFlag{Name: "diff", Usage: "two targets, separated by a comma, to compare"},
			&cli.IntFlag{Name: "context", Value: -1, Usage: "with --diff, show only this many BPF instructions around each difference"},
			widthFlag(), colorFlag(),
			&cli.BoolFlag{Name: "att", Usage: "AT&T text as scenario files expect it under jited"},
			&cli.StringFlag{Name: "program", Aliases: []string{"p"}, Usage: "only this program"},
		},
		Action: e.jit,
	}
}

func (e env) jit(_ context.Context, cmd *cli.Command) error {
	if cmd.NArg() != 1 {
		return badUsage("jit takes one scenario, found %d arguments (see tcsim jit --help)", cmd.NArg())
	}
	look, err := e.look(cmd)
	if err != nil {
		return err
	}
	names := cmd.StringSlice("diff")
	switch len(names) {
	case 0:
		t, err := e.oneTarget(cmd)
		if err != nil {
			return err
		}
		names = []string{t.Name}
	case 2:
		if cmd.Bool("att") {
			return badUsage("--att and --diff exclude each other")
		}
	default:
		return badUsage("--diff takes two targets, found %d", len(names))
	}
	opt, err := objectOptions(cmd)
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
	var whole *runner.Compiled
	for _, t := range ts {
		c, err := runner.Compile(b, t)
		if err != nil {
			return badInput(err)
		}
		whole = c
		if c, err = onlyProgram(c, cmd.String("program")); err != nil {
			return err
		}
		cs = append(cs, c)
	}
	switch {
	case len(cs) == 2 && cmd.Bool("json"):
		return render.JSON(e.stdout, render.CodeDiff{Differences: render.Differences(cs), Schema: render.SchemaJIT, Targets: names})
	case len(cs) == 2:
		return e.jitDiff(cs, cmd.Int("context"), look)
	case cmd.Bool("att"):
		return e.jitATT(whole, cmd.String("program"))
	case cmd.Bool("json"):
		return render.JSON(e.stdout, render.Code{Functions: render.Listing(cs[0]), Schema: render.SchemaJIT, Target: cs[0].Target.Name})
	}
	return e.jitText(cs[0], look)
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

func (e env) jitText(c *runner.Compiled, look render.Look) error {
	for _, img := range c.Images {
		for i := range img.Funcs {
			if err := image.WriteListingIn(e.stdout, &img.Funcs[i], img.Program, look.Columns()); err != nil {
				return err
			}
			fmt.Fprintln(e.stdout)
		}
	}
	return nil
}

// jitATT prints functions as the kernel's selftests see them, with prog arrays filled.
func (e env) jitATT(c *runner.Compiled, program string) error {
	s, err := runner.Open(c, runner.Options{})
	if err != nil {
		return err
	}
	defer s.Close()
	begun, err := s.Begin()
	if err != nil {
		return err
	}
	if st := begun.Stopped(); st != nil {
		fmt.Fprintf(e.stderr, "tcsim: scenario %s on %s: %v\n", c.Built.Scenario.Name, c.Target.Name, st)
		return errFailed
	}
	for i, img := range c.Images {
		name := c.Built.Programs[i].Name
		if program != "" && program != name {
			continue
		}
		fmt.Fprintf(e.stdout, "# %s\n", name)
		for k := range img.Funcs {
			lines, err := s.ATT(i, k)
			if err != nil {
				return err
			}
			fmt.Fprintf(e.stdout, "func #%d:\n", k)
			for _, l := range lines {
				fmt.Fprintln(e.stdout, l)
			}
		}
	}
	return nil
}

// jitDiff prints a comparison; context is how many BPF instructions around differences are shown, all if
// it is negative.
func (e env) jitDiff(cs []*runner.Compiled, context int, look render.Look) error {
	bytesA, bytesB, insnsA, insnsB := 0, 0, 0, 0
	for _, d := range render.Diffs(cs) {
		bytesA += d.BytesA
		bytesB += d.BytesB
		insnsA += d.InsnsA
		insnsB += d.InsnsB
		if err := look.Diff(e.drawn(look), &d, context); err != nil {
			return err
		}
		fmt.Fprintln(e.stdout)
	}
	all := fmt.Sprintf("all functions: %s %d bytes, %d instructions; %s %d bytes, %d instructions (%+d, %+d)",
		cs[0].Target.Name, bytesA, insnsA, cs[1].Target.Name, bytesB, insnsB, bytesB-bytesA, insnsB-insnsA)
	for _, line := range render.Fold(all, look.Columns()) {
		fmt.Fprintln(e.stdout, line)
	}
	return nil
}
