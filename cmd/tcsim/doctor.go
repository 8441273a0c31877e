// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/cmd/tcsim/render"
	"github.com/tcsim/tcsim/emu"
)

func (e env) doctorCommand() *cli.Command {
	return &cli.Command{
		Name:  "doctor",
		Usage: "test what tcsim relies on in the emulation engine",
		Description: "Prints the engine's version and runs self-tests: no stale translations after code was\n" +
			"changed, kernel addresses through page tables, the instructions that JITs emit, faults.\n\n" +
			"Example:\n   tcsim doctor\n\n" + exitCodesInHelp,
		Flags:  []cli.Flag{jsonFlag()},
		Action: e.doctor,
	}
}

func (e env) doctor(ctx context.Context, cmd *cli.Command) error {
	var rows []render.SelfTest
	ok := true
	for _, c := range emu.Doctor(ctx) {
		row := render.SelfTest{Name: c.Name, OK: c.Err == nil, Detail: c.Detail}
		if c.Err != nil {
			row.Detail, ok = c.Err.Error(), false
		}
		rows = append(rows, row)
	}
	if cmd.Bool("json") {
		if err := render.JSON(e.stdout, render.Doctor{Checks: rows, OK: ok, Schema: render.SchemaDoctor}); err != nil {
			return err
		}
	} else {
		e.doctorText(rows)
	}
	if !ok {
		return errFailed
	}
	return nil
}

func (e env) doctorText(rows []render.SelfTest) {
	for _, r := range rows {
		word := "ok"
		if !r.OK {
			word = "FAILED"
		}
		for i, line := range render.Fold(r.Name+": "+r.Detail, render.Width-9) {
			if i > 0 {
				word = ""
			}
			fmt.Fprintf(e.stdout, "%-8s %s\n", word, line)
		}
	}
}
