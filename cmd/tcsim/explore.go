// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/cmd/tcsim/inputs"

	"github.com/tcsim/tcsim/cmd/tcsim/render"
	"github.com/tcsim/tcsim/cmd/tcsim/units"
	"github.com/tcsim/tcsim/emu/explore"
	"github.com/tcsim/tcsim/scenarios/interleave"
)

// errUndecided ends a command that found nothing wrong but did not see everything.
var errUndecided = errors.New("not exhaustive")

func (e env) exploreCommand() *cli.Command {
	return &cli.Command{
		Name:      "explore",
		Usage:     "try every interleaving of map updates with a run",
		ArgsUsage: "SCENARIO",
		Description: "One processor executes a run of the scenario, another one updates a prog array slot: the pointer,\n" +
			"then the text pokes of each direct tail call with their three writes, and the RCU waits. Every way\n" +
			"in which these steps can fall between the executed instructions is judged. For a failure the\n" +
			"shortest schedule is printed, with its trace and the stack where it breaks.\n\n" +
			"Without --update and --to, the updates are those of the scenario, each against the run before it\n" +
			"and the one after it; if it has none, every kind on every slot. If --max is reached and nothing\n" +
			"was found wrong, the verdict is \"not exhaustive\" and the exit code 125.\n\n" +
			"Examples:\n   tcsim explore tailcall_1 --target 6.12 --update all\n" +
			"   tcsim explore tailcall_1 --target 6.12 --slot 'jmp_table[0]' --to empty --no-rcu\n" +
			"   tcsim explore tailcall_1 --target ip-aux --update delete\n" +
			"   tcsim explore poke_one_site --target 6.12,direct-poke,ip-aux --update all\n\n" + exitCodesInHelp,
		Flags: append(inputs.ObjectFlags(),
			severalTargets("6.12"), limitFlag(), units.ShardFlag("updates on all targets"), jsonFlag(), colorFlag(),
			&cli.StringFlag{Name: "update", Usage: "insert, replace, delete, delete-empty, or all of them, separated by commas; joined by +, as in delete+insert, one after the other during the run"},
			&cli.StringFlag{Name: "slot", Usage: "only this slot, as in jmp_table[0]"},
			&cli.StringFlag{Name: "to", Usage: "what --slot gets: a program of the scenario, or \"empty\"; several, separated by commas, one after the other"},
			&cli.BoolFlag{Name: "sequence", Usage: "updates of the scenario that follow each other are done one after the other during the run, as by a loader that refills a prog array"},
			&cli.IntFlag{Name: "run", HideDefault: true, Usage: "number of the run in the scenario, from 1 (default: the first, or those next to the updates)"},
			&cli.IntFlag{Name: "max", Value: explore.DefaultMax, Usage: "how many schedules to execute at most for each update, one for each class"},
			&cli.BoolFlag{Name: "no-rcu", Usage: "leave out the wait for a grace period, to see what it prevents"},
			&cli.BoolFlag{Name: "brute-force", Usage: "execute every schedule instead of one of each class"},
			&cli.BoolFlag{Name: "each", Usage: "print schedule, trace and stack of every failing update, not only of the first"},
		),
		Action: e.explore,
	}
}

func (e env) explore(ctx context.Context, cmd *cli.Command) error {
	o, wrongOption := exploreOptions(cmd)
	look, wrongLook := e.look(cmd)
	if err := errors.Join(wrongOption, wrongLook); err != nil {
		return err
	}
	if cmd.NArg() != 1 {
		return badUsage("explore takes one scenario, found %s (see tcsim explore --help)", render.Plural(cmd.NArg(), "argument"))
	}
	opt, err := inputs.ObjectOptions(cmd)
	if err != nil {
		return err
	}
	bs, err := e.loadWith(cmd.Args().Slice(), opt)
	if err != nil {
		return err
	}
	if len(bs) != 1 {
		return badUsage("explore takes one scenario, and %s are %d", cmd.Args().First(), len(bs))
	}
	ts, err := e.targets(cmd.StringSlice("target"), cmd.Uint32("limit"))
	if err != nil {
		return err
	}
	w, err := units.Begin(cmd, e.args, cmd.Args().Slice(), e.sum)
	if err != nil {
		return err
	}
	bar := e.progress("explore")
	list, err := units.Explore(ctx, w, bs[0], ts, o, bar.Set)
	bar.Done()
	if w.Part() {
		return e.printPart(ctx, w, err)
	}
	err = cmp.Or(err, badInput(w.Err()))
	interrupted := cutShort(ctx, err)
	if err != nil && (!interrupted || len(list) == 0 && !cmd.Bool("json")) {
		return err
	}
	if cmd.Bool("json") {
		err = render.JSON(e.stdout, render.ExploredObject(list, interrupted))
	} else {
		var text strings.Builder
		render.ExploredText(&text, list, cmd.Bool("each"))
		fmt.Fprint(e.drawn(look), look.Verdicts(text.String()))
	}
	if err != nil {
		return err
	}
	return orInterrupted(interrupted, exploreVerdict(list))
}

func exploreOptions(cmd *cli.Command) (o interleave.Options, err error) {
	o = interleave.Options{
		Run: cmd.Int("run"), Slot: cmd.String("slot"), To: cmd.String("to"), Max: cmd.Int("max"),
		NoRCU: cmd.Bool("no-rcu"), Sequence: cmd.Bool("sequence"), BruteForce: cmd.Bool("brute-force"),
	}
	if o.Run < 0 || o.Max < 1 {
		return o, badUsage("--run and --max: expected numbers from 1, found %d", min(o.Run, o.Max))
	}
	if o.Sequence && (o.To != "" || cmd.String("update") != "") {
		return o, badUsage("--sequence is for the updates of the scenario: leave out --to and --update")
	}
	switch text := cmd.String("update"); text {
	case "":
	case "all":
		o.Kinds = interleave.UpdateKinds()
	default:
		for _, k := range strings.Split(text, ",") {
			o.Kinds = append(o.Kinds, interleave.UpdateKind(strings.TrimSpace(k)))
		}
	}
	return o, nil
}

// exploreVerdict turns what was found into the command's result: a failure outweighs what was not seen.
func exploreVerdict(list []render.ExploredOn) error {
	open := 0
	var untested error
	for i := range list {
		for j := range list[i].Found {
			switch x := &list[i].Found[j]; {
			case x.Wrong():
				return errFailed
			case !x.Exhaustive:
				open++
			}
		}
		untested = cmp.Or(list[i].Unsupported, untested)
	}
	if open > 0 {
		return fmt.Errorf("%w: some schedules of %s were left out (see --max)", errUndecided, render.Plural(open, "update"))
	}
	return untested
}
