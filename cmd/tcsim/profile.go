// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"bytes"
	"context"
	"io"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/cmd/tcsim/profile"
	"github.com/tcsim/tcsim/emu/timing"
	"github.com/tcsim/tcsim/jit/outfile"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// profileFlags say which files tcsim trace writes.
func profileFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "pprof", Usage: "instead, write where the cycles go to this file, for go tool pprof"},
		&cli.StringFlag{Name: "folded", Usage: "instead, write the cycles of each stack to this file, for flame graphs; - is standard output"},
		&cli.StringFlag{Name: "perfetto", Usage: "instead, write calls over time to this file, in Chrome's trace format; - is standard output"},
	}
}

func writesProfile(cmd *cli.Command) bool {
	return cmd.String("pprof") != "" || cmd.String("folded") != "" || cmd.String("perfetto") != ""
}

// profile writes the files that profileFlags ask for.
func (e env) profile(ctx context.Context, cmd *cli.Command, s *runner.Session, core *timing.Core) error {
	run, inv, err := s.Invocation(ctx, cmd.Int("run"), core, cmd.Bool("warm"))
	if err != nil {
		return badInput(err)
	}
	c := s.Compiled()
	what := c.Built.Scenario.Name + " on " + c.Target.Name
	p, err := profile.Of(what, run, inv, core, cmd.Bool("warm"))
	if err != nil {
		return badInput(err)
	}
	for _, f := range []struct {
		flag  string
		write func(io.Writer) error
	}{
		{"pprof", p.WritePProf},
		{"folded", p.WriteFolded},
		{"perfetto", func(w io.Writer) error { return profile.WritePerfetto(w, what, run) }},
	} {
		name := cmd.String(f.flag)
		switch {
		case name == "":
			continue
		case name == "-" && f.flag == "pprof":
			return badUsage("--pprof: expected a file: a profile is no text")
		case name == "-":
			if err := f.write(e.stdout); err != nil {
				return err
			}
			continue
		}
		var b bytes.Buffer
		if err := f.write(&b); err != nil {
			return err
		}
		if err := outfile.Write(name, b.Bytes()); err != nil {
			return badInput(err)
		}
	}
	return nil
}
