// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"context"

	"github.com/urfave/cli/v3"
)

func (e env) doctorCommand() *cli.Command {
	return &cli.Command{
		Name:   "doctor",
		Usage:  "test what tcsim relies on in the emulation engine",
		Flags:  []cli.Flag{jsonFlag()},
		Action: func(_ context.Context, cmd *cli.Command) error { return nil },
	}
}
