// SPDX-License-Identifier: GPL-2.0-only

package runner

import (
	"context"
	"errors"
	"slices"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/stack"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit/image"
)

// Still is the machine directly before the instruction of an event, or where an invariant broke.
type Still struct {
	Event *trace.Event // nil where an invariant broke
	RIP   image.Addr
	Regs  emu.Regs
	// Layout is the stack; nil if rsp points elsewhere, which Why then says.
	Layout *stack.Layout
	Why    string
}

// Filmed is a run with its own events.
type Filmed struct {
	Run
	More bool // it had more events
}

// Film plays the scenario up to run number n, from 1, and repeats the run with a stop at each of its events
// that were kept, the first most ones, and one where an invariant broke. show may read the machine, and nothing else
// of the session.
func (s *Session) Film(ctx context.Context, n, most int, show func(Still) error) (*Filmed, error) {
	run, err := s.PlayTo(ctx, n)
	if err != nil {
		return nil, err
	}
	return s.m.film(ctx, n, run, most, func() (entry, error) { return s.before(ctx, n) }, show)
}

// Film is Session.Film of a run that no reference interpreter judges. enter prepares it from the state that is loaded
// now.
func (m *Machine) Film(ctx context.Context, most int, enter func() (emu.Run, error), show func(Still) error) (*Filmed, error) {
	run, prepare, err := m.repeatable(ctx, enter)
	if err != nil {
		return nil, err
	}
	return m.film(ctx, 1, run, most, prepare, show)
}

// film shows the run that the machine has just performed, which has number n.
func (m *Machine) film(ctx context.Context, n int, run *Run, most int, prepare func() (entry, error), show func(Still) error) (*Filmed, error) {
	events := run.Events
	if m.opt.Window != nil {
		w, err := m.opt.Window(n, m.Code)
		if err != nil {
			return nil, err
		}
		if w != nil {
			events = w
		}
	}
	out := Filmed{Run: *run, More: len(events) > most}
	out.Events = slices.Clone(events[:min(len(events), most)])
	e, err := prepare()
	if err != nil {
		return nil, err
	}
	fresh := true
	stop := func(ev *trace.Event, mo stack.Moment) error {
		still, err := m.still(ctx, e, mo, fresh)
		fresh = false
		if err != nil {
			return err
		}
		still.Event = ev
		return show(still)
	}
	broken := func(last bool) error {
		mo := *out.Violation.Moment()
		if !last {
			mo.Until = 0 // events come before that
		}
		return stop(nil, mo)
	}
	due := out.Violation != nil
	for i := range out.Events {
		ev := &out.Events[i]
		if due && ev.Seq > out.Violation.Seq {
			due = false
			if err := broken(false); err != nil {
				return nil, err
			}
		}
		if err := stop(ev, stack.Moment{Event: ev.No, Seq: ev.Seq, Site: ev.Site}); err != nil {
			return nil, err
		}
	}
	if due {
		err = broken(true)
	}
	return &out, err
}

// still goes on to a moment.
func (m *Machine) still(ctx context.Context, e entry, mo stack.Moment, fresh bool) (Still, error) {
	r, res, err := m.goTo(ctx, e, mo, fresh)
	var f *emu.Fault
	if err != nil && !errors.As(err, &f) {
		return Still{}, err
	}
	if err == nil && mo.Until != 0 && res.RIP != mo.Until {
		to := r
		to.StopAddr = mo.Until
		if res, err = m.Continue(ctx, to); err != nil && !errors.As(err, &f) {
			return Still{}, err
		}
	}
	out := Still{RIP: res.RIP, Regs: res.Regs}
	if out.Layout, err = m.LayoutAt(ctx, r, stack.Moment{}, res, nil); err != nil {
		out.Why = err.Error()
	}
	return out, nil
}
