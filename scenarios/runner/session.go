// SPDX-License-Identifier: GPL-2.0-only

package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/check"
	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/emu/interp"
	"github.com/tcsim/tcsim/emu/timing"
	"github.com/tcsim/tcsim/jit/x86"
	"github.com/tcsim/tcsim/scenarios"
)

// Session is a scenario loaded for one target: what there is to run, in a machine. Where the scenario stands is
// a Timeline. A session can be played any number of times. It is not safe for concurrent use and must be
// closed.
type Session struct {
	rig   *Rig
	c     *Compiled
	m     *Machine
	ref   *reference
	first *holdings // after loading; not changed
	// broken is what was wrong with direct tail calls after loading, nil if nothing.
	broken *check.Violation
	cuts   map[cutKey]*cut // where runs are interrupted, as far as that was asked for
}

// Open loads a compiled scenario into a machine of its own: maps with their first contents, prog arrays
// filled through the kernel's poke protocol.
func Open(c *Compiled, opt Options) (*Session, error) {
	r, err := NewRig(opt)
	if err != nil {
		return nil, err
	}
	s, err := r.Open(c, opt)
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return s, nil
}

// Open loads a compiled scenario into the rig. Closing the session closes the rig.
func (r *Rig) Open(c *Compiled, opt Options) (*Session, error) {
	s, err := r.open(c, opt)
	if err != nil {
		return nil, fmt.Errorf("scenario %s: %w", c.Built.Scenario.Name, err)
	}
	return s, nil
}

func (r *Rig) open(c *Compiled, opt Options) (*Session, error) {
	m, err := r.Load(c.Setup(), opt, cmp.Or(opt.Limit, c.Target.Limit))
	if err != nil {
		return nil, err
	}
	rules := RulesOf(c.Target)
	rules.PerFrame = opt.PerFrame
	ref, err := newReference(c.Built, rules, layout(m, c), referenceInsns, &r.log)
	if err != nil {
		return nil, err
	}
	s := &Session{rig: r, c: c, m: m, ref: ref, first: newHoldings(c, m), cuts: map[cutKey]*cut{}}
	return s, s.fill()
}

// layout has the interpreter's context, packet, arrays, hash maps and first frame lie where the machine's do, so that what a program
// makes of their addresses is the same.
func layout(m *Machine, c *Compiled) interp.Layout {
	l := interp.Layout{Ctx: uint64(guest.ContextAddr), Packet: uint64(guest.PacketAddr)}
	if first, err := c.RunAt(1); err == nil {
		f := &c.Images[c.Built.Actions[first].Program].Funcs[0].Frame
		if reg, add := c.Target.Design.FP(); f.Depth > 0 || reg == x86.RBP && add == 0 { // else it does not say where r10 points
			l.StackTop = uint64(guest.FirstFP(f))
		}
	}
	for i := range c.Built.Maps {
		handle, _ := m.Kernel.MapAddr(i)
		values, apart := m.Kernel.MapValues(i)
		l.Handle, l.Values, l.Apart = append(l.Handle, uint64(handle)), append(l.Values, uint64(values)), append(l.Apart, apart)
	}
	return l
}

// OpenNext loads another scenario into the session's rig, or into a new one if there is no session yet. The
// old session must not be used any more, whether or not there is an error.
func (s *Session) OpenNext(c *Compiled, opt Options) (*Session, error) {
	if s == nil {
		return Open(c, opt)
	}
	return s.rig.Open(c, opt)
}

// Close releases the rig.
func (s *Session) Close() error { return s.rig.Close() }

// Compiled returns what the session was opened with.
func (s *Session) Compiled() *Compiled { return s.c }

// Machine returns what the scenario is loaded into. Its memory is that of where the timeline stands.
func (s *Session) Machine() *Machine { return s.m }

// fill gives maps and prog arrays their first contents and makes that the machine's checkpoint.
func (s *Session) fill() error {
	for _, v := range s.c.Built.Values {
		if err := s.first.store(v.Map, v.Key, v.Off, v.Data); err != nil {
			return err
		}
	}
	var broken *check.PokeError
	if err := s.first.loadAll(); errors.As(err, &broken) {
		s.broken = broken.Violation(s.m.Code)
		s.first.goLive(len(s.c.Images) - 1)
	} else if err != nil {
		return err
	}
	return s.m.Checkpoint()
}

// loadAll loads the programs one after the other. A slot is filled when its program is there, so that
// both ways occur: programs loaded before are poked, those loaded later find the slot filled.
func (h *holdings) loadAll() error {
	filled := make([][]Slot, len(h.c.Images))
	for _, sl := range h.c.Built.Slots {
		filled[sl.Program] = append(filled[sl.Program], Slot{sl.Map, sl.Key})
	}
	for i := range h.c.Images {
		if err := h.load(i); err != nil {
			return err
		}
		for _, at := range filled[i] {
			if _, err := h.setSlot(at, i); err != nil {
				return err
			}
		}
	}
	return nil
}

// reset takes machine and reference back to where the scenario begins.
func (s *Session) reset() error {
	if err := s.ref.reset(); err != nil {
		return err
	}
	return s.m.Reset()
}

// Play begins anew and does everything that the scenario says. The error is a failure of ours or of the
// context; what the code does wrong is in the result.
func (s *Session) Play(ctx context.Context) (*Result, error) {
	t, err := s.Begin()
	if err != nil {
		return nil, err
	}
	if err := t.ToEnd(ctx); err != nil {
		return nil, err
	}
	return t.Result(), nil
}

// PlayTo begins anew, plays up to and including run number n, from 1, and returns that run. The error is
// a NotReached if something stops the scenario before.
func (s *Session) PlayTo(ctx context.Context, n int) (*Run, error) {
	return s.playTo(ctx, n, s.m.opt.Core)
}

func (s *Session) playTo(ctx context.Context, n int, core *timing.Core) (*Run, error) {
	t, err := s.Begin()
	if err != nil {
		return nil, err
	}
	t.core = core
	if err := t.ToRun(ctx, n); err != nil {
		return nil, err
	}
	if err := t.Step(ctx); err != nil {
		return nil, err
	}
	return &t.res.Runs[n-1], nil
}

// before begins anew, plays what comes before run number n, from 1, and prepares that run. The error is a
// NotReached if something stops the scenario before.
func (s *Session) before(ctx context.Context, n int) (entry, error) {
	t, err := s.Begin()
	if err != nil {
		return entry{}, err
	}
	if err := t.ToRun(ctx, n); err != nil {
		return entry{}, err
	}
	return t.enter(ctx)
}

// Before is before for a run that is then performed without its interrupt.
func (s *Session) Before(ctx context.Context, n int) (emu.Run, error) {
	e, err := s.before(ctx, n)
	return e.Run, err
}

// enter prepares context and packet of a run that is interrupted at c, or not at all if that is nil.
func (s *Session) enter(a *scenarios.Action, c *cut) (entry, error) {
	p := &s.c.Built.Programs[a.Program]
	ctx, err := PlaceContext(s.m, s.c.Target, p.Type, a.Packet, a.Context)
	if err != nil {
		return entry{}, err
	}
	if len(a.Raw) > 0 {
		if err := s.m.WriteMemory(ctx, a.Raw); err != nil {
			return entry{}, err
		}
	}
	e := entry{Run: emu.Run{Image: a.Program}, cut: c, ctx: ctx}
	if s.c.Images[a.Program].Funcs[0].Frame.RunCtx {
		if ctx, err = s.m.WrapContext(ctx); err != nil {
			return entry{}, err
		}
	}
	e.Args = []uint64{uint64(ctx)}
	return e, nil
}
