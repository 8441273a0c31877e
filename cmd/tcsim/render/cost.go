// SPDX-License-Identifier: GPL-2.0-only

package render

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/tcsim/tcsim/emu/timing"
	"github.com/tcsim/tcsim/scenarios/measure"
)

// CostText prints where the cycles of a run go: a table for each function.
func CostText(w io.Writer, p *measure.Profile) {
	state := "the first run after loading"
	if p.Warm {
		state = "one of many runs in a row"
	}
	fmt.Fprintf(w, "%d cycles on %s, %s\n", p.Total, p.Core, state)
	for _, line := range Fold(Causes(&p.Costs), Width) {
		fmt.Fprintln(w, line)
	}
	for i := range p.Funcs {
		f := &p.Funcs[i]
		name := "outside the programs"
		if f.Fn != nil {
			name = f.Fn.String()
		}
		fmt.Fprintf(w, "\n%s: %d cycles, %s\n", name, f.Costs.Total(), Plural(f.Executed, "instruction"))
		t := NewTable("cycles", "insns", "BPF", "", "causes")
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
			t.Add(fmt.Sprint(in.Costs.Total()), fmt.Sprint(in.Executed), at, clip(text, 34), clip(Causes(&in.Costs), 42))
		}
		fmt.Fprint(w, t)
	}
}

// Causes lists what cycles are due to, the largest first; "" if there are none.
func Causes(c *timing.Costs) string {
	type part struct {
		name string
		n    timing.Cycle
	}
	var parts []part
	for cause, n := range c.All {
		parts = append(parts, part{cause.String(), n})
	}
	slices.SortStableFunc(parts, func(a, b part) int { return cmp.Compare(b.n, a.n) })
	var out []string
	for _, p := range parts {
		out = append(out, fmt.Sprintf("%s %d", p.name, p.n))
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

// CostLine is a function or BPF instruction in JSON.
type CostLine struct {
	Name     string           `json:"name"`
	Insn     *int             `json:"insn,omitempty"`
	Executed int              `json:"executed"`
	Cycles   int64            `json:"cycles"`
	Causes   map[string]int64 `json:"causes,omitempty"`
	Insns    []CostLine       `json:"insns,omitempty"`
}

// CostResult is the object of tcsim trace --cost.
type CostResult struct {
	Cost   CostProfile `json:"cost"`
	Schema Schema      `json:"schema"`
}

// CostProfile is where the cycles of a run go.
type CostProfile struct {
	Causes    map[string]int64 `json:"causes"`
	Core      string           `json:"core"`
	Cycles    int64            `json:"cycles"`
	Functions []CostLine       `json:"functions"`
	Warm      bool             `json:"warm"`
}

func CostOf(p *measure.Profile) CostProfile {
	var funcs []CostLine
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
	return CostProfile{total.Causes, p.Core, int64(p.Total), funcs, p.Warm}
}

func lineOf(name string, executed int, c *timing.Costs) CostLine {
	l := CostLine{Name: name, Executed: executed, Cycles: int64(c.Total()), Causes: map[string]int64{}}
	for cause, n := range c.All {
		l.Causes[cause.String()] = int64(n)
	}
	return l
}
