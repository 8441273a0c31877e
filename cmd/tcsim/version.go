// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"context"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/cmd/tcsim/render"
	"github.com/tcsim/tcsim/emu"
)

func (e env) versionCommand() *cli.Command {
	return &cli.Command{
		Name:        "version",
		Usage:       "say which version this is, and of which engine and fixtures",
		Description: "The same as tcsim --version.\n\nExample:\n   tcsim version --json\n\n" + exitCodesInHelp,
		Flags:       []cli.Flag{jsonFlag()},
		Action:      e.version,
	}
}

func (e env) version(_ context.Context, cmd *cli.Command) error {
	if cmd.NArg() > 0 {
		return badUsage("version takes no arguments, found %q", cmd.Args().First())
	}
	v, err := render.VersionOf(emu.Engine().String())
	if err != nil {
		return err
	}
	if cmd.Bool("json") {
		return render.JSON(e.stdout, v)
	}
	v.Print(e.stdout)
	return nil
}
