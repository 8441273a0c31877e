// SPDX-License-Identifier: GPL-2.0-only

package runner

import (
	"slices"

	"github.com/tcsim/tcsim/emu/trace"
)

// Events takes the events of runs while they happen, however many there are.
type Events interface {
	// Begin is called before run number n of a scenario, from 1; a run that something has to be found out of before is
	// performed more than once. False leaves it out.
	Begin(n int, program string, code *trace.Code) bool
	// Event takes the next event, which is valid during the call; false ends the run.
	Event(e *trace.Event) bool
	// End is called when the run has ended and is judged, unless tcsim failed or was interrupted.
	End(r *Run)
}

// Budgets of runs whose events are taken one by one.
const (
	StoredMaxInsns  = 1 << 38
	StoredMaxEvents = 1 << 32
)

// keeps hands events to Options.Events with their cycles, which are known a little later.
type keeps struct {
	to    Events // nil between runs
	rec   *trace.Recorder
	feed  *feed
	wait  []trace.Event // without their cycles
	ended bool
}

// Hand has Options.Events take the events of run number n of a scenario, from 1, while perform performs and judges it.
func (m *Machine) Hand(n int, program string, perform func() (*Run, error)) (*Run, error) {
	if m.opt.Events == nil || !m.opt.Events.Begin(n, program, m.Code) {
		return perform()
	}
	k := &m.keeps
	*k = keeps{to: m.opt.Events, rec: m.Recorder(), feed: &m.feed}
	defer func() { *k = keeps{} }()
	r, err := perform()
	if k.release(true); err == nil {
		k.to.End(r)
	}
	return r, err
}

// event takes an event.
func (k *keeps) event(e *trace.Event) {
	switch {
	case k.to == nil || k.ended:
	case k.feed.clock == nil:
		k.pass(e)
	default:
		k.wait = append(k.wait, *e)
		k.release(false)
	}
}

// release hands over those whose cycles are known, or all.
func (k *keeps) release(all bool) {
	n := 0
	for ; n < len(k.wait) && !k.ended; n++ {
		if e := &k.wait[n]; !k.feed.clock.Stamp(e) && !all {
			break
		}
		k.pass(&k.wait[n])
	}
	k.wait = slices.Delete(k.wait, 0, n)
}

func (k *keeps) pass(e *trace.Event) {
	if !k.to.Event(e) {
		k.ended = true
		k.rec.Stop()
	}
}
