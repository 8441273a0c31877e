// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/cmd/tcsim/table"
)

// explained has an action that prints a table explain its heads, unless --quiet is given.
func (e env) explained(action cli.ActionFunc) cli.ActionFunc {
	return func(ctx context.Context, cmd *cli.Command) error {
		err := action(ctx, cmd)
		if text := table.Legend(cmd.Name, cmd.IsSet, cmd.Int("width")); text != "" && !cmd.Bool("quiet") && (err == nil || errors.Is(err, errFailed)) {
			fmt.Fprintf(e.stdout, "\n%s", text)
		}
		return err
	}
}
