// SPDX-License-Identifier: GPL-2.0-only

package runner

import (
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

// maxStamped is how many instructions of a run get their time kept for its events.
const maxStamped = 1 << 20

// clock runs the timing model beside a run. Nil means that time is not asked for.
type clock struct {
	core   *timing.Core
	model  *timing.Model
	skip   func(image.Addr) bool // instructions below guest.TextBase that do not count
	last   record.Retired        // waits for its successor
	at     []timing.Cycle        // when each instruction retired
	stream []record.Retired
	keep   bool // keep the stream
	err    error
}

func newClock(core *timing.Core, m *machine) *clock {
	return &clock{core: core, model: timing.New(core, m.timedCode), skip: m.untimed, keep: true}
}

// timedCode is the code at pc for a timing model.
func (m *machine) timedCode(pc image.Addr) ([]byte, error) {
	b, err := m.codeAt(pc)
	if err == nil && pc < guest.TextBase {
		b, _ = m.Timed(pc, b)
	}
	return b, err
}

// timed returns the instructions of a stream that a timing model is given, and their indexes in it.
func (m *machine) timed(stream []record.Retired) (out []record.Retired, at []int) {
	for i, r := range stream {
		if r.RIP >= guest.TextBase || !m.untimed(r.RIP) {
			out, at = append(out, r), append(at, i)
		}
	}
	return out, at
}

// untimed reports whether a timing model leaves out the instruction at pc: it belongs to the
// emulator's stand-in for a helper.
func (m *machine) untimed(pc image.Addr) bool {
	b, err := m.codeAt(pc)
	if err != nil {
		return false
	}
	_, skip := m.Timed(pc, b)
	return skip
}

// retired takes the next instructions.
func (c *clock) retired(batch []record.Retired) {
	if c.keep && len(c.stream)+len(batch) > maxWarm {
		c.keep, c.stream = false, nil
	}
	if c.keep {
		c.stream = append(c.stream, batch...)
	}
	for _, r := range batch {
		if r.RIP < guest.TextBase && c.skip(r.RIP) {
			c.stampNow()
			continue
		}
		c.step(r.RIP)
		c.last = r
	}
}

// step executes the instruction that waits; next is the address of its successor.
func (c *clock) step(next image.Addr) {
	if c.last.RIP == 0 || c.err != nil {
		return
	}
	if c.err = c.model.Step(c.last, next); c.err != nil {
		return
	}
	c.stampNow()
}

// stampNow keeps the time of the instruction that was just executed or left out.
func (c *clock) stampNow() {
	if len(c.at) < maxStamped {
		c.at = append(c.at, c.model.Cycle())
	}
}

// finish executes the last instruction and gives events their time.
func (c *clock) finish(events []trace.Event) {
	c.step(0)
	c.last = record.Retired{}
	for i := range events {
		if n := events[i].Seq; n < uint64(len(c.at)) {
			events[i].Cycle = c.at[n]
		}
	}
}

// cycles sums up a run that is finished. entry is where the program begins.
func (m *machine) cycles(ended bool, seq uint64, entry image.Addr) *Cycles {
	c := m.feed.clock
	out := &Cycles{Core: c.core.Name, Cold: c.model.Cycle(), Err: c.err}
	if seq < uint64(len(c.at)) {
		out.Cold = c.at[seq] // the run broke off there; what was recorded behind it does not count
	}
	if !ended || !c.keep || c.err != nil {
		return out
	}
	w, err := m.warm(c.core, c.stream, entry)
	if err != nil {
		out.Err = err
		return out
	}
	out.Warm, out.Err = w.mean()
	return out
}
