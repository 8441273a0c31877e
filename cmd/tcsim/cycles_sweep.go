// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/emu/timing"
	"github.com/tcsim/tcsim/emu/timing/measured"
)

// sweep predicts the sequences with several values of a parameter of the core.
func (e env) sweep(ctx context.Context, cmd *cli.Command, core *timing.Core, file *measured.File) error {
	if cmd.Bool("host") || cmd.IsSet("max-mape") {
		return badUsage("--sweep goes with neither --host nor --max-mape")
	}
	if cmd.String("sweep") == "list" {
		return e.listParams(cmd, core.Params())
	}
	s, err := measured.TrySweep(core, cmd.String("sweep"), func(c *timing.Core) ([]measured.Result, error) {
		return e.measure(ctx, c, file)
	})
	if errors.Is(err, measured.ErrSweep) {
		return badUsage("--sweep: %w", err)
	}
	if s == nil || err != nil && !cutShort(ctx, err) {
		return err
	}
	verdict := orInterrupted(err != nil, nil)
	if cmd.Bool("json") {
		enc := json.NewEncoder(e.stdout)
		enc.SetIndent("", "  ")
		return cmp.Or(enc.Encode(s), verdict)
	}
	return cmp.Or(s.WriteText(e.stdout), verdict)
}

// listParams prints the parameters of a core with their sources.
func (e env) listParams(cmd *cli.Command, params []timing.Param) error {
	if cmd.Bool("json") {
		enc := json.NewEncoder(e.stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(measured.Parameters{Schema: "tcsim.parameters/v1", Parameters: params})
	}
	for _, p := range params {
		if _, err := fmt.Fprintf(e.stdout, "%-32s %6s  %s\n", p.Path, p.Value, p.Source); err != nil {
			return err
		}
	}
	return nil
}
