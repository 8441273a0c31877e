// SPDX-License-Identifier: GPL-2.0-only

package runner

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/check"
	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/scenarios"
)

// Session is a scenario loaded for one target. It can be played any number of times. It is not
// safe for concurrent use and must be closed.
type Session struct {
	c     *Compiled
	m     *machine
	slots map[slotKey]int // programs in prog arrays, as changed so far
	first map[slotKey]int // as loaded
	live  int             // programs loaded, the first of Compiled.Images
	// loaded is what was wrong with direct tail calls after loading, nil if nothing.
	loaded *check.Violation
	ref    *reference
	// replaced are the functions that other programs have replaced, with those.
	replaced map[replaced]int
	cuts     map[cutKey]*cut // where runs are interrupted, once that is known
}

type slotKey struct {
	m   int
	key uint32
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
	s := &Session{c: c, m: lm, slots: map[slotKey]int{}, first: map[slotKey]int{}, replaced: map[replaced]int{}, cuts: map[cutKey]*cut{}}
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

// fill gives maps their first contents and remembers the state.
func (s *Session) fill() error {
	for _, v := range s.c.Built.Values {
		if err := s.store(v.Map, v.Key, v.Off, v.Data); err != nil {
			return err
		}
	}
	var broken *pokeError
	if err := s.loadAll(); errors.As(err, &broken) {
		s.loaded, s.live = broken.violation(s.m.code), len(s.c.Images)
	} else if err != nil {
		return err
	}
	for k, v := range s.slots {
		s.first[k] = v
	}
	return s.m.Checkpoint()
}

// loadAll loads the programs one after the other. A slot is filled when its program is there, so that
// both ways occur: programs loaded before are poked, those loaded later find the slot filled.
func (s *Session) loadAll() error {
	for i := range s.c.Images {
		if err := s.load(i); err != nil {
			return err
		}
		for _, sl := range s.c.Built.Slots {
			if sl.Program != i {
				continue
			}
			if _, err := s.setSlot(sl.Map, sl.Key, sl.Program); err != nil {
				return err
			}
		}
	}
	return nil
}

// store writes part of a map value.
func (s *Session) store(m int, key []byte, off int, data []byte) error {
	v, err := s.m.LookupElem(m, key)
	if errors.Is(err, guest.ENOENT) {
		v, err = make([]byte, s.c.Built.Maps[m].ValueSize), nil
	}
	if err != nil {
		return err
	}
	copy(v[off:], data)
	return s.m.UpdateElem(m, key, v, guest.UpdateAny)
}

func (s *Session) reset() error {
	clear(s.slots)
	for k, v := range s.first {
		s.slots[k] = v
	}
	clear(s.replaced)
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

// update performs a map update of the scenario and compares its result.
func (s *Session) update(a *scenarios.Action) (*Update, error) {
	err := s.act(a)
	var busy *pokeError
	switch {
	case errors.As(err, &busy):
		u := Update{What: describe(s.c.Built, a), Violation: busy.violation(s.m.code)}
		u.Mismatches = s.judgeUpdate(a, string(u.Violation.Invariant))
		u.Foreseen = len(u.Mismatches) == 0
		return &u, nil
	case err != nil && !isErrno(err):
		return nil, err
	}
	found := ""
	if err != nil {
		found = err.Error()
	} else if err := s.ref.act(a); err != nil {
		return nil, fmt.Errorf("reference interpreter: %w", err)
	}
	u := Update{What: describe(s.c.Built, a), Errno: found, Mismatches: s.judgeUpdate(a, "")}
	if want := a.ErrnoOf(scenarios.TargetNames(s.c.Target)...); found != want {
		u.Mismatches = append(u.Mismatches, s.c.Built.Mismatch(a, orSuccess(want), orSuccess(found)))
	}
	return &u, nil
}

// describe says in a few words what an update does.
func describe(b *scenarios.Built, a *scenarios.Action) string {
	program := func(n int) string {
		if n < 0 {
			return "none"
		}
		return b.Programs[n].Name
	}
	if a.Kind == scenarios.ActReplace {
		p := &b.Programs[a.Replaced]
		return fmt.Sprintf("replace %s:%s by %s", p.Name, p.Funcs[a.Func].Name, program(a.Program))
	}
	key := fmt.Sprintf("%#x", a.Key)
	if len(a.Key) == 4 {
		key = fmt.Sprint(binary.LittleEndian.Uint32(a.Key))
	}
	slot := fmt.Sprintf("%s[%s]", b.Maps[a.Map].Name, key)
	switch a.Kind {
	case scenarios.ActDelete:
		return "delete " + slot
	case scenarios.ActInsert:
		return fmt.Sprintf("put %s into %s", program(a.Program), slot)
	}
	return "update " + slot
}

// judgeUpdate compares what an update broke, "" for nothing, with what its event expects.
func (s *Session) judgeUpdate(a *scenarios.Action, violation string) []scenarios.Mismatch {
	return s.c.Built.Check(a, &scenarios.Outcome{Violation: violation}, scenarios.TargetNames(s.c.Target)...)
}

func orSuccess(errno string) string {
	if errno == "" {
		return "success"
	}
	return errno
}

func isErrno(err error) bool {
	var e guest.Errno
	return errors.As(err, &e)
}

func (s *Session) act(a *scenarios.Action) error {
	if a.Kind == scenarios.ActReplace {
		return s.replace(a)
	}
	switch a.Kind {
	case scenarios.ActAttach:
		return s.attach(a)
	case scenarios.ActInsert:
		if err := s.mayInsert(a.Program); err != nil {
			return err
		}
		_, err := s.setSlot(a.Map, binary.LittleEndian.Uint32(a.Key), a.Program)
		return err
	case scenarios.ActStore:
		return s.store(a.Map, a.Key, a.Off, a.Data)
	case scenarios.ActDelete:
		if s.c.Built.Maps[a.Map].Type != bpf.ProgArray {
			return s.m.DeleteElem(a.Map, a.Key)
		}
		had, err := s.setSlot(a.Map, binary.LittleEndian.Uint32(a.Key), -1)
		if err == nil && !had {
			return guest.ENOENT // fd_array_map_delete_elem finds no old program
		}
		return err
	}
	panic(fmt.Sprintf("BUG: action kind %d", a.Kind))
}

func (r *Run) ending() string {
	if r.Violation != nil {
		return r.Violation.String()
	}
	return r.Killed
}
