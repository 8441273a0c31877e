// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/cmd/tcsim/render"
	"github.com/tcsim/tcsim/emu/check"
	"github.com/tcsim/tcsim/emu/explore"
	"github.com/tcsim/tcsim/emu/stack"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/interleave"
	"github.com/tcsim/tcsim/scenarios/runner"
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
		Flags: append(objectFlags(),
			severalTargets("6.12"), limitFlag(), jsonFlag(),
			&cli.StringFlag{Name: "update", Usage: "insert, replace, delete, delete-empty, or all of them, separated by commas"},
			&cli.StringFlag{Name: "slot", Usage: "only this slot, as in jmp_table[0]"},
			&cli.StringFlag{Name: "to", Usage: "what --slot gets: a program of the scenario, or \"empty\""},
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
	o, err := exploreOptions(cmd)
	if err != nil {
		return err
	}
	if cmd.NArg() != 1 {
		return badUsage("explore takes one scenario, found %d arguments (see tcsim explore --help)", cmd.NArg())
	}
	opt, err := objectOptions(cmd)
	if err != nil {
		return err
	}
	bs, err := loadWith(cmd.Args().Slice(), opt)
	if err != nil {
		return err
	}
	ts, err := e.targets(cmd.StringSlice("target"), cmd.Uint32("limit"))
	if err != nil {
		return err
	}
	list, err := exploreAll(ctx, bs[0], ts, o)
	if err != nil {
		return err
	}
	if cmd.Bool("json") {
		err = render.JSON(e.stdout, exploreJSON(list))
	} else {
		err = e.printExplored(list, cmd.Bool("each"))
	}
	if err != nil {
		return err
	}
	return exploreVerdict(list)
}

// exploredOn is a scenario explored on one target.
type exploredOn struct {
	scenario, target string
	found            []interleave.Explored
	unsupported      error
}

// exploreAll explores a scenario on every target. What one of several cannot have is left out.
func exploreAll(ctx context.Context, b *scenarios.Built, ts []*jit.Target, o interleave.Options) ([]exploredOn, error) {
	var list []exploredOn
	for _, t := range ts {
		x := exploredOn{scenario: b.Scenario.Name, target: t.Name}
		c, err := runner.Compile(b, t)
		if err != nil {
			err = badInput(err)
		} else if x.found, err = interleave.Explore(ctx, c, runner.Options{}, o); errors.Is(err, interleave.ErrCannotExplore) {
			err = badInput(err)
		}
		if len(ts) > 1 && errors.Is(err, kernels.ErrUnsupported) {
			x.unsupported, err = err, nil
		}
		if err != nil {
			return nil, err
		}
		list = append(list, x)
	}
	return list, nil
}

