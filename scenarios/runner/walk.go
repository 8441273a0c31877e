// SPDX-License-Identifier: GPL-2.0-only

package runner

import (
	"context"
	"slices"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/scenarios/measure"
)

// Walk is a run that somebody performs in pieces, and from its beginning as often as they like: it is the same
// run each time, because a run is deterministic. Nothing is checked. The machine belongs to the walk.
type Walk struct {
	m       *Machine
	prepare func() (entry, error)
	// Judged is the run as it was performed once with all checks: its violation, and its events up to there.
	Judged *Run
	// Clock has the cycles of that; nil if no core was given.
	Clock *measure.Clock
}

// Walk plays the scenario up to run number n, from 1, performs and judges that, and returns a walk of it. The
// session cannot be played again. The error is a NotReached if something stops the scenario before.
func (s *Session) Walk(ctx context.Context, n int) (*Walk, error) {
	run, err := s.PlayTo(ctx, n)
	if err != nil {
		return nil, err
	}
	w := s.m.walk(run)
	t, err := s.Begin()
	if err != nil {
		return nil, err
	}
	if err := t.ToRun(ctx, n); err != nil {
		return nil, err
	}
	a, _ := t.Next()
	if err := t.findCut(ctx, a); err != nil {
		return nil, err
	}
	w.prepare = func() (entry, error) { return s.enter(a, t.cut(a)) }
	return w, s.m.Checkpoint()
}

// Walk returns a walk of a run that no reference interpreter judges. enter prepares it from the state that is
// loaded now.
func (m *Machine) Walk(ctx context.Context, enter func() (emu.Run, error)) (*Walk, error) {
	if err := m.Checkpoint(); err != nil {
		return nil, err
	}
	r, err := enter()
	if err != nil {
		return nil, err
	}
	run, err := m.Perform(ctx, r)
	if err != nil {
		return nil, err
	}
	m.Latent(run)
	w := m.walk(run)
	w.prepare = func() (entry, error) {
		r, err := enter()
		return entry{Run: r}, err
	}
	return w, nil
}

// walk begins a walk of what was judged just now.
func (m *Machine) walk(run *Run) *Walk {
	run.Events = slices.Clone(run.Events)
	return &Walk{m: m, Judged: run, Clock: m.feed.clock}
}

// Machine is what the run is in.
func (w *Walk) Machine() *Machine { return w.m }

// Begin goes to the beginning of the run, before its first instruction. rec follows the run: it must have seen nothing,
// and the observers that Continue is given feed it.
func (w *Walk) Begin(ctx context.Context, rec *trace.Recorder) (emu.Result, error) {
	if err := w.m.Reset(); err != nil {
		return emu.Result{}, err
	}
	e, err := w.prepare()
	if err != nil {
		return emu.Result{}, err
	}
	w.m.now = going{entry: e, rec: rec}
	return w.drive(ctx, emu.Run{StopAddr: w.m.begins(e.Run)}, true)
}

// Continue goes on to where r says: its StopSeq, StopAddr and StopAddrs, what its observer wants, or the end. Of r
// nothing else counts.
func (w *Walk) Continue(ctx context.Context, r emu.Run) (emu.Result, error) {
	return w.drive(ctx, r, false)
}

func (w *Walk) drive(ctx context.Context, r emu.Run, fresh bool) (emu.Result, error) {
	to := w.m.now.Run
	to.Level, to.MaxInsns, to.Observer = emu.LevelRetired, w.m.opt.MaxInsns, r.Observer
	to.StopSeq, to.StopAddr, to.StopHits, to.StopAddrs = r.StopSeq, r.StopAddr, r.StopHits, r.StopAddrs
	return w.m.drive(ctx, to, fresh)
}
