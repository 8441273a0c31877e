// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/cmd/tcsim/render"
	"github.com/tcsim/tcsim/cmd/tcsim/units"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/outfile"
	"github.com/tcsim/tcsim/jit/parts"
	"github.com/tcsim/tcsim/scenarios/campaign"
	"github.com/tcsim/tcsim/scenarios/graph"
)

func (e env) fuzzCommand() *cli.Command {
	return &cli.Command{
		Name:  "fuzz",
		Usage: "compare random graphs, or all small ones, with the reference interpreter",
		Description: "Makes graphs of programs that call and tail call each other, with updates of their prog arrays\n" +
			"between runs, and plays each on every target: no invariant may break, and return values, map\n" +
			"contents and the taken tail calls must be those of BPF. A failure is minimised and written as a\n" +
			"scenario that reproduces it (tcsim run FILE) and as BPF C for a selftest. Some updates are also\n" +
			"played during a run; tcsim explore FILE shows what goes wrong then (\"during\"). Kernels up to\n" +
			"6.11 count in each frame: where that takes more tail calls than it should, they must do exactly\n" +
			"what a counter per frame predicts (\"foreseen\"). The same seed gives the same output.\n\n" +
			"Examples:\n   tcsim fuzz --n 100000 --seed 7\n" +
			"   tcsim fuzz --n 500 --target pop-nop-push,hier-rfc1 --out found\n" +
			"   tcsim fuzz --kind insns --n 20000\n" +
			"   tcsim fuzz --exhaustive 4\n\n" + exitCodesInHelp,
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "n", Value: 1000, Usage: "number of random graphs or programs"},
			&cli.Uint64Flag{Name: "seed", Value: 1, Usage: "seed of the random graphs and programs"},
			&cli.StringFlag{Name: "kind", Value: "graphs", Usage: "what random cases are: graphs; insns (single programs of all instructions, compared at each one); mixed (every second one)"},
			&cli.IntFlag{Name: "exhaustive", HideDefault: true, Usage: fmt.Sprintf("play every graph of at most this many programs and call sites instead, 1 to %d", graph.MaxAll)},
			&cli.StringSliceFlag{
				Name: "target", Aliases: []string{"t"}, Value: jit.KernelNames(),
				Usage: "kernels or designs to compile for, separated by commas; \"correct\" means all that hold the limit and have no known\n" +
					"fault, \"by-value\" all that count in each frame and have no other fault, \"all\" every one",
			},
			limitFlag(),
			&cli.IntFlag{Name: "during", Value: 4, Usage: "in every eighth graph, how many schedules of each update to play during a run"},
			&cli.DurationFlag{Name: "timeout", Value: time.Minute, Usage: "how long a graph may take before its worker is killed"},
			&cli.IntFlag{Name: "workers", Value: 2, Usage: "worker processes to run in parallel"},
			&cli.IntFlag{Name: "shrink", Value: 10, Usage: "how many failures to minimise and write to files, the first of each kind on each target"},
			&cli.StringFlag{Name: "out", Value: "fuzz-found", Usage: "folder for the files of failures; created when there is one"},
			&cli.StringSliceFlag{Name: "corpus", Usage: "folder that keeps cases which reach something new, to be varied; goes on where that\nstopped, and takes over what is in further folders"},
			&cli.BoolFlag{Name: "generation", Usage: "with --corpus: vary what the folder holds at the beginning only, so that parts (--shard) add up"},
			&cli.BoolFlag{Name: "minimise", Usage: "take cases out of the folder that reach nothing that others do not"},
			&cli.StringFlag{Name: "shard", Usage: "play part I of N of the cases and print what tcsim merge adds up, as I/N"},
			jsonFlag(), tableFlags()[0], tableFlags()[1], tableFlags()[2],
		},
		Action: e.fuzz,
	}
}

func (e env) fuzz(ctx context.Context, cmd *cli.Command) error {
	c, err := e.fuzzCampaign(cmd)
	_, wrong := wantsTable(cmd)
	wrongTable := render.FuzzTable(&campaign.CampaignReport{}).Choose(tableChoice(cmd)) // before hours of work
	if err := errors.Join(err, wrong, badInput(wrongTable)); err != nil {
		return err
	}
	if err := outfile.Check(filepath.Join(cmd.String("out"), "found")); err != nil {
		return badInput(err)
	}
	bar := e.rateBar("fuzz", len(c.Targets))
	c.Progress = bar.Set
	began := time.Now()
	r, ran := c.Run(ctx)
	bar.Done()
	if r == nil {
		return ran
	}
	took := time.Since(began)
	runs := float64(r.Graphs * len(r.Targets))
	fmt.Fprintf(e.stderr, "fuzz: %.0f runs in %v, %.0f per second\n", runs, took.Round(time.Millisecond), runs/took.Seconds())
	for _, text := range render.FuzzNotes(c, r) {
		fmt.Fprintln(e.stderr, "fuzz:", text)
	}
	part, err := c.File(r)
	if err != nil {
		return err
	}
	if c.Shard.Of != 0 {
		switch err := errors.Join(ran, render.JSON(e.stdout, part)); {
		case err != nil:
			return err
		case r.Interrupted:
			return errInterrupted
		}
		return nil // what failed is for the whole to say
	}
	return e.fuzzed(cmd, c, part, r.Interrupted, ran)
}