func exploreOptions(cmd *cli.Command) (o interleave.Options, err error) {
	o = interleave.Options{
		Run: cmd.Int("run"), Slot: cmd.String("slot"), To: cmd.String("to"), Max: cmd.Int("max"),
		NoRCU: cmd.Bool("no-rcu"), BruteForce: cmd.Bool("brute-force"),
	}
	if o.Run < 0 || o.Max < 1 {
		return o, badUsage("--run and --max: expected numbers from 1, found %d", min(o.Run, o.Max))
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
func exploreVerdict(list []exploredOn) error {
	open := 0
	var untested error
	for i := range list {
		for j := range list[i].found {
			switch x := &list[i].found[j]; {
			case x.Wrong():
				return errFailed
			case !x.Exhaustive:
				open++
			}
		}
		untested = cmp.Or(list[i].unsupported, untested)
	}
	if open > 0 {
		return fmt.Errorf("%w: some schedules of %s were left out (see --max)", errUndecided, render.Plural(open, "update"))
	}
	return untested
}

// updateText is an update in a few words.
func updateText(x *interleave.Explored) string {
	return fmt.Sprintf("%s %s: %s -> %s", x.Kind, x.Slot, x.From, x.To)
}

func exploreWord(x *interleave.Explored) string {
	var words []string
	if x.Before != nil {
		return "not reached"
	}
	if x.Failure != nil {
		for _, name := range render.SortedKeys(x.Failed) {
			words = append(words, fmt.Sprintf("FAILS %s in %v", name, x.Failed[name].Schedules))
		}
	}
	if x.Update != nil {
		words = append(words, "the update BREAKS pokes")
	}
	if x.Later != nil {
		words = append(words, "a later update FAILS")
	}
	if !x.Exhaustive {
		words = append(words, "not exhaustive")
	}
	if len(words) == 0 {
		return "passes"
	}
	return strings.Join(words, ", ")
}

func (e env) printExplored(list []exploredOn, each bool) error {
	columns := []string{"update", "run", "steps", "schedules", "classes", "verdict"}
	title := list[0].scenario + " on " + list[0].target
	if len(list) > 1 {
		columns, title = append([]string{"target"}, columns...), fmt.Sprintf("%s on %s", list[0].scenario, render.Plural(len(list), "target"))
	}
	t := render.NewTable(columns...)
	for i := range 4 {
		t.Right(len(columns) - 5 + i)
	}
	schedules, classes := new(big.Int), 0
	for i := range list {
		if list[i].unsupported != nil {
			t.Add(list[i].target, "unsupported", "", "", "", "", "")
		}
		for j := range list[i].found {
			x := &list[i].found[j]
			cells := []string{updateText(x), fmt.Sprint(x.Run), fmt.Sprint(len(x.Steps)), x.All.Schedules.String(), fmt.Sprint(x.All.Classes), exploreWord(x)}
			if len(list) > 1 {
				cells = append([]string{list[i].target}, cells...)
			}
			t.Add(cells...)
			exploreNotes(t, x)
			schedules.Add(schedules, x.All.Schedules)
			classes += x.All.Classes
		}
	}
	fmt.Fprintf(e.stdout, "%s\n\n%s\n%v schedules in %d classes, one of each executed.\n", title, t, schedules, classes)
	for i := range list {
		on := ""
		if len(list) > 1 {
			on = " on " + list[i].target
		}
		for j := range list[i].found {
			if list[i].found[j].Failure == nil {
				continue
			}
			e.printFailure(&list[i].found[j], on)
			if !each {
				return nil
			}
		}
	}
	return nil
}

// exploreNotes adds what a verdict cannot say to the row of an update.
func exploreNotes(t *render.Table, x *interleave.Explored) {
	if x.Unbounded {
		t.Note("a run did not end within its budget of instructions")
	}
	if x.Alone != nil {
		t.Note("without the update the run breaks " + string(x.Alone.Invariant) + " as well")
	}
	for _, v := range []*check.Violation{x.Before, x.Update, x.Later} {
		if v != nil {
			t.Note(v.String())
		}
	}
}

// printFailure shows the shortest failing schedule of an update; on says of which target, if there are several.
func (e env) printFailure(x *interleave.Explored, on string) {
	f := x.Failure
	title := fmt.Sprintf("Shortest failing schedule of %s%s (run %d, %s; %d instructions; %v schedules of its class fail alike)",
		updateText(x), on, x.Run, x.Program, f.Insns, x.Shortest.Same)
	fmt.Fprintf(e.stdout, "\n%s\n\n", strings.Join(render.Fold(title, render.Width), "\n"))
	for _, line := range render.Fold(f.Violation.String(), render.Width-2) {
		fmt.Fprintf(e.stdout, "  %s\n", line)
	}
	fmt.Fprintln(e.stdout)
	for i, s := range f.Steps {
		if i == 0 || s.After != f.Steps[i-1].After {
			where := "before the run"
			if s.After > 0 {
				where = fmt.Sprintf("after instruction %d (%#x, %s)", s.After, uint64(s.RIP), s.Where)
			}
			fmt.Fprintf(e.stdout, "  %s:\n", where)
		}
		fmt.Fprintf(e.stdout, "    %d. %s\n", i+1, s.Step)
	}
	if left := len(x.Steps) - len(f.Steps); left > 0 {
		fmt.Fprintf(e.stdout, "  the other %s may come at any time after\n", render.Plural(left, "step"))
	}
	fmt.Fprintf(e.stdout, "\n%s\n%s", trace.Text(f.Code, f.Events), f.Layout.Picture(stack.Options{Title: f.Violation.Moment().Name}))
}

// exploreJSON is the object of one target, or of several the list of their objects.
func exploreJSON(list []exploredOn) any {
	var each []render.Explored
	for i := range list {
		x := render.Explored{Scenario: list[i].scenario, Target: list[i].target, Updates: render.ExploredUpdates(list[i].found)}
		if err := list[i].unsupported; err != nil {
			x.Error = err.Error()
		}
		each = append(each, x)
	}
	if len(each) == 1 {
		each[0].Schema = render.SchemaExplore
		return each[0]
	}
	return render.ExploredTargets{Scenario: list[0].scenario, Schema: render.SchemaExplore, Targets: each}
}
