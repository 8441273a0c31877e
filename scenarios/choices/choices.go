// SPDX-License-Identifier: GPL-2.0-only

// Package choices is what random test cases are made from: a stream of choices, drawn at random or given. Every
// stream stands for some case and 0 is always the simplest choice, so a case is made small by removing and
// lowering choices. The package knows nothing of the cases.
package choices

import (
	"math/rand/v2"
)

// Stream is a stream of choices: drawn at random, or given and 0 after the end. It remembers what was
// chosen.
type Stream struct {
	rnd   *rand.Rand // nil if given
	given []uint32
	used  []uint32
	wide  bool // numbers are drawn, and choices made from them
	drawn []uint32
}

// New returns stream n of a seed. The same numbers give the same stream on every machine.
func New(seed, n uint64) *Stream { return &Stream{rnd: rand.New(rand.NewPCG(seed, n))} }

// wideNumbers is how many numbers there are to choose from in a wide stream, more than any choice has.
const wideNumbers = 1 << 20

// Wide returns stream n of a seed whose numbers do not depend on what is chosen from: Replay of what was Drawn makes the
// choices again that this stream makes, also where another case is made from it.
func Wide(seed, n uint64) *Stream { return &Stream{rnd: rand.New(rand.NewPCG(seed, n)), wide: true} }

// Replay returns a stream that begins with the choices given. They are not modified.
func Replay(given []uint32) *Stream { return &Stream{given: given} }

// Used returns what was chosen so far.
func (c *Stream) Used() []uint32 { return c.used }

// Drawn returns the numbers of a wide stream so far, nil for others.
func (c *Stream) Drawn() []uint32 { return c.drawn }

// Pick chooses a number below n; 0 is the simplest.
func (c *Stream) Pick(n int) int {
	v := uint32(0)
	switch at := len(c.used); {
	case c.wide:
		v = uint32(c.rnd.IntN(wideNumbers))
		c.drawn = append(c.drawn, v)
		v %= uint32(n)
	case c.rnd != nil:
		v = uint32(c.rnd.IntN(n))
	case at < len(c.given):
		v = c.given[at] % uint32(n)
	}
	c.used = append(c.used, v)
	return int(v)
}

// More says whether there is one more of something, with a chance of one in n to stop.
func (c *Stream) More(n int) bool { return c.Pick(n) != 0 }

// One chooses from a list that begins with the simplest.
func One[T any](c *Stream, from ...T) T { return from[c.Pick(len(from))] }
