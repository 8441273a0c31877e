// SPDX-License-Identifier: GPL-2.0-only

package locate

import (
	"fmt"
	"io"
	"math/big"

	"github.com/tcsim/tcsim/jit/splat"
	"github.com/tcsim/tcsim/scenarios/measure"
)

// Facts is a Found for JSON. Fields are in the order of their names.
type Facts struct {
	Core      string       `json:"core,omitempty"`
	Functions []MatchFacts `json:"functions"`
	GHz       float64      `json:"ghz"`
	Inside    bool         `json:"inside"`
	Insns     string       `json:"insns"`
	InsnsAll  string       `json:"insns_total"`
	Left      string       `json:"left"`
	No        string       `json:"no"`
	NoTiming  string       `json:"no_timing,omitempty"`
	Percent   float64      `json:"percent"`
	Program   string       `json:"program"`
	Scenario  string       `json:"scenario"`
	Seconds   float64      `json:"seconds,omitempty"`
	Several   bool         `json:"several,omitempty"` // it is the first of several such moments
	SecsAll   float64      `json:"seconds_total,omitempty"`
	Target    string       `json:"target"`
	Total     string       `json:"total"`
}

// MatchFacts is a Match.
type MatchFacts struct {
	Function string `json:"function"`
	Program  string `json:"program"`
	Size     int    `json:"size"`
	Symbol   string `json:"symbol"`
}

// Facts returns the same for JSON.
func (f *Found) Facts() *Facts {
	out := &Facts{
		Core: f.Core, GHz: f.GHz, Inside: f.Inside, Insns: f.Insns.String(), InsnsAll: f.Whole.String(), No: f.No.String(), NoTiming: f.NoTiming,
		Several: f.Several, Percent: f.Percent(), Program: f.Program, Scenario: f.Scenario, Seconds: f.Seconds, SecsAll: f.WholeSeconds, Target: f.Target,
		Total: f.Total.String(), Left: new(big.Int).Sub(f.Total, f.No).String(),
	}
	for _, m := range f.Matches {
		out.Functions = append(out.Functions, MatchFacts{m.Function, m.Program, m.Size, m.Symbol})
	}
	return out
}

// Write prints the moment as text.
func (f *Found) Write(w io.Writer) error {
	var err error
	line := func(format string, args ...any) {
		if err == nil {
			_, err = fmt.Fprintf(w, format+"\n", args...)
		}
	}
	line("In %s on %s, run of %s:", f.Scenario, f.Target, f.Program)
	for _, m := range f.Matches {
		name := m.Program
		if m.Function != m.Program {
			name += ":" + m.Function
		}
		size := ""
		if m.LogSize != m.Size {
			size = fmt.Sprintf(" (%d in the log)", m.LogSize)
		}
		line("  %s is %s, %d bytes%s", m.Symbol, name, m.Size, size)
	}
	what := "tail calls made so far"
	if f.Inside {
		what = "tail call"
	}
	n := func(b *big.Int) string { return splat.Grouped(b.String()) }
	line("  %s %s of %s: %.2f %%, %s remain", what, n(f.No), n(f.Total), f.Percent(), n(new(big.Int).Sub(f.Total, f.No)))
	if f.Several {
		line("  (the first of several such moments: what tells them apart is not in the log)")
	}
	line("  instruction %s of %s", n(f.Insns), n(f.Whole))
	if f.NoTiming != "" {
		line("  time: not known: %s", f.NoTiming)
		return err
	}
	line("  after %.1f s of %.1f s at %g GHz (%s); %.1f s remain", f.Seconds, f.WholeSeconds, f.GHz, f.Core, f.WholeSeconds-f.Seconds)
	if f.Seconds > measure.SoftLockupSeconds {
		line("  past the watchdogs: soft lockup after %d s, RCU stall after %d s", measure.SoftLockupSeconds, measure.RCUStallSeconds)
	}
	return err
}
