// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/cmd/tcsim/events"
	"github.com/tcsim/tcsim/cmd/tcsim/inputs"
	"github.com/tcsim/tcsim/cmd/tcsim/render"
	"github.com/tcsim/tcsim/emu/timing"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/files"
	"github.com/tcsim/tcsim/scenarios/object"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// defaultTargets are used where --target is not given: the designs before and after the counter
// became one for the whole invocation.
var defaultTargets = []string{"6.1", "6.12"}

func targetFlag(one bool) cli.Flag {
	if one {
		return &cli.StringFlag{Name: "target", Aliases: []string{"t"}, Value: "6.12", Usage: "kernel or design to compile for"}
	}
	return severalTargets(defaultTargets...)
}

func severalTargets(value ...string) cli.Flag {
	return &cli.StringSliceFlag{
		Name: "target", Aliases: []string{"t"}, Value: value,
		Usage: "kernels or designs to compile for, separated by commas; \"all\" means every one",
	}
}

func jsonFlag() cli.Flag {
	return &cli.BoolFlag{Name: "json", Usage: "print one JSON object instead of text"}
}

func limitFlag() cli.Flag {
	return &cli.Uint32Flag{
		Name: "limit", Usage: fmt.Sprintf("number of tail calls that one invocation may take, 1 to %d (default: the target's, 33)", jit.MaxLimit),
		Validator: func(n uint32) error {
			if n < 1 || n > jit.MaxLimit {
				return fmt.Errorf("expected 1 to %d, found %d; leave it out for the target's own limit", jit.MaxLimit, n)
			}
			return nil
		},
	}
}

func runFlag() cli.Flag {
	return &cli.IntFlag{Name: "run", Value: 1, Usage: "number of the run in the scenario, from 1"}
}

// targets is targets of names, and says on stderr what they are taken for.
func (e env) targets(names []string, limit uint32) ([]*jit.Target, error) {
	names = slices.Clone(names)
	var errs []error
	for i, n := range names {
		var err error
		if names[i], err = e.source.complete(n); err != nil {
			errs = append(errs, fmt.Errorf("target %q: %w", n, err))
		}
	}
	if flag := e.source.unused(names); flag != "" {
		errs = append(errs, fmt.Errorf("%s is for targets src:..., and none of %s is one", flag, strings.Join(names, ", ")))
	}
	if len(errs) > 0 {
		return nil, badInput(errors.Join(errs...))
	}
	ts, err := targets(names, limit)
	if err == nil {
		e.note(ts...)
	}
	return ts, err
}

// note says once what targets are taken for.
func (e env) note(ts ...*jit.Target) {
	var said []string
	for _, t := range ts {
		for line := range strings.Lines(t.Note) {
			if !slices.Contains(said, line) {
				said = append(said, line)
				fmt.Fprintf(e.stderr, "note: %s\n", strings.TrimSpace(line))
			}
		}
	}
}

// targets resolves target names; all unknown ones are reported, and once what there is.
func targets(names []string, limit uint32) ([]*jit.Target, error) {
	if len(names) == 1 && names[0] == "all" {
		names = jit.TargetNames()
	}
	var out []*jit.Target
	var errs []error
	for _, n := range names {
		t, err := jit.TargetByName(n)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if limit != 0 {
			limited := *t
			limited.Limit = limit
			t = &limited
		}
		out = append(out, t)
	}
	if err := errors.Join(errs...); errors.Is(err, jit.ErrNoTarget) {
		errs = append(errs, known("targets", jit.TargetNames()))
	}
	return out, badInput(errors.Join(errs...))
}

// oneTarget resolves the target of a command that works on one.
func (e env) oneTarget(cmd *cli.Command) (*jit.Target, error) {
	name := cmd.String("target")
	if name == "all" || strings.Contains(name, ",") {
		return nil, badUsage("%s takes one target, found %q", cmd.Name, name)
	}
	ts, err := e.targets([]string{name}, cmd.Uint32("limit"))
	if err != nil {
		return nil, err
	}
	return ts[0], nil
}

// known lists what a name can be, at the end of an error message.
func known(what string, names []string) error {
	return errors.New(what + ":\n  " + strings.Join(render.Fold(strings.Join(names, ", "), render.Width-2), "\n  "))
}

// loadScenarios is that of an env without standard input.
func loadScenarios(args []string) ([]*scenarios.Built, error) {
	return env{stdin: strings.NewReader("")}.loadScenarios(args)
}

// loadScenarios reads scenario files and built-in scenarios; the mistakes of all are reported. Object
// files run as they do without flags.
func (e env) loadScenarios(args []string) ([]*scenarios.Built, error) {
	return e.loadWith(args, object.Options{})
}

// loadWith is loadScenarios with what to do with object files.
func (e env) loadWith(args []string, opt object.Options) ([]*scenarios.Built, error) {
	bs, _, err := e.loadGood(args, opt)
	return bs, err
}

// loadGood is loadWith; good are the names of what can be read, one each.
func (e env) loadGood(args []string, opt object.Options) (out []*scenarios.Built, good []string, _ error) {
	if len(args) == 0 {
		return nil, nil, badUsage("no scenario given; %w", known("built-in scenarios", files.Builtin()))
	}
	args, err := inputs.ExpandAll(args, inputs.ScenarioFiles)
	if err != nil {
		return nil, nil, badInput(err)
	}
	var errs []error
	none := -1
	for _, a := range args {
		b, err := e.load(a, opt)
		if err != nil {
			if errors.Is(err, files.ErrNoScenario) {
				none = len(errs)
			}
			errs = append(errs, err)
			continue
		}
		out, good = append(out, b), append(good, a)
	}
	if none >= 0 {
		errs[none] = fmt.Errorf("%w\n%w", errs[none], known("built-in scenarios", files.Builtin()))
	}
	return out, good, badInput(errors.Join(errs...))
}

// openOne loads the one scenario and target that a command works on. core may be nil.
func (e env) openOne(cmd *cli.Command, core *timing.Core) (*runner.Session, error) {
	if cmd.NArg() != 1 {
		return nil, badUsage("%s takes one scenario, found %s (see tcsim %s --help)", cmd.Name, render.Plural(cmd.NArg(), "argument"), cmd.Name)
	}
	opt, err := inputs.ObjectOptions(cmd)
	if err != nil {
		return nil, err
	}
	bs, err := e.loadWith(cmd.Args().Slice(), opt)
	if err != nil {
		return nil, err
	}
	if len(bs) != 1 {
		return nil, badUsage("%s takes one scenario, and %s are %d", cmd.Name, cmd.Args().First(), len(bs))
	}
	t, err := e.oneTarget(cmd)
	if err != nil {
		return nil, err
	}
	e.recording.Of(bs[0].Scenario.Name, t.Name)
	opts := runner.Options{Core: core, KeepGoing: cmd.Bool("keep-going"), Stale: cmd.Bool("stale")}
	return openSession(bs[0], t, events.Options(opts, e.recording, e.stored))
}

func openSession(b *scenarios.Built, t *jit.Target, opt runner.Options) (*runner.Session, error) {
	c, err := runner.Compile(b, t)
	if err != nil {
		return nil, badInput(err)
	}
	return runner.Open(c, opt)
}
