// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/emu"
)

func (e env) doctorCommand() *cli.Command {
	return &cli.Command{
		Name:  "doctor",
		Usage: "test what tcsim relies on in the emulation engine",
		Description: "Prints the engine's version and runs self-tests: no stale translations after code was changed,\n" +
			"kernel addresses behind page tables, the instructions that JITs emit, faults.\n\n" +
			"Example:\n   tcsim doctor\n\n" + exitCodesInHelp,
		Flags:  []cli.Flag{jsonFlag()},
		Action: e.doctor,
	}
}

// doctorRow is one self-test.
type doctorRow struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
}

func (e env) doctor(ctx context.Context, cmd *cli.Command) error {
	var rows []doctorRow
	ok := true
	for _, c := range emu.Doctor(ctx) {
		row := doctorRow{c.Name, c.Err == nil, c.Detail}
		if c.Err != nil {
			row.Detail, ok = c.Err.Error(), false
		}
		rows = append(rows, row)
	}
	if cmd.Bool("json") {
		if err := e.printJSON("doctor", map[string]any{"ok": ok, "checks": rows}); err != nil {
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

func (e env) doctorText(rows []doctorRow) {
	for _, r := range rows {
		word := "ok"
		if !r.OK {
			word = "FAILED"
		}
		for i, line := range fold(r.Name+": "+r.Detail, width-9) {
			if i > 0 {
				word = ""
			}
			fmt.Fprintf(e.stdout, "%-8s %s\n", word, line)
		}
	}
}
