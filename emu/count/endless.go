// SPDX-License-Identifier: GPL-2.0-only

package count

import (
	"fmt"
	"math/big"

	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// maxEvents bounds the events that are kept of a round.
const maxEvents = 64

// Endless proves that a run never ends: what happened since Landing was last reached happens
// again, because it depended on nothing but State, and State is the same again.
type Endless struct {
	Function string     // whose tail-call landing it is
	Landing  image.Addr // its address
	// State is everything the round depended on, as "location = value".
	State []string
	// Events is what happened in the round, in order; Cut says that there was more.
	Events []string
	Cut    bool
	// Insns and Tails are the instructions and tail calls of one round.
	Insns, Tails *big.Int
}

// note remembers an event of the current round.
func (c *counter) note(what string) {
	if c.events != nil && len(c.events) <= maxEvents {
		c.events = append(c.events, what)
	}
}

// landed counts a tail call that just reached f and, in a call that takes suspiciously many,
// compares rounds.
func (c *counter) landed(f *fn) error {
	c.jumping = nil
	fr := c.top
	fr.t.tails.inc(1)
	fr.t.starts[f.index].inc(1)
	fr.tails++
	fr.noFlags = true
	c.note("tail call to " + f.name)
	again := fr.landing == c.r.RIP && fr.rsp == c.r.R[x86.RSP]
	if !again && fr.tails < c.cfg.WatchAfter {
		return nil
	}
	if fr.landing != 0 {
		s, opaque := c.closeRound()
		if again && !opaque && s.matches(&c.r, &c.mem) {
			c.endless = c.proof(f, s)
			return nil
		}
	}
	round := c.newFrame(f)
	round.landing, round.onPath = c.r.RIP, fr.onPath
	c.events = make([]string, 0, maxEvents)
	c.push(round)
	return nil
}

// closeRound carries the current round over to the call it is in. Everything that decides what it
// leaves in the locations it depends on is among these in the summary.
func (c *counter) closeRound() (s *summary, opaque bool) {
	fr := c.pop()
	fr.settle()
	s = fr.summarise()
	c.top.compose(s, s.effects, fr.rsp)
	return s, fr.opaque
}

// settle pins what the effects on pinned locations are computed from, until nothing is added: then
// the same preconditions lead to the same values in these locations.
func (fr *frame) settle() {
	for again := true; again; {
		again = false
		n, rsp := len(fr.pins), fr.pinRSP
		for _, x := range fr.summarise().effects {
			if x.f.kind == formInput && fr.dependsOn(x.l) {
				fr.pin(operand{x.f, x.v})
			}
		}
		again = len(fr.pins) != n || fr.pinRSP != rsp
	}
}

// dependsOn reports whether a pinned location shares bytes with l.
func (fr *frame) dependsOn(l loc) bool {
	for p := range fr.pins {
		if p.overlap(l) {
			return true
		}
	}
	return false
}

func (c *counter) proof(f *fn, s *summary) *Endless {
	e := &Endless{Function: f.name, Landing: c.r.RIP, Insns: s.t.insns.value(), Tails: s.t.tails.value()}
	for _, p := range s.pins {
		e.State = append(e.State, p.String())
	}
	e.State = append(e.State, fmt.Sprintf("rsp = %#x", s.rsp))
	e.Events, e.Cut = c.events[:min(len(c.events), maxEvents)], len(c.events) > maxEvents
	return e
}
