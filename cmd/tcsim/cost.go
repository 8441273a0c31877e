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
	"github.com/tcsim/tcsim/scenarios/measure"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// cost prints where the cycles of a run go.
func (e env) cost(ctx context.Context, cmd *cli.Command, s *runner.Session, core *timing.Core) error {
	p, err := s.Profile(ctx, cmd.Int("run"), core, cmd.Bool("warm"))
	if err != nil {
		return badInput(err)
	}
	if cmd.Bool("json") {
		return render.JSON(e.stdout, costResult{costJSON(p), render.SchemaTrace})
	}
	state := "the first run after loading"
	if p.Warm {
		state = "one of many runs in a row"
	}
	fmt.Fprintf(e.stdout, "%d cycles on %s, %s\n", p.Total, p.Core, state)
	for _, line := range render.Fold(causes(&p.Costs, p.Total), render.Width) {
		fmt.Fprintln(e.stdout, line)
	}
	for i := range p.Funcs {
		f := &p.Funcs[i]
		name := "outside the programs"
		if f.Fn != nil {
			name = f.Fn.String()
		}
		fmt.Fprintf(e.stdout, "\n%s: %d cycles, %s\n", name, f.Costs.Total(), render.Plural(f.Executed, "instruction"))
		t := render.NewTable("cycles", "insns", "BPF", "", "causes")
		t.Right(0, 1, 2)
		for k := range f.Insns {
			in := &f.Insns[k]
			at, text := "", "prologue, epilogue"
			if in.Insn >= 0 {
				at, text = fmt.Sprint(in.Insn), in.Text
			}
			if f.Fn == nil {
				text = "thunks, helpers"
			}
			t.Add(fmt.Sprint(in.Costs.Total()), fmt.Sprint(in.Executed), at, clip(text, 34), clip(causes(&in.Costs, in.Costs.Total()), 42))
		}
		fmt.Fprint(e.stdout, t)
	}
	return nil
}

// causes lists what cycles are due to, the largest first.
func causes(c *timing.Costs, total timing.Cycle) string {
	type part struct {
		name string
		n    timing.Cycle
	}
	var parts []part
	for cause, n := range c.All {
		parts = append(parts, part{cause.String(), n})
	}
	for i := range parts { // few: by selection
		for k := i + 1; k < len(parts); k++ {
			if parts[k].n > parts[i].n {
				parts[i], parts[k] = parts[k], parts[i]
			}
		}
	}
	var out []string
	for _, p := range parts {
		out = append(out, fmt.Sprintf("%s %d", p.name, p.n))
	}
	if total == 0 {
		return ""
	}
	return strings.Join(out, ", ")
}

// clip shortens text to n columns.
func clip(s string, n int) string {
	if len(s) > n {
		return s[:n-2] + ".."
	}
	return s
}

// costLine is a function or BPF instruction in JSON.
type costLine struct {
	Name     string           `json:"name"`
	Insn     *int             `json:"insn,omitempty"`
	Executed int              `json:"executed"`
	Cycles   int64            `json:"cycles"`
	Causes   map[string]int64 `json:"causes,omitempty"`
	Insns    []costLine       `json:"insns,omitempty"`
}

// costResult is the object of tcsim trace --cost.
type costResult struct {
	Cost   costProfile   `json:"cost"`
	Schema render.Schema `json:"schema"`
}

// costProfile is where the cycles of a run go.
type costProfile struct {
	Causes    map[string]int64 `json:"causes"`
	Core      string           `json:"core"`
	Cycles    int64            `json:"cycles"`
	Functions []costLine       `json:"functions"`
	Warm      bool             `json:"warm"`
}

func costJSON(p *measure.Profile) costProfile {
	var funcs []costLine
	for i := range p.Funcs {
		f := &p.Funcs[i]
		l := lineOf("", f.Executed, &f.Costs)
		if f.Fn != nil {
			l.Name = f.Fn.String()
		}
		for k := range f.Insns {
			in := lineOf(f.Insns[k].Text, f.Insns[k].Executed, &f.Insns[k].Costs)
			if n := int(f.Insns[k].Insn); n >= 0 {
				in.Insn = &n
			}
			l.Insns = append(l.Insns, in)
		}
		funcs = append(funcs, l)
	}
	total := lineOf("", 0, &p.Costs)
	return costProfile{total.Causes, p.Core, int64(p.Total), funcs, p.Warm}
}

func lineOf(name string, executed int, c *timing.Costs) costLine {
	l := costLine{Name: name, Executed: executed, Cycles: int64(c.Total()), Causes: map[string]int64{}}
	for cause, n := range c.All {
		l.Causes[cause.String()] = int64(n)
	}
	return l
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
