// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"context"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/cmd/tcsim/catalogue"
	"github.com/tcsim/tcsim/cmd/tcsim/render"
)

func (e env) listCommand() *cli.Command {
	return &cli.Command{
		Name:      "list",
		Usage:     "list scenarios, targets, designs and whatever else has names",
		ArgsUsage: "[KIND]",
		Description: "Prints a line for each name of a kind; without a kind, the kinds there are. Targets, designs and\n" +
			"kernels come with the evidence for their code: what it was checked against.\n\n" +
			"Examples:\n   tcsim list\n   tcsim list targets\n   tcsim list scenarios --json\n\n" + exitCodesInHelp,
		Flags:  []cli.Flag{jsonFlag()},
		Action: e.list,
	}
}

func (e env) list(_ context.Context, cmd *cli.Command) error {
	if cmd.NArg() > 1 {
		return badUsage("list takes one kind, found %s; kinds: %s", render.Plural(cmd.NArg(), "argument"), render.Words(catalogue.Names()))
	}
	if cmd.NArg() == 0 {
		var all []catalogue.Entry
		for _, k := range catalogue.Kinds() {
			all = append(all, catalogue.Entry{Name: k.Name, About: k.About})
		}
		if cmd.Bool("json") {
			return render.JSON(e.stdout, render.Lists{Kinds: all, Schema: render.SchemaList})
		}
		render.ListText(e.stdout, all, "")
		return nil
	}
	k := catalogue.Find(cmd.Args().First())
	if k == nil {
		return badUsage("%s", render.Unknown("list", cmd.Args().First(), catalogue.Names()))
	}
	if cmd.Bool("json") {
		return render.JSON(e.stdout, render.List{Entries: k.List(), Kind: k.Name, Schema: render.SchemaList})
	}
	render.ListText(e.stdout, k.List(), k.Note)
	return nil
}
