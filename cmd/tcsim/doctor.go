// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/cmd/tcsim/render"
	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/jit/source"
)

func (e env) doctorCommand() *cli.Command {
	return &cli.Command{
		Name:      "doctor",
		Usage:     "test what tcsim relies on in the emulation engine",
		ArgsUsage: "[src:TREE...]",
		Description: "Prints the engine's version and runs self-tests: no stale translations after code was\n" +
			"changed, kernel addresses through page tables, the instructions that JITs emit, faults.\n\n" +
			"Of kernel sources, as in tcsim doctor src:TREE, it lists what their C file takes from elsewhere,\n" +
			"each fact with where it was read.\n\n" +
			"Example:\n   tcsim doctor\n\n" + exitCodesInHelp,
		Flags:  []cli.Flag{jsonFlag()},
		Action: e.doctor,
	}
}

func (e env) doctor(ctx context.Context, cmd *cli.Command) error {
	if cmd.NArg() > 0 {
		return e.doctorSources(cmd)
	}
	var rows []render.SelfTest
	var verdict error
	bar := e.progress("doctor")
	checks := emu.Doctor(ctx, bar.Set)
	bar.Done()
	interrupted := ctx.Err() != nil
	for _, c := range checks {
		row := render.SelfTest{Name: c.Name, OK: c.Err == nil, Detail: c.Detail}
		if c.Err != nil {
			row.Detail, verdict = c.Err.Error(), errFailed
		}
		rows = append(rows, row)
	}
	if cmd.Bool("json") {
		if err := render.JSON(e.stdout, render.Doctor{Checks: rows, Interrupted: interrupted, OK: verdict == nil, Schema: render.SchemaDoctor}); err != nil {
			return err
		}
	} else {
		render.DoctorText(e.stdout, rows)
	}
	return orInterrupted(interrupted, verdict)
}

// doctorSources lists the facts of kernel sources.
func (e env) doctorSources(cmd *cli.Command) error {
	ts, err := e.targets(cmd.Args().Slice(), 0)
	if err != nil {
		return err
	}
	var out []render.SourceFacts
	for _, t := range ts {
		j, ok := t.Emitter.(*source.JIT)
		if !ok {
			return badUsage("doctor takes kernel sources, such as src:TREE; %s is not one", t.Name)
		}
		f := j.Facts()
		s := render.SourceFacts{Target: t.Name, Source: t.Source, Version: f.Version.String(), Design: t.Design.String(), Unedited: j.Releases()}
		for _, x := range slices.Concat(f.List, f.Taken) {
			s.Facts = append(s.Facts, render.Fact(x))
		}
		out = append(out, s)
	}
	if cmd.Bool("json") {
		return render.JSON(e.stdout, render.DoctorSources{Schema: render.SchemaDoctorSources, Sources: out})
	}
	_, err = fmt.Fprint(e.stdout, render.SourceFactsText(out))
	return err
}
