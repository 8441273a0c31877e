// SPDX-License-Identifier: GPL-2.0-only

package report

import (
	"context"
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/cmd/tcsim/render"
	"github.com/tcsim/tcsim/emu/timing"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/inspect"
	"github.com/tcsim/tcsim/scenarios/interleave"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// Options say what a report has. The zero value has no cycles and no schedules.
type Options struct {
	// Command is the command line that made it, which the page shows; "" for none.
	Command string
	// Core is the core whose cycles are shown; nil for none.
	Core *timing.Core
	// Most is how many events of a run are shown, the first ones; 0 means DefaultMost.
	Most int
	// Window is where the time line gets its events, see runner.Options; nil for the first of each run.
	Window func(int, *trace.Code) ([]trace.Event, error)
	// PageSize is how many events the time line shows at a time; 0 means DefaultMost.
	PageSize int
	// InFull says what a run does that was not let run to its end; nil says nothing.
	InFull func(context.Context, *runner.Session, *runner.Result) (string, error)
	// Explore explores the interleavings of updates with runs, if not nil.
	Explore *interleave.Options
	// Allow says that code of a kernel's source may do something else than that of the release it was edited from.
	Allow bool
}

// DefaultMost is how many events of a run a report has.
const DefaultMost = 50_000

// Report is what has been added to one.
type Report struct {
	// Interrupted says in the title that more was to be added.
	Interrupted bool

	opt      Options
	subjects []*subject
}

// New returns a report with nothing in it.
func New(o Options) *Report {
	if o.Most == 0 {
		o.Most = DefaultMost
	}
	if o.PageSize == 0 {
		o.PageSize = DefaultMost
	}
	return &Report{opt: o}
}

// subject is a scenario with what it did on each target.
type subject struct {
	Name, About string
	Plays       []*play
	Diffs       []diff
	Schedules   []schedules
}

// Add plays a scenario on each target. What a target cannot run is in the report; what the target's kernel
// refuses, or the context's end, is the error.
func (r *Report) Add(ctx context.Context, b *scenarios.Built, targets []*jit.Target) error {
	sub := &subject{Name: render.Plain(b.Scenario.Name), About: b.Scenario.About}
	var s *runner.Session
	defer func() {
		if s != nil {
			s.Close()
		}
	}()
	var compiled []*runner.Compiled
	for _, t := range targets {
		p := &play{Row: render.RunRow{Scenario: sub.Name, Target: t.Name}}
		sub.Plays = append(sub.Plays, p)
		c, err := runner.Compile(b, t)
		if err == nil {
			if s, err = s.OpenNext(c, runner.Options{Core: r.opt.Core, KeepEvents: r.opt.Most + 1, Window: r.opt.Window}); err != nil {
				return err
			}
			compiled = append(compiled, c)
			err = r.play(ctx, p, s)
		}
		if err == nil && p.Row.OK && t.Emitter != nil {
			var rep *inspect.Report
			if rep, err = inspect.Code(c); err == nil {
				p.Row.Inspected(rep, r.opt.Allow)
			}
		}
		switch {
		case errors.Is(err, kernels.ErrUnsupported):
			p.Row.Error = err.Error()
		case errors.Is(err, jit.ErrEmitter):
			p.Row.Failed = append(p.Row.Failed, err.Error())
		case err != nil:
			return fmt.Errorf("%s on %s: %w", sub.Name, t.Name, err)
		}
	}
	for _, c := range compiled {
		if c != compiled[0] {
			sub.Diffs = append(sub.Diffs, diffOf(compiled[0], c))
		}
		if r.opt.Explore == nil {
			continue
		}
		x, err := explore(ctx, c, *r.opt.Explore)
		if err != nil {
			return err
		}
		sub.Schedules = append(sub.Schedules, x)
	}
	r.subjects = append(r.subjects, sub)
	return nil
}

// Rows are the verdicts, as tcsim run prints them.
func (r *Report) Rows() []render.RunRow {
	var out []render.RunRow
	for _, s := range r.subjects {
		for _, p := range s.Plays {
			out = append(out, p.Row)
		}
	}
	return out
}
