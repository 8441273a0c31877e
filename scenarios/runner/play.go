// SPDX-License-Identifier: GPL-2.0-only

package runner

import (
	"context"
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/check"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/scenarios"
)

// Session is a scenario loaded for one target: what there is to run, in a machine. Where the scenario stands is
// a Timeline. A session can be played any number of times. It is not safe for concurrent use and must be
// closed.
type Session struct {
	c     *Compiled
	m     *machine
	ref   *reference
	first *holdings // after loading; not changed
	// broken is what was wrong with direct tail calls after loading, nil if nothing.
	broken *check.Violation
	cuts   map[cutKey]*cut // where runs are interrupted, as far as that was asked for
}

// Open loads a compiled scenario: maps with their first contents, prog arrays filled through the
// kernel's poke protocol.
func Open(c *Compiled, opt Options) (*Session, error) { return open(nil, c, opt) }

func open(m *emu.Machine, c *Compiled, opt Options) (*Session, error) {
	opt = opt.withDefaults()
	limit := opt.Limit
	if limit == 0 {
		limit = c.Target.Limit
	}
	lm, err := load(m, c.setup(), opt, limit, insnText)
	if err != nil {
		return nil, fmt.Errorf("scenario %s: %w", c.Built.Scenario.Name, err)
	}
	s := &Session{c: c, m: lm, first: newHoldings(c, lm), cuts: map[cutKey]*cut{}}
	rules := RulesOf(c.Target)
	rules.PerFrame = opt.PerFrame
	s.ref, err = newReference(c.Built, rules, referenceInsns, true)
	if err == nil {
		err = s.fill()
	}
	if err != nil {
		if m == nil {
			err = errors.Join(err, lm.Close())
		}
		return nil, fmt.Errorf("scenario %s: %w", c.Built.Scenario.Name, err)
	}
	return s, nil
}

// Reopen loads another scenario into the session's machine, which is cheaper than a new one. The
// old session must not be used any more, whether or not there is an error.
func (s *Session) Reopen(c *Compiled, opt Options) (*Session, error) {
	next, err := open(s.m.Machine, c, opt)
	if err != nil {
		return nil, err
	}
	next.m.feed.states, next.ref.log.states = s.m.feed.states, s.ref.log.states // for their memory
	return next, nil
}

// OpenNext is Reopen of a session, or Open if there is none yet.
func (s *Session) OpenNext(c *Compiled, opt Options) (*Session, error) {
	if s == nil {
		return Open(c, opt)
	}
	return s.Reopen(c, opt)
}

// Close releases the machine.
func (s *Session) Close() error { return s.m.Close() }

// fill gives maps and prog arrays their first contents and makes that the machine's checkpoint.
func (s *Session) fill() error {
	for _, v := range s.c.Built.Values {
		if err := s.first.store(v.Map, v.Key, v.Off, v.Data); err != nil {
			return err
		}
	}
	var broken *check.PokeError
	if err := s.first.loadAll(); errors.As(err, &broken) {
		s.broken, s.first.live = broken.Violation(s.m.code), len(s.c.Images)
	} else if err != nil {
		return err
	}
	return s.m.Checkpoint()
}

// loadAll loads the programs one after the other. A slot is filled when its program is there, so that
// both ways occur: programs loaded before are poked, those loaded later find the slot filled.
func (h *holdings) loadAll() error {
	for i := range h.c.Images {
		if err := h.load(i); err != nil {
			return err
		}
		for _, sl := range h.c.Built.Slots {
			if sl.Program != i {
				continue
			}
			if _, err := h.setSlot(Slot{sl.Map, sl.Key}, sl.Program); err != nil {
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

// run performs one run of a program, interrupted at c if that is not nil, and judges it.
func (s *Session) run(ctx context.Context, a *scenarios.Action, c *cut) (*Run, error) {
	r, err := s.enter(a, c)
	if err != nil {
		return nil, err
	}
	res, err := s.m.run(ctx, r)
	if err != nil {
		return nil, err
	}
	out := s.m.describe(&res)
	out.Program = s.c.Built.Programs[a.Program].Name
	s.ref.cut = s.m.cut
	differs, err := s.ref.judge(a, out, s.m)
	if err != nil {
		return nil, err
	}
	if differs == nil && out.Violation == nil && out.Killed == "" {
		differs = s.m.feed.chk.Latent()
	}
	if differs != nil {
		s.m.feed.chk.Report(*differs)
		out.Violation = s.m.feed.chk.Violation()
	}
	out.Mismatches = s.c.Built.Check(a, s.outcome(out), scenarios.TargetNames(s.c.Target)...)
	return out, nil
}

// enter prepares context and packet of a run.
func (s *Session) enter(a *scenarios.Action, c *cut) (emu.Run, error) {
	p := &s.c.Built.Programs[a.Program]
	ctx, err := placeContext(s.m, s.c.Target, p.Type, a.Packet, a.Context)
	if err != nil {
		return emu.Run{}, err
	}
	if s.m.cut = c; c != nil {
		c.ctx = ctx
	}
	if s.c.Images[a.Program].Funcs[0].Frame.RunCtx {
		if ctx, err = s.m.WrapContext(ctx); err != nil {
			return emu.Run{}, err
		}
	}
	return emu.Run{Image: a.Program, Args: [5]uint64{uint64(ctx)}}, nil
}

// outcome is what the scenario's expectations are compared with.
func (s *Session) outcome(r *Run) *scenarios.Outcome {
	o := &scenarios.Outcome{
		Return: r.Return, Taken: r.Counts.Taken, DeepestStack: r.Deepest,
		Refused: scenarios.RefusedCount{
			Limit: r.Counts.Refused[trace.ReasonLimit], Bounds: r.Counts.Refused[trace.ReasonBounds],
			Empty: r.Counts.Refused[trace.ReasonEmpty],
		},
		Lookup: func(m int, key []byte) ([]byte, bool) {
			v, err := s.m.LookupElem(m, key)
			return v, err == nil
		},
	}
	switch {
	case r.Violation != nil:
		o.Violation = string(r.Violation.Invariant)
	case r.Killed != "":
		o.Violation = "budget"
	}
	return o
}

func (r *Run) ending() string {
	if r.Violation != nil {
		return r.Violation.String()
	}
	return r.Killed
}
