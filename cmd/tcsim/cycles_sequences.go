// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"bytes"
	"context"
	"fmt"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/emu/timing/measured"
	"github.com/tcsim/tcsim/scenarios/bare"
	"github.com/tcsim/tcsim/scenarios/files"
)

// sequences returns the file of sequences that the command line names, or that of scenarios, and its text.
func (e env) sequences(ctx context.Context, cmd *cli.Command) ([]byte, *measured.File, error) {
	path := cmd.String("measured")
	var src []byte
	var err error
	switch with := cmd.Bool("scenarios"); {
	case with && (!cmd.Bool("host") || path != "" || cmd.Bool("learn") || cmd.IsSet("sweep")):
		return nil, nil, badUsage("--scenarios needs --host, and goes with neither --measured nor --learn nor --sweep")
	case !with && (cmd.NArg() != 0 || cmd.IsSet("target")):
		return nil, nil, badUsage("cycles: scenarios and --target go with --scenarios")
	case with:
		path = "scenarios"
		src, err = e.scenarioSequences(ctx, cmd)
	case path == "" && cmd.Bool("host"):
		path, src, err = files.Sequences()
	case path == "":
		return nil, nil, badUsage("cycles: --measured is missing: name a file of measured sequences, such as fixtures/uarch/measured.json of the sources, or measure here with --host")
	default:
		src, err = files.ReadFile(path, files.MaxFile)
		err = badInput(err)
	}
	if err != nil {
		return nil, nil, err
	}
	file, err := measured.Read(path, bytes.NewReader(src))
	return src, file, badInput(err)
}

// scenarioSequences makes the file of the scenarios that the command line names.
func (e env) scenarioSequences(ctx context.Context, cmd *cli.Command) ([]byte, error) {
	names := cmd.Args().Slice()
	if len(names) == 0 {
		names = files.Builtin()
	}
	bs, err := e.loadScenarios(names)
	if err != nil {
		return nil, err
	}
	ts, err := e.targets(cmd.StringSlice("target"), 0)
	if err != nil {
		return nil, err
	}
	bar := e.progress("scenarios")
	defer bar.Done()
	c, err := bare.Collect(ctx, bs, ts, bar.Set)
	if err != nil {
		return nil, err
	}
	if err := c.WriteText(e.stderr); err != nil {
		return nil, err
	}
	if len(c.Sequences) == 0 {
		return nil, fmt.Errorf("%w: no run of these scenarios can do without a kernel", errUntestable)
	}
	return measured.Write("unknown processor", "", c.Sequences)
}
