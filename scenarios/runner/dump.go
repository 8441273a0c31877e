// SPDX-License-Identifier: GPL-2.0-only

package runner

import (
	"context"
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/check"
	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/emu/stack"
	"github.com/tcsim/tcsim/emu/timing"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// Drawing is the stack at one moment of a run.
type Drawing struct {
	Moment stack.Moment
	// Cycle is when the instruction there retires; 0 if no core was given or the moment is no event.
	Cycle  timing.Cycle
	Layout *stack.Layout
}

// Stack plays the scenario up to run number n, from 1, and dumps the stack at each moment that at
// selects in it. The run is repeated up to each moment, which is exact because it is deterministic.
func (s *Session) Stack(ctx context.Context, n int, at stack.At) ([]Drawing, error) {
	run, err := s.PlayTo(ctx, n)
	if err != nil {
		return nil, err
	}
	return s.m.draw(ctx, at, run.Violation, func() (emu.Run, error) { return s.Before(ctx, n) })
}

// runAndDraw is draw for a run that no reference interpreter judges, from the state that is loaded.
func (m *machine) runAndDraw(ctx context.Context, at stack.At, enter func() (emu.Run, error)) ([]Drawing, error) {
	if err := m.Checkpoint(); err != nil {
		return nil, err
	}
	prepare := func() (emu.Run, error) {
		if err := m.Reset(); err != nil {
			return emu.Run{}, err
		}
		return enter()
	}
	r, err := prepare()
	if err != nil {
		return nil, err
	}
	if _, err := m.run(ctx, r); err != nil {
		return nil, err
	}
	v := m.feed.chk.Violation()
	if v == nil {
		v = m.feed.chk.Latent()
	}
	return m.draw(ctx, at, v, prepare)
}

// draw finds the moments in the run that the machine has just performed, which broke v if that is not
// nil, and runs once more with a stop at each. prepare brings the machine to where the run begins.
func (m *machine) draw(ctx context.Context, at stack.At, v *check.Violation, prepare func() (emu.Run, error)) ([]Drawing, error) {
	if m.opt.Level != emu.LevelRetired {
		return nil, errors.New("stack drawings need the retired level")
	}
	rec := m.feed.chk.Recorder()
	cycles := map[uint64]timing.Cycle{}
	for _, e := range rec.Events() {
		cycles[e.No] = e.Cycle
	}
	found := stack.Run{Events: rec.Events(), Deepest: rec.Deepest()}
	if v != nil {
		found.Violation = v.Moment()
	}
	moments, err := at.Resolve(found)
	if err != nil {
		return nil, err
	}
	r, err := prepare()
	if err != nil {
		return nil, err
	}
	var out []Drawing
	for i, mo := range moments {
		if i > 0 && mo.Seq < moments[i-1].Seq {
			return nil, errors.New("BUG: moments are not in order")
		}
		l, err := m.layoutAt(ctx, r, mo, i == 0)
		if err != nil {
			return nil, fmt.Errorf("stack at %s: %w", mo.Name, err)
		}
		out = append(out, Drawing{mo, cycles[mo.Event], l})
	}
	return out, nil
}

// layoutAt goes on to a moment and dumps the stack there.
func (m *machine) layoutAt(ctx context.Context, r emu.Run, mo stack.Moment, fresh bool) (*stack.Layout, error) {
	var res emu.Result
	var err error
	r.Level, r.Observer, r.MaxInsns = emu.LevelRetired, &m.feed, m.opt.MaxInsns
	at := r
	at.StopSeq = mo.Seq
	switch {
	case fresh && mo.Seq == 0:
		// Before the first instruction: one step shows nothing else.
		at.StopSeq, at.StopAddr = 0, m.entry(r)
		fallthrough
	case fresh:
		m.feed.reset()
		res, err = m.drive(ctx, at, true)
	default:
		res, err = m.drive(ctx, at, false)
	}
	if err == nil && mo.Until != 0 && res.RIP != mo.Until {
		on := r
		on.StopAddr = mo.Until
		res, err = m.Continue(ctx, on)
	}
	var f *emu.Fault
	if err != nil && !errors.As(err, &f) {
		return nil, err
	}
	g := &res.Regs
	rsp := image.Addr(g[x86.RSP])
	return stack.Dump(stack.Input{
		Code: m.code, Mem: m.bytes, RIP: res.RIP, RSP: rsp, RBP: image.Addr(g[x86.RBP]), Fill: guest.StackFill,
		Acts: m.feed.chk.Recorder().StackAt(res.RIP, rsp),
	})
}

func (m *machine) entry(r emu.Run) image.Addr { return m.measured().Entry(r) }

func (m *machine) bytes(a image.Addr, n int) ([]byte, error) {
	b := make([]byte, n)
	return b, m.ReadMemory(a, b)
}
