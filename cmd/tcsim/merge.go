// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/cmd/tcsim/render"
	"github.com/tcsim/tcsim/cmd/tcsim/units"
	"github.com/tcsim/tcsim/jit/outfile"
	"github.com/tcsim/tcsim/jit/parts"
	"github.com/tcsim/tcsim/scenarios/campaign"
)

func (e env) mergeCommand() *cli.Command {
	return &cli.Command{
		Name: "merge", Usage: "add the parts of a command's work up to what one machine would have printed",
		ArgsUsage: "FILE...",
		Description: "Reads what fuzz, matrix, explore, conform, replay or vm printed with --shard 1/N to N/N, each into a file,\n" +
			"and prints what one machine prints without it, byte for byte, with the same files of failures. Parts that\n" +
			"are missing, there twice or of another command are named. docs/cluster.md has files for Slurm and others.\n\n" +
			"Example:\n   tcsim merge part1.json part2.json part3.json\n\n" + exitCodesInHelp,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "out", Value: "fuzz-found", Usage: "folder for the files of failures; created when there is one"},
			&cli.StringSliceFlag{Name: "corpus", Usage: "folder of a campaign with --generation, and further ones, as for the parts"},
			jsonFlag(), tableFlags()[0], tableFlags()[1], tableFlags()[2],
		},
		Action: e.merge,
	}
}

func (e env) merge(ctx context.Context, cmd *cli.Command) error {
	if cmd.NArg() == 0 {
		return badUsage("merge needs the files of all parts (see tcsim merge --help)")
	}
	if err := outfile.Check(filepath.Join(cmd.String("out"), "found")); err != nil {
		return badInput(err)
	}
	names := cmd.Args().Slice()
	shards, sum, err := units.Read(names)
	if err := cmp.Or(err, ctx.Err()); err != nil {
		return err
	}
	if sum != nil {
		return merged(cmd, sum)
	}
	whole, err := campaign.Merge(shards, names)
	if err != nil {
		return badInput(err)
	}
	same := whole.Campaign
	c := &campaign.Campaign{Source: same.Source, Graphs: same.Cases, Targets: same.Targets, Limit: same.Limit, During: same.During, Shrink: same.Shrink}
	c.Generation = cmd.IsSet("corpus")
	if err := c.OpenCorpus(cmd.StringSlice("corpus"), false); err != nil {
		return badInput(err)
	}
	if err := ctx.Err(); err != nil { // what follows writes files: all of them, or none
		return err
	}
	kept, err := c.KeepMerged(whole)
	if err != nil {
		return badInput(err)
	}
	if kept != nil {
		fmt.Fprintln(e.stderr, "fuzz:", kept)
	}
	return e.fuzzed(cmd, c, whole, false, nil)
}

// mergedCommand is the error of a merge whose answer another command line gives: that of the parts, with what merge was asked
// for in addition.
type mergedCommand struct {
	sum  *parts.Work
	args []string
}

// Error says what it is.
func (m *mergedCommand) Error() string { return "parts of another command" }

func merged(cmd *cli.Command, sum *parts.Work) error {
	m := &mergedCommand{sum, sum.Command()}
	for _, f := range append(cmd.Flags, cmd.Root().Flags...) {
		if name := f.Names()[0]; cmd.IsSet(name) && name != "out" && name != "corpus" {
			m.args = slices.Insert(m.args, 1, fmt.Sprintf("--%s=%v", name, cmd.Value(name)))
		}
	}
	return m
}

// printPart prints a part of a command's work, which ended with an error if it is not complete.
func (e env) printPart(ctx context.Context, w *parts.Work, failed error) error {
	if ctx.Err() != nil {
		return errInterrupted
	}
	f, err := w.File()
	if err := cmp.Or(failed, err); err != nil {
		return err
	}
	return render.JSON(e.stdout, f)
}
