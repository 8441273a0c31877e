// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/cmd/tcsim/table"
)

// tableFlags are those of commands that print a table.
func tableFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "sort", Usage: "order by a column, -COLUMN from high to low"},
		&cli.StringSliceFlag{Name: "filter", Usage: "only rows of which a condition such as verdict=ok, bytes>100 or scenario~hier is true"},
		&cli.BoolFlag{Name: "csv", Usage: "print CSV instead of text"},
	}
}

// tableChoice is what tableFlags ask for.
func tableChoice(cmd *cli.Command) table.Choice {
	return table.Choice{Sort: cmd.String("sort"), Filter: cmd.StringSlice("filter")}
}

// wantsTable reports whether one of tableFlags is given, to a command that else prints something other than one table.
// They exclude the forms of output that are not for people.
func wantsTable(cmd *cli.Command) (bool, error) {
	want := cmd.IsSet("sort") || cmd.IsSet("filter") || cmd.Bool("csv")
	for _, f := range []string{"json", "tap", "junit"} {
		if want && cmd.Bool(f) {
			return false, badUsage("--sort, --filter and --csv are for tables: expected no --%s with them", f)
		}
	}
	return want, nil
}

// printTable prints what tableFlags ask for of a table.
func printTable[R any](e env, cmd *cli.Command, t *table.Table[R]) error {
	if err := t.Choose(tableChoice(cmd)); err != nil {
		return badInput(err)
	}
	if cmd.Bool("csv") {
		return t.CSV(e.stdout)
	}
	return t.Text(e.stdout)
}
