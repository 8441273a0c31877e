// SPDX-License-Identifier: GPL-2.0-only

package measure

import (
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/emu/record"
	"github.com/tcsim/tcsim/emu/timing"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit/image"
)

// Cycles is what a run costs on a core.
type Cycles struct {
	Core string
	// Cold is the first run after loading, nothing predicted and all code decoded anew. Warm is one
	// run of many in a row; 0 if it was not found out, because the run was too long or did not end.
	Cold timing.Cycle
	Warm float64
	// Err says why there are no cycles, such as an instruction without timing data.
	Err error
}

// maxWarm is how many instructions a run may have for its warm cost to be found out, which takes
// some forty passes of the model.
const maxWarm = 100_000

// maxStamped is how many instructions of a run get their time kept for its events, and are kept themselves.
const maxStamped = 1 << 20

// ErrTooLong is returned of runs that have more instructions than can be looked at one by one.
var ErrTooLong = errors.New("too long")

// Clock runs the timing model along with a run.
type Clock struct {
	m      *Machine
	core   *timing.Core
	model  *timing.Model
	last   record.Retired // waits for its successor
	at     []timing.Cycle // when each instruction retired
	stream []record.Retired
	keep   bool // keep the stream
	err    error
}

// NewClock returns a clock for one run of a machine on a core.
func NewClock(core *timing.Core, m *Machine) *Clock {
	return &Clock{m: m, core: core, model: timing.New(core, m.timedCode), keep: true}
}

// Retired takes the next instructions of the run.
func (c *Clock) Retired(batch []record.Retired) {
	if c.keep && len(c.stream)+len(batch) > maxStamped {
		c.keep, c.stream = false, nil
	}
	if c.keep {
		c.stream = append(c.stream, batch...)
	}
	for _, r := range batch {
		if r.RIP < guest.TextBase && c.m.untimed(r.RIP) {
			c.stampNow()
			continue
		}
		c.step(r.RIP)
		c.last = r
	}
}

// step executes the instruction that waits; next is the address of its successor.
func (c *Clock) step(next image.Addr) {
	if c.last.RIP == 0 || c.err != nil {
		return
	}
	if c.err = c.model.Step(c.last, next); c.err != nil {
		return
	}
	c.stampNow()
}

// stampNow keeps the time of the instruction that was just executed or left out.
func (c *Clock) stampNow() {
	if len(c.at) < maxStamped {
		c.at = append(c.at, c.model.Cycle())
	}
}

// Finish ends the run and gives its events their time.
func (c *Clock) Finish(events []trace.Event) {
	c.step(0)
	c.last = record.Retired{}
	for i := range events {
		c.Stamp(&events[i])
	}
}

// Stamp gives an event its time, and reports whether it is known by now that, or that it has none.
func (c *Clock) Stamp(e *trace.Event) bool {
	if e.Seq < uint64(len(c.at)) {
		e.Cycle = c.at[e.Seq]
		return true
	}
	return len(c.at) == maxStamped || c.err != nil
}

// At returns how many cycles have passed when so many instructions have retired: ok is false if that is not known.
func (c *Clock) At(retired uint64) (n timing.Cycle, ok bool) {
	switch {
	case c == nil || c.err != nil || retired > uint64(len(c.at)):
		return 0, false
	case retired == 0:
		return 0, true
	}
	return c.at[retired-1], true
}

// Cycles sums up a finished run. entry is where the program begins. A run that broke off did so at
// instruction number seq, from 0, and has no warm cost; ended says that it did not.
func (c *Clock) Cycles(ended bool, seq uint64, entry image.Addr) *Cycles {
	out := &Cycles{Core: c.core.Name, Cold: c.model.Cycle(), Err: c.err}
	if seq < uint64(len(c.at)) {
		out.Cold = c.at[seq] // what was recorded after that does not count
	}
	if !ended || !c.keep || len(c.stream) > maxWarm || c.err != nil {
		return out
	}
	w, err := c.m.warm(c.core, c.stream, entry)
	if err != nil {
		out.Err = err
		return out
	}
	out.Warm, out.Err = w.mean()
	return out
}

// Invocation returns the run as it was recorded, warm if it is to be looked at as one of many. entry is where the program
// begins. It is ErrTooLong if the run was too long for that, and another error if the model had no answer for an instruction.
func (c *Clock) Invocation(entry image.Addr, warm bool) (*Invocation, error) {
	switch {
	case c.err != nil:
		return nil, c.err
	case !c.keep:
		return nil, fmt.Errorf("the run is %w: cycles are attributed in runs of at most %d instructions", ErrTooLong, maxStamped)
	case warm && len(c.stream) > maxWarm:
		return nil, fmt.Errorf("the run is %w: what one of many runs in a row costs is found out for runs of at most %d instructions", ErrTooLong, maxWarm)
	}
	return &Invocation{Machine: c.m, Stream: c.stream, Entry: entry}, nil
}
