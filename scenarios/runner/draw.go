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
	"github.com/tcsim/tcsim/emu/trace"
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
	return s.m.draw(ctx, at, run.Violation, func() (entry, error) { return s.before(ctx, n) })
}

// Draw performs a run that no reference interpreter judges, and dumps the stack at each moment that at selects
// in it. enter prepares the run from the state that is loaded now.
func (m *Machine) Draw(ctx context.Context, at stack.At, enter func() (emu.Run, error)) ([]Drawing, error) {
	run, prepare, err := m.repeatable(ctx, enter)
	if err != nil {
		return nil, err
	}
	return m.draw(ctx, at, run.Violation, prepare)
}

// repeatable performs a run from the state that is loaded now, and returns what brings the machine to its beginning again.
func (m *Machine) repeatable(ctx context.Context, enter func() (emu.Run, error)) (*Run, func() (entry, error), error) {
	if err := m.Checkpoint(); err != nil {
		return nil, nil, err
	}
	prepare := func() (entry, error) {
		if err := m.Reset(); err != nil {
			return entry{}, err
		}
		r, err := enter()
		return entry{Run: r}, err
	}
	e, err := prepare()
	if err != nil {
		return nil, nil, err
	}
	run, err := m.perform(ctx, e, m.opt.Core)
	if err != nil {
		return nil, nil, err
	}
	m.Latent(run)
	return run, prepare, nil
}

// draw finds the moments in the run that the machine has just performed, which broke v if that is not
// nil, and runs once more with a stop at each. prepare brings the machine to where the run begins.
func (m *Machine) draw(ctx context.Context, at stack.At, v *check.Violation, prepare func() (entry, error)) ([]Drawing, error) {
	if m.opt.Level != emu.LevelRetired {
		return nil, errors.New("stack drawings need the retired level")
	}
	rec := m.Recorder()
	cycles := map[uint64]timing.Cycle{}
	for _, e := range rec.Events() {
		cycles[e.No] = e.Cycle
	}
	found := stack.Run{Code: m.Code, Retired: rec.Counts().Retired, Events: rec.Events(), Deepest: rec.Deepest()}
	if v != nil {
		found.Violation = v.Moment()
	}
	moments, err := at.Resolve(found)
	if err != nil {
		return nil, err
	}
	e, err := prepare()
	if err != nil {
		return nil, err
	}
	var out []Drawing
	for i, mo := range moments {
		if i > 0 && mo.Seq < moments[i-1].Seq {
			return nil, errors.New("BUG: moments are not in order")
		}
		l, err := m.layoutAt(ctx, e, mo, i == 0)
		if err != nil {
			return nil, fmt.Errorf("stack at %s: %w", mo.Name, err)
		}
		out = append(out, Drawing{mo, cycles[mo.Event], l})
	}
	return out, nil
}

// layoutAt goes on to a moment and dumps the stack there.
func (m *Machine) layoutAt(ctx context.Context, e entry, mo stack.Moment, fresh bool) (*stack.Layout, error) {
	r, res, err := m.goTo(ctx, e, mo, fresh)
	return m.LayoutAt(ctx, r, mo, res, err)
}

// goTo begins a run, or goes on with it, and stops directly before the moment's instruction. The run that is
// returned goes on from there without a stop.
func (m *Machine) goTo(ctx context.Context, e entry, mo stack.Moment, fresh bool) (emu.Run, emu.Result, error) {
	var obs emu.Observer = &m.feed
	if fresh {
		obs = m.Watch()
		m.now = going{entry: e}
	}
	r := e.Run
	r.Level, r.Observer, r.MaxInsns = emu.LevelRetired, obs, m.opt.MaxInsns
	to := r
	to.StopSeq = mo.Seq
	switch {
	case mo.Hits != 0:
		to.StopSeq, to.StopAddr, to.StopHits = 0, mo.Addr, mo.Hits
	case fresh && mo.Seq == 0:
		// Before the first instruction: one step shows nothing else.
		to.StopSeq, to.StopAddr = 0, m.begins(r)
	}
	res, err := m.drive(ctx, to, fresh)
	if err == nil && mo.Hits != 0 && res.Stop != emu.StopAddr {
		err = fmt.Errorf("the run is not there %s", times(mo.Hits))
	}
	return r, res, err
}

// LayoutAt dumps the stack at a moment of a run that has stopped with res and err at the moment's
// instruction, or ended before: it goes on to where the moment says, if that is elsewhere.
func (m *Machine) LayoutAt(ctx context.Context, r emu.Run, mo stack.Moment, res emu.Result, err error) (*stack.Layout, error) {
	if err == nil && mo.Until != 0 && res.RIP != mo.Until {
		r.StopAddr = mo.Until
		res, err = m.Continue(ctx, r)
	}
	var f *emu.Fault
	if err != nil && !errors.As(err, &f) {
		return nil, err
	}
	rsp := image.Addr(res.Regs[x86.RSP])
	var past []trace.Event
	if m.opt.Stale {
		past = m.Recorder().Events()
	}
	return stack.Dump(stack.Input{
		Past: past,
		Code: m.Code, Mem: m.Bytes, RIP: res.RIP, RSP: rsp, RBP: image.Addr(res.Regs[x86.RBP]), Fill: guest.StackFill,
		Acts: m.Recorder().StackAt(res.RIP, rsp),
	})
}

func times(n uint64) string {
	if n == 1 {
		return "at all"
	}
	return fmt.Sprintf("%d times", n)
}