// fuzzed prints a campaign, or the sum of its parts, and writes the files of failures.
func (e env) fuzzed(cmd *cli.Command, c *campaign.Campaign, part *campaign.FuzzShard, interrupted bool, ran error) error {
	long, _ := wantsTable(cmd)
	r := &campaign.CampaignReport{Graphs: part.Cases, Targets: part.Targets, Interrupted: interrupted}
	failures, lost := units.WriteFailures(part, cmd.String("out"))
	var err error
	switch {
	case long:
		err = printTable(e, cmd, render.FuzzTable(r))
	case cmd.Bool("json"):
		err = render.JSON(e.stdout, render.FuzzResult{
			Seed: c.Source.Seed, Kind: c.Source.Kind.Word(), Exhaustive: c.Source.All, Graphs: r.Graphs, Targets: r.Targets,
			Failures: failures, Interrupted: r.Interrupted, Schema: render.SchemaFuzz,
		})
	default:
		_, err = fmt.Fprint(e.stdout, render.FuzzText(c, r, failures))
	}
	switch err := errors.Join(ran, lost, err); {
	case err != nil:
		return err
	case r.Interrupted:
		return errInterrupted
	case len(failures) > 0:
		return errFailed
	}
	return nil
}

// fuzzCampaign reads the flags.
func (e env) fuzzCampaign(cmd *cli.Command) (*campaign.Campaign, error) {
	if cmd.NArg() != 0 {
		return nil, badUsage("fuzz takes no arguments, found %q (see tcsim fuzz --help)", cmd.Args().First())
	}
	ts, err := e.targets(campaign.TargetsNamed(cmd.StringSlice("target")), cmd.Uint32("limit"))
	if err != nil {
		return nil, err
	}
	c := &campaign.Campaign{
		Graphs: cmd.Int("n"), Limit: cmd.Uint32("limit"), Workers: cmd.Int("workers"), Shrink: cmd.Int("shrink"),
		During: cmd.Int("during"), Start: e.launch(), Hang: cmd.Duration("timeout"),
	}
	for _, t := range ts {
		c.Targets = append(c.Targets, t.Name)
	}
	if text := cmd.String("shard"); text != "" {
		if c.Shard, err = parts.ParseShard(text); err != nil {
			return nil, badUsage("--shard: %v", err)
		}
	}
	all := cmd.Int("exhaustive")
	kind, known := campaign.FuzzKinds[cmd.String("kind")]
	switch {
	case cmd.IsSet("exhaustive") && (cmd.IsSet("n") || cmd.IsSet("seed")):
		return nil, badUsage("--exhaustive plays every graph: --n and --seed are for random ones")
	case !known:
		return nil, badUsage("--kind: expected graphs, insns or mixed, found %q", cmd.String("kind"))
	case cmd.IsSet("exhaustive") && kind != campaign.FuzzGraphs:
		return nil, badUsage("--exhaustive is for graphs, --kind %s is not", cmd.String("kind"))
	case cmd.IsSet("exhaustive") && (all < 1 || all > graph.MaxAll):
		return nil, badUsage("--exhaustive: expected 1 to %d, found %d", graph.MaxAll, all)
	case c.Hang <= 0:
		return nil, badUsage("--timeout: expected more than 0, found %v", c.Hang)
	case c.Graphs < 1:
		return nil, badUsage("--n: expected at least 1, found %d", c.Graphs)
	case c.Workers < 1:
		return nil, badUsage("--workers: expected at least 1, found %d", c.Workers)
	case c.Shrink < 0:
		return nil, badUsage("--shrink: expected at least 0, found %d", c.Shrink)
	case c.During < 0:
		return nil, badUsage("--during: expected at least 0, found %d", c.During)
	case len(c.Targets) == 0:
		return nil, badUsage("--target: expected at least one")
	}
	if c.Source.Seed, c.Source.Kind = cmd.Uint64("seed"), kind; all != 0 {
		c.Source = campaign.FuzzSource{All: all}
	}
	c.Generation = cmd.Bool("generation")
	return c, badInput(c.OpenCorpus(cmd.StringSlice("corpus"), cmd.Bool("minimise")))
}
