// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/emu/timing"
	"github.com/tcsim/tcsim/emu/timing/measured"
)

// sweep predicts the sequences with several values of a parameter of the core.
func (e env) sweep(ctx context.Context, cmd *cli.Command, core *timing.Core, file *measured.File) error {
	if cmd.Bool("host") || cmd.IsSet("max-mape") {
		return badUsage("--sweep goes with neither --host nor --max-mape")
	}
	path, list, given := strings.Cut(cmd.String("sweep"), "=")
	params := core.Params()
	if path == "list" {
		return e.listParams(cmd, params)
	}
	n := slices.IndexFunc(params, func(p timing.Param) bool { return p.Path == path })
	if n < 0 {
		return badUsage("--sweep: no parameter %q; --sweep list lists them", path)
	}
	values := params[n].Near()
	if given {
		values = strings.Split(list, ",")
	}
	var cores []*timing.Core
	for _, v := range values {
		c, err := core.With(path, v)
		if err != nil && given {
			return badUsage("--sweep: %w", err)
		}
		if err == nil {
			cores = append(cores, c)
		}
	}
	base, err := e.measure(ctx, core, file)
	if err != nil {
		return err
	}
	var results [][]measured.Result
	values = values[:0]
	for _, c := range cores {
		rs, err := e.measure(ctx, c, file)
		if err != nil {
			return err
		}
		values, results = append(values, c.Params()[n].Value), append(results, rs)
	}
	s := measured.NewSweep(core, params[n], base, values, results)
	if cmd.Bool("json") {
		enc := json.NewEncoder(e.stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(s)
	}
	return s.WriteText(e.stdout)
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
