// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"encoding/binary"
	"fmt"
	"math/big"
	"strings"

	"github.com/tcsim/tcsim/cmd/tcsim/render"
	"github.com/tcsim/tcsim/emu/count"
	"github.com/tcsim/tcsim/scenarios/measure"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// grouped writes a number with thousands separators.
func grouped(n *big.Int) string { return groupDigits(n.String()) }

func groupDigits(s string) string {
	digits := strings.TrimPrefix(s, "-")
	var b strings.Builder
	b.WriteString(s[:len(s)-len(digits)])
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}

// duration writes seconds in the unit that people use for as much.
func duration(s float64) string {
	const day, year = 86400, 365.25 * 86400
	switch {
	case s < 1e-3:
		return fmt.Sprintf("%.3g µs", s*1e6)
	case s < 1:
		return fmt.Sprintf("%.3g ms", s*1e3)
	case s < 2*day:
		return groupDigits(fmt.Sprintf("%.0f", s)) + " s"
	case s < 2*year:
		return fmt.Sprintf("%.0f days", s/day)
	case s < 1e6*year:
		return groupDigits(fmt.Sprintf("%.0f", s/year)) + " years"
	}
	return fmt.Sprintf("%.1e years", s/year)
}

// words splits a map value into the integers that are not 0: of 8 bytes if its size allows it, else
// of 4; other values are bytes in hex.
func words(v measure.MapValue) []string {
	size := 8
	switch n := len(v.Value); {
	case n%8 == 0:
	case n%4 == 0:
		size = 4
	default:
		return []string{fmt.Sprintf("%s[%d] = % x", v.Map, v.Key, v.Value)}
	}
	var out []string
	for off := 0; off < len(v.Value); off += size {
		n := uint64(binary.LittleEndian.Uint32(v.Value[off:]))
		if size == 8 {
			n = binary.LittleEndian.Uint64(v.Value[off:])
		}
		at := ""
		if len(v.Value) > size {
			at = fmt.Sprintf("+%d", off)
		}
		if n != 0 {
			out = append(out, fmt.Sprintf("%s[%d]%s = %s", v.Map, v.Key, at, groupDigits(fmt.Sprint(n))))
		}
	}
	return out
}

// countResults is the object of tcsim count.
type countResults struct {
	Results []countResult `json:"results"`
	Schema  render.Schema `json:"schema"`
}

// countResult is one verdict in JSON. Integers of any size are JSON numbers.
type countResult struct {
	Scenario    string              `json:"scenario"`
	Target      string              `json:"target"`
	Program     string              `json:"program"`
	OK          bool                `json:"ok"`
	Limit       uint32              `json:"limit"`
	LimitBroken bool                `json:"limit_broken"`
	TailCalls   *big.Int            `json:"tail_calls"`
	Refused     map[string]*big.Int `json:"refused"`
	Calls       *big.Int            `json:"calls"`
	Helpers     *big.Int            `json:"helper_calls"`
	Entries     []countEntries      `json:"entries"`
	Insns       *big.Int            `json:"instructions"`
	Stack       uint64              `json:"stack_bytes"`
	Return      *uint32             `json:"return,omitempty"`
	Values      []countValue        `json:"values,omitempty"`
	Endless     *countEndless       `json:"endless,omitempty"`
	Fault       string              `json:"fault,omitempty"`
	Timing      *countTiming        `json:"timing,omitempty"`
	NoTiming    string              `json:"no_timing,omitempty"`
	NotJudged   string              `json:"not_judged,omitempty"`
	Wrong       []string            `json:"mismatches,omitempty"`
	Work        countWork           `json:"work"`
}

type countEntries struct {
	Function string   `json:"function"`
	N        *big.Int `json:"n"`
}

type countValue struct {
	Map   string `json:"map"`
	Key   uint32 `json:"key"`
	Value string `json:"value"` // bytes in hex
}

type countEndless struct {
	Function string   `json:"function"`
	Landing  string   `json:"landing"`
	State    []string `json:"state"`
	Events   []string `json:"events"`
	Cut      bool     `json:"events_cut,omitempty"`
	Insns    *big.Int `json:"instructions"`
	Tails    *big.Int `json:"tail_calls"`
}

