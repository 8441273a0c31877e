// SPDX-License-Identifier: GPL-2.0-only

package locate

import (
	"context"
	"fmt"
	"io"
	"math/big"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/splat"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/measure"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// Pace is how long a report's invocation takes if its tail calls cost what those of a scenario do: for reports that say
// which tail call it was, of programs that are not there.
type Pace struct {
	Core     string  `json:"core"`
	GHz      float64 `json:"ghz"`
	Each     float64 `json:"ns_each"` // nanoseconds for one tail call and what belongs to it
	Scenario string  `json:"scenario"`
	Seconds  float64 `json:"seconds"`
	Target   string  `json:"target"`
	Whole    float64 `json:"seconds_total"`
}

// PaceOf measures a run of a scenario and applies its pace to a position.
func PaceOf(ctx context.Context, b *scenarios.Built, t *jit.Target, n int, p *splat.Position, o measure.CountOptions, ghz float64) (*Pace, error) {
	c, err := runner.Compile(b, t)
	if err != nil {
		return nil, err
	}
	s, err := runner.Open(c, runner.Options{})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	run, err := s.Count(ctx, n, o)
	switch {
	case err != nil:
		return nil, err
	case run.Timing == nil:
		return nil, fmt.Errorf("%s on %s has no pace: %s", run.Scenario, run.Target, run.NoTiming)
	case run.TailCalls.Sign() == 0:
		return nil, fmt.Errorf("%s on %s has no pace: it makes no tail call", run.Scenario, run.Target)
	}
	made, _ := new(big.Float).SetInt(run.TailCalls).Float64()
	each := run.Timing.Seconds(ghz) / made
	no, _ := new(big.Float).SetInt(p.No).Float64()
	total, _ := new(big.Float).SetInt(p.Total).Float64()
	return &Pace{
		Core: run.Timing.Core, GHz: ghz, Each: each * 1e9, Scenario: run.Scenario, Target: run.Target, Seconds: no * each, Whole: total * each,
	}, nil
}

// Write prints the pace as text.
func (p *Pace) Write(w io.Writer) error {
	past := ""
	if p.Seconds > measure.SoftLockupSeconds {
		past = fmt.Sprintf("\n  past the watchdogs: soft lockup after %d s, RCU stall after %d s", measure.SoftLockupSeconds, measure.RCUStallSeconds)
	}
	_, err := fmt.Fprintf(w, "At the pace of %s on %s (%.1f ns for each tail call at %g GHz, %s):\n  after %.1f s of %.1f s; %.1f s remain%s\n",
		p.Scenario, p.Target, p.Each, p.GHz, p.Core, p.Seconds, p.Whole, p.Whole-p.Seconds, past)
	return err
}
