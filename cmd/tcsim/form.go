// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"io"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/cmd/tcsim/render"
)

// ciFlags choose the forms of output that test harnesses read.
func ciFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "tap", Usage: "print TAP 14 instead of text: a test for each scenario on each target"},
		&cli.BoolFlag{Name: "junit", Usage: "print JUnit XML instead of text: a suite for each target, a case for each scenario"},
	}
}

// ciForm returns the writer that the flags of ciFlags ask for, nil for none.
func ciForm(cmd *cli.Command) (func(io.Writer, string, []render.Test) error, error) {
	chosen := 0
	for _, name := range []string{"json", "tap", "junit"} {
		if cmd.Bool(name) {
			chosen++
		}
	}
	switch {
	case chosen > 1:
		return nil, badUsage("--json, --tap and --junit exclude each other: give one of them")
	case cmd.Bool("tap"):
		return render.WriteTAP, nil
	case cmd.Bool("junit"):
		return render.WriteJUnit, nil
	}
	return nil, nil
}
