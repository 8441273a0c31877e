// SPDX-License-Identifier: GPL-2.0-only

package runner

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/check"
	"github.com/tcsim/tcsim/emu/count"
	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/scenarios"
)

// CountOptions say how to count. The zero value is usable.
type CountOptions struct {
	// MaxSummaries, MaxBytes and MaxSteps bound the work, see count.Config; 0 means its defaults.
	MaxSummaries, MaxBytes int
	MaxSteps               uint64
	// NoReuse executes every call: the numbers of plain emulation.
	NoReuse bool
	// Core is the core whose cycles are reported, see timing.CoreNamed; "" is the default one.
	Core string
	// Sample is how many instructions the timing model sees; 0 means DefaultSample, and cycles of
	// longer runs are extrapolated.
	Sample uint64

	// For tests, see count.Config.
	dropPin    func(location string) bool
	watchAfter uint64
}

// Counted is what one run does, in exact numbers.
type Counted struct {
	*count.Result
	Scenario, Target, Program string
	// Limit is the number of tail calls that the run may take; 0 if it is not known.
	Limit uint32
	// Values are the values of array maps at the end that are not all zero.
	Values []MapValue
	// Timing are the cycles, nil if the timing model has no answer: NoTiming says why.
	Timing   *CountTiming
	NoTiming string
	// NotJudged are the invariants, as text, that the scenario expects to break and that a count does
	// not look at; "" if there are none. Nothing is compared with the scenario then.
	NotJudged string
	// Mismatches is where the scenario expects something else, Wrong where a kernel's own run of a
	// captured one gave something else.
	Mismatches []scenarios.Mismatch
	Wrong      []string

	Time time.Duration // of counting alone

	captured bool
}

// MapValue is a value of an array map.
type MapValue struct {
	Map   string
	Key   uint32
	Value []byte
}

// LimitBroken reports whether more tail calls are taken than allowed.
func (c *Counted) LimitBroken() bool {
	return c.Limit != 0 && c.TailCalls.Cmp(big.NewInt(int64(c.Limit))) > 0
}

// OK reports whether the run ends and is as expected: the limit may only break where a scenario
// says so.
func (c *Counted) OK() bool {
	if c.captured && (c.LimitBroken() || c.Fault != nil) {
		return false
	}
	return c.Endless == nil && len(c.Mismatches) == 0 && len(c.Wrong) == 0
}

// Count plays the scenario up to run number n, from 1, and counts what that run does, without
// checking invariants. It answers for runs that nobody could wait for. An error wraps
// count.ErrUndecided where the method finds no answer.
func (s *Session) Count(ctx context.Context, n int, o CountOptions) (*Counted, error) {
	c, err := s.count(ctx, n, o)
	if err != nil {
		return nil, err
	}
	return c, s.m.countCycles(ctx, c, o, func() (emu.Run, error) { return s.Before(ctx, n) })
}

// count leaves the machine in the final state.
func (s *Session) count(ctx context.Context, n int, o CountOptions) (*Counted, error) {
	at, err := s.c.runAt(n)
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
	if err := s.m.count(ctx, c, o, r); err != nil {
		return nil, fmt.Errorf("scenario %s on %s: %w", c.Scenario, c.Target, err)
	}
	c.NotJudged = notJudged(a, s.c.Target)
	if c.Endless == nil && c.NotJudged == "" {
		c.Mismatches = s.c.Built.Check(a, c.outcome(s.m), scenarios.TargetNames(s.c.Target)...)
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

// ErrNotCaptured is wrapped where a captured scenario has no code that could be run.
var ErrNotCaptured = errors.New("there is nothing to run")

// Count counts what a captured scenario's run does, also one that the kernel did not dare.
func (r *Replayer) Count(ctx context.Context, cp *Captured, o CountOptions) (*Counted, error) {
	if why := cp.missing(); why != "" {
		return nil, fmt.Errorf("%s: %w: %s", cp.Scenario.Name, ErrNotCaptured, why)
	}
	if cp.Scenario.Run == nil {
		return nil, fmt.Errorf("%s: %w: the capture has no run of it", cp.Scenario.Name, ErrNotCaptured)
	}
	if cp.Scenario.ProgType == bpf.Tracing {
		return nil, fmt.Errorf("%s: count: a test run of a tracing program, which is several runs: %w", cp.Scenario.Name, kernels.ErrUnsupported)
	}
	m, err := r.load(cp)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", cp.Scenario.Name, err)
	}
	if err := m.Checkpoint(); err != nil {
		return nil, err
	}
	c := &Counted{
		Scenario: cp.Scenario.Name, Target: cp.Target.Name, Limit: cp.Target.Limit,
		Program: cp.Scenario.Progs[cp.Scenario.Run.Prog].Name, captured: true,
	}
	begin := func() (emu.Run, error) {
		if err := m.Reset(); err != nil {
			return emu.Run{}, err
		}
		return cp.enter(m)
	}
	run, err := begin()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Scenario, err)
	}
	if err := m.count(ctx, c, o, run); err != nil {
		return nil, fmt.Errorf("%s: %w", c.Scenario, err)
	}
	if c.Endless == nil && c.Fault == nil && cp.skip() == "" {
		c.Wrong = cp.compare(m, &Replay{Run: Run{Return: c.Final.R[0]}})
	}
	return c, m.countCycles(ctx, c, o, begin)
}

