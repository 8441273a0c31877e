// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/cmd/tcsim/render"
	"github.com/tcsim/tcsim/emu/timing"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// cost prints where the cycles of a run go.
func (e env) cost(ctx context.Context, cmd *cli.Command, s *runner.Session, core *timing.Core) error {
	p, err := s.Profile(ctx, cmd.Int("run"), core, cmd.Bool("warm"))
	if err != nil {
		return badInput(err)
	}
	if cmd.Bool("json") {
		return render.JSON(e.stdout, render.CostResult{Cost: render.CostOf(p), Schema: render.SchemaTrace})
	}
	render.CostText(e.stdout, p)
	return nil
}

// defaultStretch is how many instructions a pipeline view shows.
const defaultStretch = 40

// pipeline draws a stretch of a run through the stages of the core.
func (e env) pipeline(ctx context.Context, cmd *cli.Command, s *runner.Session, core *timing.Core) error {
	from, n, err := stretch(cmd.String("pipeline"))
	if err != nil {
		return badUsage("--pipeline: %w", err)
	}
	rows, err := s.Pipeline(ctx, cmd.Int("run"), core, cmd.Bool("warm"), from, n)
	if err != nil {
		return badInput(err)
	}
	if cmd.Bool("json") {
		return render.JSON(e.stdout, render.Pipeline{Core: core.Name, Pipeline: rows, Schema: render.SchemaTrace})
	}
	return timing.WritePipeline(e.stdout, rows)
}

// stretch reads EVENT or EVENT+COUNT.
func stretch(text string) (event, count int, err error) {
	a, b, ok := strings.Cut(text, "+")
	count = defaultStretch
	if event, err = strconv.Atoi(a); err == nil && ok {
		count, err = strconv.Atoi(b)
	}
	if err != nil || event < 1 || count < 1 {
		return 0, 0, fmt.Errorf("expected EVENT or EVENT+COUNT, found %q", text)
	}
	return event, count, nil
}