type countTiming struct {
	Core       string   `json:"core"`
	Cycles     *big.Int `json:"cycles"`
	Sampled    uint64   `json:"sampled_instructions"`
	Whole      bool     `json:"whole_run_sampled"`
	GHz        float64  `json:"ghz"`
	Seconds    float64  `json:"seconds"`
	RCUStall   bool     `json:"rcu_stall"`
	SoftLockup bool     `json:"soft_lockup"`
}

// countWork is what the answer took. Time and memory differ from run to run: with -v only.
type countWork struct {
	Steps     uint64  `json:"executed_instructions"`
	Summaries int     `json:"summaries"`
	Hits      uint64  `json:"hits"`
	Peak      uint64  `json:"peak_bytes,omitempty"`
	Seconds   float64 `json:"seconds,omitempty"`
}

func countJSON(c *runner.Counted, ghz float64, verbose bool) countResult {
	r := countResult{
		Scenario: c.Scenario, Target: c.Target, Program: c.Program, OK: c.OK(), Limit: c.Limit, LimitBroken: c.LimitBroken(),
		TailCalls: c.TailCalls, Calls: c.Calls, Helpers: c.Helpers, Insns: c.Insns, Stack: c.Deepest,
		Refused: map[string]*big.Int{"limit": c.RefusedLimit, "bounds": c.RefusedBounds, "empty": c.RefusedEmpty},
		Wrong:   c.Wrong, NoTiming: c.NoTiming, NotJudged: c.NotJudged,
		Work: countWork{Steps: c.Steps, Summaries: c.Summaries, Hits: c.Hits},
	}
	for _, s := range c.Starts {
		r.Entries = append(r.Entries, countEntries(s))
	}
	for _, v := range c.Values {
		r.Values = append(r.Values, countValue{v.Map, v.Key, fmt.Sprintf("%x", v.Value)})
	}
	for _, m := range c.Mismatches {
		r.Wrong = append(r.Wrong, m.String())
	}
	if e := c.Endless; e != nil {
		r.Endless = &countEndless{e.Function, fmt.Sprintf("%#x", uint64(e.Landing)), e.State, e.Events, e.Cut, e.Insns, e.Tails}
	}
	if c.Fault != nil {
		r.Fault = c.Fault.Error()
	} else if c.Endless == nil {
		v := uint32(c.Final.R[0])
		r.Return = &v
	}
	if t := c.Timing; t != nil {
		s := t.Seconds(ghz)
		r.Timing = &countTiming{
			Core: t.Core, Cycles: t.Cycles, Sampled: t.Sampled, Whole: t.Whole, GHz: ghz, Seconds: s,
			RCUStall:   c.Endless != nil || s > measure.RCUStallSeconds,
			SoftLockup: c.Endless != nil || s > measure.SoftLockupSeconds,
		}
	}
	if verbose {
		r.Work.Peak, r.Work.Seconds = c.PeakBytes, c.Time.Seconds()
	}
	return r
}

// maxShown bounds the summaries that -v lists of a function.
const maxShown = 40

// countDetails says what the answer took.
func countDetails(c *runner.Counted) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s on %s: %d summaries used %d times, %d instructions executed, %.1f MB at the peak, %v\n",
		c.Scenario, c.Target, c.Summaries, c.Hits, c.Steps, float64(c.PeakBytes)/1e6, c.Time)
	for _, k := range c.Books {
		fmt.Fprintf(&b, "  %s:\n", k.Function)
		for i, s := range k.Summaries {
			if i == maxShown {
				fmt.Fprintf(&b, "    (%d more)\n", len(k.Summaries)-i)
				break
			}
			fmt.Fprint(&b, summaryText(&s))
		}
	}
	return b.String()
}

func summaryText(s *count.Summary) string {
	head := fmt.Sprintf("%s tail calls, %s instructions, changes %d locations, used %d times, if",
		grouped(s.TailCalls), grouped(s.Insns), s.Effects, s.Hits)
	var b strings.Builder
	for i, l := range render.Fold(head+" "+strings.Join(s.Pins, ", "), render.Width-6) {
		fmt.Fprintf(&b, "%s%s\n", strings.Repeat(" ", 4+2*min(i, 1)), l)
	}
	return b.String()
}
