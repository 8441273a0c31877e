// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"io"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/cmd/tcsim/ci"
)

// forms are the forms of output that test harnesses read.
var forms = []struct {
	name, usage string
	write       func(io.Writer, string, []ci.Test) error
}{
	{"tap", "print TAP 14 instead of text: a test for each scenario on each target", ci.WriteTAP},
	{"ktap", "print KTAP, the kernel's TAP, instead of text: a test for each target, a subtest for each scenario", ci.WriteKTAP},
	{"junit", "print JUnit XML instead of text: a suite for each target, a case for each scenario and invariant", ci.WriteJUnit},
	{"sarif", "print SARIF 2.1.0 instead of text: what failed, with file and line", ci.WriteSARIF},
}

// ciFlags choose one of forms, and annotations.
func ciFlags() []cli.Flag {
	var out []cli.Flag
	for _, f := range forms {
		out = append(out, &cli.BoolFlag{Name: f.name, Usage: f.usage})
	}
	return append(out, &cli.BoolFlag{
		Name: "github", Usage: "also print annotations for GitHub Actions on standard error, as is done there without being asked",
	})
}

// ciForm returns the writer that the flags of ciFlags ask for, nil for none.
func ciForm(cmd *cli.Command) (write func(io.Writer, string, []ci.Test) error, err error) {
	names := []string{"--json"}
	chosen := 0
	if cmd.Bool("json") {
		chosen++
	}
	for _, f := range forms {
		names = append(names, "--"+f.name)
		if cmd.Bool(f.name) {
			chosen++
			write = f.write
		}
	}
	if chosen > 1 {
		return nil, badUsage("%s exclude each other: give one of them", strings.Join(names, ", "))
	}
	return write, nil
}

// annotate prints annotations if they are asked for, or this is GitHub Actions.
func (e env) annotate(cmd *cli.Command, verb string, tests func() []ci.Test) error {
	if !cmd.Bool("github") && !e.actions {
		return nil
	}
	return ci.WriteGitHub(e.stderr, verb, tests())
}
