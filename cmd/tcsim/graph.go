// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/cmd/tcsim/inputs"

	"github.com/tcsim/tcsim/cmd/tcsim/render"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/callgraph"
	"github.com/tcsim/tcsim/scenarios/object"
)

func (e env) graphCommand() *cli.Command {
	return &cli.Command{
		Name:      "graph",
		Usage:     "draw which programs call and tail call which",
		ArgsUsage: "SCENARIO|FILE.o",
		Description: "Prints programs, functions, tail calls with the keys that the verifier sees, and prog arrays; or DOT\n" +
			"for Graphviz. --check lists tail calls that are never taken because their slot is never filled or\n" +
			"their key is out of range, which is how packets get lost, and fails if there are any.\n\n" +
			"Examples:\n   tcsim graph fixtures/objects/dispatcher.o --check\n   tcsim graph hierarchy --dot | dot -Tsvg\n\n" + exitCodesInHelp,
		Flags: append(append([]cli.Flag{targetFlag(true)}, inputs.LoadFlags()...),
			svgFlag(), layoutFlag(), widthFlag(),
			&cli.BoolFlag{Name: "ascii", Usage: "ASCII"},
			&cli.BoolFlag{Name: "dot", Usage: "print DOT"},
			&cli.BoolFlag{Name: "check", Usage: "list tail calls that are never taken"},
			jsonFlag(),
		),
		Action: e.graph,
	}
}

func (e env) graph(ctx context.Context, cmd *cli.Command) error {
	if cmd.NArg() != 1 {
		return badUsage("graph takes one scenario or object file, found %s", render.Plural(cmd.NArg(), "argument"))
	}
	opt, err := inputs.ObjectOptions(cmd)
	if err != nil {
		return err
	}
	b, err := e.wholeInput(cmd.Args().First(), opt)
	if err != nil {
		return badInput(err)
	}
	t, err := e.oneTarget(cmd)
	if err != nil {
		return err
	}
	g := callgraph.New(b, t)
	for _, r := range g.Refused {
		fmt.Fprintf(e.stderr, "refused by %s: %s\n", t.Name, r)
	}
	switch {
	case cmd.Bool("json"):
		if err := render.JSON(e.stdout, render.Graph{Graph: g, Schema: render.SchemaGraph}); err != nil {
			return err
		}
	case cmd.String("svg") != "":
		if err := e.svgGraph(ctx, cmd, g); err != nil {
			return err
		}
	case cmd.Bool("dot"):
		fmt.Fprint(e.stdout, g.DOT())
	default:
		look, err := e.look(cmd)
		if err != nil {
			return err
		}
		text := g.TextIn(look.Columns())
		if cmd.Bool("ascii") {
			text = render.ASCII(text)
		}
		fmt.Fprint(e.stdout, text)
		if cmd.Bool("check") {
			e.findings(g, object.IsFile(cmd.Args().First()))
		}
	}
	if len(g.Refused) > 0 {
		return badInput(fmt.Errorf("%s: %s on %s", b.Scenario.Name, render.Plural(len(g.Refused), "refusal"), t.Name))
	}
	if cmd.Bool("check") && len(g.Findings) > 0 {
		return errFailed
	}
	return nil
}

// wholeInput loads what does not run: of an object file, which needs no entry for that, all that is
// modelled.
func (e env) wholeInput(path string, opt object.Options) (*scenarios.Built, error) {
	if !object.IsFile(path) || opt.Entry != "" {
		return e.load(path, opt)
	}
	f, err := object.Open(path, opt.Read)
	if err != nil {
		return nil, err
	}
	for _, err := range f.LeftOut() {
		fmt.Fprintf(e.stderr, "left out: %v\n", err)
	}
	if len(f.LeftOut()) == 0 {
		if b, err := f.Scenario(opt); err == nil {
			return b, nil
		}
	}
	return f.Load(opt.Fill)
}

// findings prints which tail calls are never taken; fills says that user space may fill slots.
func (e env) findings(g *callgraph.Graph, fills bool) {
	fmt.Fprintln(e.stdout)
	for _, f := range g.Findings {
		fmt.Fprint(e.stdout, callgraph.Fold("NEVER TAKEN: "+f))
	}
	for _, n := range g.Notes {
		fmt.Fprint(e.stdout, callgraph.Fold("note: "+n))
	}
	fmt.Fprintf(e.stdout, "%s never taken\n", render.Plural(len(g.Findings), "tail call"))
	if fills && slices.ContainsFunc(g.Findings, func(f string) bool { return strings.HasSuffix(f, " is never filled") }) {
		fmt.Fprintln(e.stdout, "what user space puts into a slot is said with --fill MAP[KEY]=PROGRAM")
	}
}