// count fills what counting finds out. The machine is left in the final state.
func (m *machine) count(ctx context.Context, c *Counted, o CountOptions, r emu.Run) error {
	if err := m.countable(); err != nil {
		return err
	}
	start := time.Now()
	cpu := &stepper{m: m}
	if err := cpu.begin(ctx, r); err != nil {
		return err
	}
	size := image.Addr(m.opt.StackSize)
	if size == 0 {
		size = 16 << 10 // the machine's default
	}
	var err error
	c.Result, err = count.Count(ctx, cpu, count.Config{
		Images: m.setup.Images, StackLow: guest.StackTop - size, StackHigh: guest.StackTop, Return: guest.OutsideReturn, Helper: m.helperModel,
		MaxSummaries: o.MaxSummaries, MaxBytes: o.MaxBytes, MaxSteps: o.MaxSteps, NoReuse: o.NoReuse, DropPin: o.dropPin,
		WatchAfter: o.watchAfter,
	})
	c.Time = time.Since(start)
	if err != nil {
		return err
	}
	c.Values, err = m.values()
	return err
}

// countable refuses what summaries do not follow: calls that end in an exception, and accesses that
// the kernel's fault handler skips, as those to an arena do.
func (m *machine) countable() error {
	for _, img := range m.setup.Images {
		for i := range img.Funcs {
			if f := &img.Funcs[i]; f.ExceptionCB {
				return fmt.Errorf("count: %s is an exception callback: %w", f.Name, kernels.ErrUnsupported)
			}
		}
	}
	for _, mp := range m.setup.Maps {
		if mp.Type == bpf.ArenaMap {
			return fmt.Errorf("count: %s is an arena: %w", mp.Name, kernels.ErrUnsupported)
		}
	}
	return nil
}

// values reads the array maps.
func (m *machine) values() ([]MapValue, error) {
	var out []MapValue
	for i := range m.setup.Maps {
		mp := &m.setup.Maps[i]
		if mp.Type != bpf.ArrayMap && mp.Type != bpf.PerCPUArrayMap {
			continue
		}
		for k := range mp.MaxEntries {
			v, err := m.LookupElem(i, binary.LittleEndian.AppendUint32(nil, k))
			if err != nil {
				return nil, fmt.Errorf("map %s: %w", mp.Name, err)
			}
			for _, b := range v {
				if b != 0 {
					out = append(out, MapValue{mp.Name, k, v})
					break
				}
			}
		}
	}
	return out, nil
}

// outcome is what a scenario's expectations are compared with. A run that breaks the limit is
// judged as that.
func (c *Counted) outcome(m *machine) *scenarios.Outcome {
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
func (s *Session) CountOpen(ctx context.Context, res *Result, o CountOptions) (*Counted, error) {
	n := len(res.Runs)
	if n == 0 {
		return nil, nil
	}
	if at, err := s.c.runAt(n); err != nil || s.c.Built.Actions[at].Interrupt != nil {
		return nil, err
	}
	if r := &res.Runs[n-1]; r.Killed == "" && (r.Violation == nil || r.Violation.Invariant != check.Limit) {
		return nil, nil
	}
	return s.Count(ctx, n, o)
}
