// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/jit/outfile"
	"github.com/tcsim/tcsim/scenarios/campaign"
)

func (e env) mergeCommand() *cli.Command {
	return &cli.Command{
		Name: "merge", Usage: "add the parts of a campaign up to what one machine would have printed",
		ArgsUsage: "FILE...",
		Description: "Reads what tcsim fuzz --shard 1/N to N/N printed, each into a file, and prints what the whole campaign\n" +
			"prints, byte for byte, with the same files of failures. Parts that are missing, there twice or of another\n" +
			"campaign are named. docs/cluster.md has files for Slurm, Kubernetes and others.\n\n" +
			"Example:\n   tcsim merge part1.json part2.json part3.json\n\n" + exitCodesInHelp,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "out", Value: "fuzz-found", Usage: "folder for the files of failures; created when there is one"},
			jsonFlag(), tableFlags()[0], tableFlags()[1], tableFlags()[2],
		},
		Action: e.merge,
	}
}

func (e env) merge(_ context.Context, cmd *cli.Command) error {
	if cmd.NArg() == 0 {
		return badUsage("merge needs the files of all parts (see tcsim merge --help)")
	}
	if err := outfile.Check(filepath.Join(cmd.String("out"), "found")); err != nil {
		return badInput(err)
	}
	var parts []*campaign.FuzzShard
	var wrong []error
	for _, name := range cmd.Args().Slice() {
		text, err := os.ReadFile(name)
		if err == nil {
			var p *campaign.FuzzShard
			if p, err = campaign.ReadShard(text); err == nil {
				parts = append(parts, p)
				continue
			}
			err = fmt.Errorf("%s: %w", name, err)
		}
		wrong = append(wrong, err)
	}
	if err := errors.Join(wrong...); err != nil {
		return badInput(err)
	}
	whole, err := campaign.Merge(parts, cmd.Args().Slice())
	if err != nil {
		return badInput(err)
	}
	same := whole.Campaign
	c := &campaign.Campaign{Source: same.Source, Graphs: same.Cases, Targets: same.Targets, Limit: same.Limit, During: same.During, Shrink: same.Shrink}
	return e.fuzzed(cmd, c, whole, false, nil)
}
