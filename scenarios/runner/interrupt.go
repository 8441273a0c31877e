// SPDX-License-Identifier: GPL-2.0-only

package runner

import (
	"context"
	"errors"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/check"
	"github.com/tcsim/tcsim/emu/interp"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/scenarios"
)

// cut is where a run is interrupted.
type cut struct {
	seq   uint64 // before this instruction; 0 if the run does not come to the moment
	image int    // what runs then
	// points are the calls and tail calls before, as interp.Interrupt counts them.
	points uint64
}

var errCutLevel = errors.New("interrupts need the retired level")

// findCut performs a run without its interrupt to learn where it comes. The session's state is used up.
func (s *Session) findCut(ctx context.Context, a *scenarios.Action) (*cut, error) {
	if s.m.opt.Level != emu.LevelRetired {
		return nil, errCutLevel
	}
	r, err := s.enter(a, nil)
	if err != nil {
		return nil, err
	}
	run, err := s.m.perform(ctx, r, nil)
	if err != nil {
		return nil, err
	}
	in := a.Interrupt
	c := &cut{image: in.Program}
	if in.Kind == "" && uint64(in.After) < run.Retired {
		c.seq = uint64(in.After)
	}
	n := 0
	for _, e := range run.Events {
		if in.Kind == "" && e.Seq >= c.seq {
			break
		}
		if e.Kind.String() == in.Kind && !(e.Kind == trace.KindHelper && !e.HasInsn) {
			if n++; n == in.N {
				c.seq = e.Seq
				break
			}
		}
		switch e.Kind {
		case trace.KindCall, trace.KindTailCall, trace.KindRefused:
			c.points++
		}
	}
	return c, nil
}

// drive begins a run, or goes on with one, and interrupts it when the time has come.
func (m *Machine) drive(ctx context.Context, r emu.Run, fresh bool) (emu.Result, error) {
	if fresh {
		return m.until(ctx, r, m.Run)
	}
	return m.until(ctx, r, m.Continue)
}

// until makes a step of a run, and interrupts it when the time has come.
func (m *Machine) until(ctx context.Context, r emu.Run, step func(context.Context, emu.Run) (emu.Result, error)) (emu.Result, error) {
	c := m.now.cut
	if c == nil {
		return step(ctx, r)
	}
	if c.seq != 0 && !m.now.interrupted && (r.StopSeq == 0 || r.StopSeq >= c.seq) {
		to := r
		to.StopSeq = c.seq
		res, err := step(ctx, to)
		if err != nil || res.Stop != emu.StopSeq {
			return res, err
		}
		m.now.interrupted = true
		m.now.recorder(m).Arrive(res.RIP)
		counter, err := m.Interrupt(c.image, m.now.ctx)
		if err != nil {
			return res, err
		}
		m.feed.chk.AllowDesign(check.Range{Lo: counter.Addr, End: counter.Addr + image.Addr(counter.Size), Name: "tail_call_cnt"})
		step = m.Continue
	}
	return step(ctx, r)
}

// Prepared is a run of a scenario that somebody else performs, piece by piece: Machine.First, then Machine.Next or
// Machine.After.
type Prepared struct{ entry }

// First begins a prepared run, as r has it, which is Prepared.Run with what the performer adds to it. It is interrupted
// where the scenario says.
func (m *Machine) First(ctx context.Context, p *Prepared, r emu.Run) (emu.Result, error) {
	m.now = going{entry: p.entry}
	return m.drive(ctx, r, true)
}

// Next goes on with a prepared run that stopped.
func (m *Machine) Next(ctx context.Context, r emu.Run) (emu.Result, error) {
	return m.drive(ctx, r, false)
}

// After goes on at an address after a breakpoint that ended a prepared run, see emu.Machine.Resume.
func (m *Machine) After(ctx context.Context, r emu.Run, f *emu.Fault, at image.Addr) (emu.Result, error) {
	return m.until(ctx, r, func(ctx context.Context, r emu.Run) (emu.Result, error) { return m.Resume(ctx, r, f, at) })
}

// interrupted runs action a in the interpreter, with an interrupt where the machine had one.
func (r *reference) interrupted(a *scenarios.Action, ctx interp.Ctx, c *cut) (interp.Result, error) {
	if c != nil && c.seq != 0 {
		return r.m.RunInterrupted(a.Program, ctx, interp.Interrupt{Before: c.points, Prog: c.image})
	}
	return r.m.Run(a.Program, ctx)
}
