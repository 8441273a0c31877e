// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"fmt"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/cmd/tcsim/inputs"
	"github.com/tcsim/tcsim/cmd/tcsim/render"
)

func (e env) captureCommand() *cli.Command {
	return &cli.Command{
		Name:      "capture",
		Usage:     "let the running kernel compile programs, and store the code it emits",
		ArgsUsage: "SCENARIO|DIRECTORY|FILE.o...",
		Description: "Loads the programs (\"" + inputs.Library + "\" means all built-in scenarios) into the running kernel without\n" +
			"running them, and writes code, addresses and everything that decides them to a capture file for\n" +
			"tcsim conform and tcsim replay. Everything is unloaded afterwards. Needs Linux on x86-64 and root.\n\n" +
			"Examples:\n   tcsim capture -o here.jsonl.gz " + inputs.Library + "\n" +
			"   tcsim capture -o here.jsonl.gz --run hierarchy my-scenarios/\n" +
			"   tcsim capture -o now.jsonl.gz --all\n\n" + exitCodesInHelp,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "file to write; it is created once it is complete"},
			&cli.BoolFlag{Name: "run", Usage: "also run in the kernel those scenarios that did no harm in the emulator, and store the results"},
			&cli.Uint32SliceFlag{Name: "id", Usage: "capture the loaded program with this id"},
			&cli.StringSliceFlag{Name: "pinned", Usage: "capture the loaded program that is pinned at this path"},
			&cli.BoolFlag{Name: "all", Usage: "capture all loaded programs"},
			&cli.StringFlag{Name: "config", Usage: "file with the kernel's configuration, if it is in none of the usual places"},
			&cli.StringFlag{Name: "variant", Value: "running", Usage: "name of the kernel's variant in the file's header"},
			jsonFlag(),
		},
		Action: e.capture,
	}
}

// printCaptured says what was captured.
func (e env) printCaptured(cmd *cli.Command, c *render.Captured) error {
	if cmd.Bool("json") {
		return render.JSON(e.stdout, render.Capture{Capture: c, Schema: render.SchemaCapture})
	}
	c.Print(e.stdout)
	if cmd.Bool("run") {
		fmt.Fprintf(e.stdout, "run by the kernel: %s\n", render.Plural(c.Run, "scenario"))
	}
	_, err := fmt.Fprintf(e.stdout, "written to %s\n", c.File)
	return err
}
