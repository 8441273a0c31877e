// SPDX-License-Identifier: GPL-2.0-only

// Package play plays scenarios on targets, two at a time, and makes a row of what each does.
package play

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/tcsim/tcsim/cmd/tcsim/events"
	"github.com/tcsim/tcsim/cmd/tcsim/render"
	"github.com/tcsim/tcsim/emu/count"
	"github.com/tcsim/tcsim/emu/stack"
	"github.com/tcsim/tcsim/emu/timing"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/crash"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/inspect"
	"github.com/tcsim/tcsim/scenarios/measure"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// workers is how many machines there are at most.
const workers = 2

// Options say how scenarios are played.
type Options struct {
	Core      *timing.Core
	KeepGoing bool                  // after a run that breaks an invariant
	Allow     bool                  // what an edited source does otherwise than its release
	Recording *events.Recording     // of all events, nil for none
	Progress  func(done, total int) // is told after each, one at a time; may be nil
}

// All plays every scenario on every target. Rows are in that order. With an error, which is that of the first that
// has one, they are those that were finished.
func All(ctx context.Context, bs []*scenarios.Built, ts []*jit.Target, opt Options) ([]render.RunRow, error) {
	n := len(bs) * len(ts)
	rows, errs := make([]*render.RunRow, n), make([]error, n)
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		next   int
		done   int
		over   bool // no more are begun
		broken *crash.Panic
	)
	claim := func() (i int, ok bool) {
		mu.Lock()
		defer mu.Unlock()
		if over || next == n {
			return 0, false
		}
		next++
		return next - 1, true
	}
	for range min(n, together(ts, opt)) {
		wg.Go(func() {
			p := &player{Options: opt}
			defer p.close()
			for i, ok := claim(); ok; i, ok = claim() {
				row, c, err := p.guarded(ctx, bs[i/len(ts)], ts[i%len(ts)])
				mu.Lock()
				rows[i], errs[i], broken = row, err, cmp.Or(broken, c)
				over = over || err != nil || c != nil
				if done++; opt.Progress != nil && !over {
					opt.Progress(done, n)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if broken != nil {
		panic(broken)
	}
	var all []render.RunRow
	for _, r := range rows {
		if r != nil {
			all = append(all, *r)
		}
	}
	for _, err := range errs {
		if err != nil {
			return all, err
		}
	}
	return all, nil
}

// together is how many are played at the same time: what is recorded is one sequence, and a compiled source says
// things once, in the order of what it compiles.
func together(ts []*jit.Target, opt Options) int {
	if opt.Recording != nil || slices.ContainsFunc(ts, func(t *jit.Target) bool { return t.Emitter != nil }) {
		return 1
	}
	return workers
}

// player plays one after the other in the same machine.
type player struct {
	Options
	s *runner.Session
}

func (p *player) close() {
	if p.s != nil {
		p.s.Close()
	}
}

// guarded plays a scenario and returns its panic, nil if there was none.
func (p *player) guarded(ctx context.Context, b *scenarios.Built, t *jit.Target) (row *render.RunRow, c *crash.Panic, err error) {
	defer func() {
		if v := recover(); v != nil {
			c = crash.New(b.Scenario.Name+" on "+t.Name, v)
		}
	}()
	row, err = p.play(ctx, b, t)
	return row, nil, err
}

// play makes the row of a scenario. Its error is one of tcsim, or of the context.
func (p *player) play(ctx context.Context, b *scenarios.Built, t *jit.Target) (*render.RunRow, error) {
	row := &render.RunRow{Scenario: b.Scenario.Name, Target: t.Name}
	p.Recording.Of(row.Scenario, row.Target)
	c, err := runner.Compile(b, t)
	if err != nil {
		if !verdict(row, err) {
			row.Rejected = err.Error()
		}
		return row, nil
	}
	opt := events.Options(runner.Options{Core: p.Core, KeepGoing: p.KeepGoing}, p.Recording, nil)
	if p.s, err = p.s.OpenNext(c, opt); err != nil {
		return nil, err
	}
	res, err := p.s.Play(ctx)
	if err != nil {
		if verdict(row, err) {
			return row, nil
		}
		return nil, err
	}
	row.Fill(res)
	if row.OK && t.Emitter != nil { // what tcsim emits itself is looked at by its tests
		rep, err := inspect.Code(c)
		if err != nil {
			return nil, err
		}
		row.Inspected(rep, p.Allow)
	}
	if row.Counted, err = InFull(ctx, p.s, res); err != nil {
		return nil, err
	}
	return row, draw(ctx, p.s, res, row)
}

// verdict puts an error that is one on the target into its row, and reports whether it is one.
func verdict(row *render.RunRow, err error) bool {
	switch {
	case errors.Is(err, kernels.ErrUnsupported):
		row.Error = err.Error()
	case errors.Is(err, jit.ErrEmitter):
		row.Failed = append(row.Failed, err.Error())
	default:
		return false
	}
	return true
}

// draw puts the stack where the last run broke an invariant into its row, if that is not as expected.
func draw(ctx context.Context, s *runner.Session, res *runner.Result, r *render.RunRow) error {
	n := len(res.Runs)
	if res.OK() || n == 0 || res.Runs[n-1].Violation == nil {
		return nil
	}
	at, err := stack.ParseAt("violation")
	if err != nil {
		return err
	}
	drawings, err := s.Stack(ctx, n, at)
	if err != nil {
		return err
	}
	d := &drawings[0]
	r.Stack, r.StackText = d.Layout, d.Layout.Picture(stack.Options{Title: d.Moment.Name})
	return nil
}

// inFullSteps bounds the count of a run that was broken off, to well below a second; tcsim count has
// a bound of its own.
const inFullSteps = 200_000

// InFull says what a run does that was not let run to its end, "" if none was.
func InFull(ctx context.Context, s *runner.Session, res *runner.Result) (string, error) {
	c, err := s.CountOpen(ctx, res, measure.CountOptions{MaxSteps: inFullSteps})
	switch {
	case errors.Is(err, count.ErrUndecided):
		_, why, _ := strings.Cut(err.Error(), count.ErrUndecided.Error()+": ")
		return fmt.Sprintf("how much it does if left alone is undecided: %s; tcsim count tries longer", why), nil
	case err != nil || c == nil:
		return "", err
	}
	return "left alone, " + render.CountSentence(c, render.DefaultGHz), nil
}
