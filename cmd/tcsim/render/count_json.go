// SPDX-License-Identifier: GPL-2.0-only

package render

import (
	"fmt"
	"math/big"

	"github.com/tcsim/tcsim/scenarios/measure"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// CountResults is the object of tcsim count.
type CountResults struct {
	Interrupted bool          `json:"interrupted,omitempty"`
	Results     []CountResult `json:"results"`
	Schema      Schema        `json:"schema"`
}

// CountResult is one verdict in JSON. Integers of any size are JSON numbers.
type CountResult struct {
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
	Entries     []CountEntries      `json:"entries"`
	Insns       *big.Int            `json:"instructions"`
	Stack       uint64              `json:"stack_bytes"`
	Return      *uint32             `json:"return,omitempty"`
	Values      []CountValue        `json:"values,omitempty"`
	Endless     *CountEndless       `json:"endless,omitempty"`
	Fault       string              `json:"fault,omitempty"`
	Timing      *CountTiming        `json:"timing,omitempty"`
	NoTiming    string              `json:"no_timing,omitempty"`
	NotJudged   string              `json:"not_judged,omitempty"`
	Wrong       []string            `json:"mismatches,omitempty"`
	Work        CountWork           `json:"work"`
}

type CountEntries struct {
	Function string   `json:"function"`
	N        *big.Int `json:"n"`
}

type CountValue struct {
	Map   string `json:"map"`
	Key   uint32 `json:"key"`
	Value string `json:"value"` // bytes in hex
}

type CountEndless struct {
	Function string   `json:"function"`
	Landing  string   `json:"landing"`
	State    []string `json:"state"`
	Events   []string `json:"events"`
	Cut      bool     `json:"events_cut,omitempty"`
	Insns    *big.Int `json:"instructions"`
	Tails    *big.Int `json:"tail_calls"`
}

type CountTiming struct {
	Core       string   `json:"core"`
	Cycles     *big.Int `json:"cycles"`
	Sampled    uint64   `json:"sampled_instructions"`
	Whole      bool     `json:"whole_run_sampled"`
	GHz        float64  `json:"ghz"`
	Seconds    float64  `json:"seconds"`
	RCUStall   bool     `json:"rcu_stall"`
	SoftLockup bool     `json:"soft_lockup"`
}

// CountWork is what the answer took. Time and memory differ from run to run: with -v only.
type CountWork struct {
	Steps     uint64  `json:"executed_instructions"`
	Summaries int     `json:"summaries"`
	Hits      uint64  `json:"hits"`
	Peak      uint64  `json:"peak_bytes,omitempty"`
	Seconds   float64 `json:"seconds,omitempty"`
}

func CountOf(c *runner.Counted, ghz float64, verbose bool) CountResult {
	r := CountResult{
		Scenario: c.Scenario, Target: c.Target, Program: c.Program, OK: c.OK(), Limit: c.Limit, LimitBroken: c.LimitBroken(),
		TailCalls: c.TailCalls, Calls: c.Calls, Helpers: c.Helpers, Insns: c.Insns, Stack: c.Deepest,
		Refused: map[string]*big.Int{"limit": c.RefusedLimit, "bounds": c.RefusedBounds, "empty": c.RefusedEmpty},
		Wrong:   c.Wrong, NoTiming: c.NoTiming, NotJudged: c.NotJudged,
		Work: CountWork{Steps: c.Steps, Summaries: c.Summaries, Hits: c.Hits},
	}
	for _, s := range c.Starts {
		r.Entries = append(r.Entries, CountEntries(s))
	}
	for _, v := range c.Values {
		r.Values = append(r.Values, CountValue{v.Map, v.Key, fmt.Sprintf("%x", v.Value)})
	}
	for _, m := range c.Mismatches {
		r.Wrong = append(r.Wrong, m.String())
	}
	if e := c.Endless; e != nil {
		r.Endless = &CountEndless{e.Function, fmt.Sprintf("%#x", uint64(e.Landing)), e.State, e.Events, e.Cut, e.Insns, e.Tails}
	}
	if c.Fault != nil {
		r.Fault = c.Fault.Error()
	} else if c.Endless == nil {
		v := uint32(c.Final.R[0])
		r.Return = &v
	}
	if t := c.Timing; t != nil {
		s := t.Seconds(ghz)
		r.Timing = &CountTiming{
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
