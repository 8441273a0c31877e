// SPDX-License-Identifier: GPL-2.0-only

package runner

import (
	"context"
	"fmt"
	"math/big"
	"slices"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/check"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/measure"
)

// Counted is what one run does, in exact numbers.
type Counted struct {
	*measure.Counted
	Scenario, Target, Program string
	// Limit is the number of tail calls that the run may take; 0 if it is not known.
	Limit uint32
	// NotJudged are the invariants, as text, that the scenario expects to break and that a count does
	// not look at; "" if there are none. Nothing is compared with the scenario then.
	NotJudged string
	// Mismatches is where the scenario expects something else, Wrong where a kernel's own run of a
	// captured one gave something else.
	Mismatches []scenarios.Mismatch
	Wrong      []string

	// Captured says that the run is that of a kernel's own test, which breaks nothing.
	Captured bool
}

// LimitBroken reports whether more tail calls are taken than allowed.
func (c *Counted) LimitBroken() bool {
	return c.Limit != 0 && c.TailCalls.Cmp(big.NewInt(int64(c.Limit))) > 0
}

// OK reports whether the run ends and is as expected: the limit may only break where a scenario
// says so.
func (c *Counted) OK() bool {
	if c.Captured && (c.LimitBroken() || c.Fault != nil) {
		return false
	}
	return c.Endless == nil && len(c.Mismatches) == 0 && len(c.Wrong) == 0
}

// Count plays the scenario up to run number n, from 1, and counts what that run does, without
// checking invariants. It answers for runs that are too long to wait for. An error wraps
// count.ErrUndecided where the method finds no answer.
func (s *Session) Count(ctx context.Context, n int, o measure.CountOptions) (*Counted, error) {
	c, err := s.count(ctx, n, o)
	if err != nil {
		return nil, err
	}
	return c, c.AddCycles(ctx, s.m.Measured(), o, func() (emu.Run, error) { return s.Before(ctx, n) })
}

// CountTo counts up to the moment that the options look for, without cycles, and leaves the machine there.
func (s *Session) CountTo(ctx context.Context, n int, o measure.CountOptions) (*Counted, error) {
	return s.count(ctx, n, o)
}

// count leaves the machine in the final state.
func (s *Session) count(ctx context.Context, n int, o measure.CountOptions) (*Counted, error) {
	at, err := s.c.RunAt(n)
	if err != nil {
		return nil, fmt.Errorf("scenario %s: %w", s.c.Built.Scenario.Name, err)
	}
	a := &s.c.Built.Actions[at]
	c := &Counted{
		Scenario: s.c.Built.Scenario.Name, Target: s.c.Target.Name, Limit: s.c.Target.Limit,
		Program: s.c.Built.Programs[a.Program].Name,
	}
	if a.Interrupt != nil {
		return nil, fmt.Errorf("scenario %s: count: a run that is interrupted: %w", c.Scenario, kernels.ErrUnsupported)
	}
	r, err := s.Before(ctx, n)
	if err != nil {
		return nil, err
	}
	if c.Counted, err = measure.Count(ctx, s.m.Measured(), r, o); err != nil {
		return nil, fmt.Errorf("scenario %s on %s: %w", c.Scenario, c.Target, err)
	}
	c.NotJudged = notJudged(a, s.c.Target)
	if c.Endless == nil && c.NotJudged == "" && !c.Found {
		c.Mismatches = s.c.Built.Check(a, c.outcome(s.m.Machine), scenarios.TargetNames(s.c.Target)...)
	}
	return c, nil
}

// countSees are the values of "violates" that a count can tell from each other.
var countSees = []string{"none", string(check.Limit), string(check.FaultFree)}

// notJudged returns the invariants that a run is expected to break if a count sees none of them.
func notJudged(a *scenarios.Action, t *jit.Target) string {
	if a.Event.Expect == nil {
		return ""
	}
	x := a.Event.Expect.For(scenarios.TargetNames(t)...)
	for _, n := range x.Violates {
		if slices.Contains(countSees, n.Text) {
			return ""
		}
	}
	return x.Violates.String()
}

// outcome is what a scenario's expectations are compared with. A run that breaks the limit is
// judged as that.
func (c *Counted) outcome(m *emu.Machine) *scenarios.Outcome {
	o := &scenarios.Outcome{
		Return: c.Final.R[0], Taken: c.TailCalls.Uint64(), DeepestStack: c.Deepest,
		Refused: scenarios.RefusedCount{
			Limit: c.RefusedLimit.Uint64(), Bounds: c.RefusedBounds.Uint64(), Empty: c.RefusedEmpty.Uint64(),
		},
		Lookup: func(mp int, key []byte) ([]byte, bool) {
			v, err := m.LookupElem(mp, key)
			return v, err == nil
		},
	}
	switch {
	case c.LimitBroken():
		o.Violation = string(check.Limit)
	case c.Fault != nil:
		o.Violation = string(check.FaultFree)
	}
	return o
}

// CountOpen counts the last run of a played scenario if plain emulation has left open how much it
// does: a budget ended it, or it was stopped because it broke the limit. Otherwise the result is
// nil.
func (s *Session) CountOpen(ctx context.Context, res *Result, o measure.CountOptions) (*Counted, error) {
	n := len(res.Runs)
	if n == 0 {
		return nil, nil
	}
	if at, err := s.c.RunAt(n); err != nil || s.c.Built.Actions[at].Interrupt != nil {
		return nil, err
	}
	if r := &res.Runs[n-1]; r.Killed == "" && (r.Violation == nil || r.Violation.Invariant != check.Limit) {
		return nil, nil
	}
	return s.Count(ctx, n, o)
}
