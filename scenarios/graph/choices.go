// SPDX-License-Identifier: GPL-2.0-only

package graph

import "math/rand/v2"

// Choices is a stream of choices: drawn at random, or given and 0 behind the end. It remembers what
// was chosen.
type Choices struct {
	rnd   *rand.Rand // nil if given
	given []uint32
	used  []uint32
}

// NewChoices returns the stream of graph n of a seed. The same numbers give the same stream on every
// machine.
func NewChoices(seed, n uint64) *Choices { return &Choices{rnd: rand.New(rand.NewPCG(seed, n))} }

// Replay returns a stream that begins with the choices given. They are not modified.
func Replay(given []uint32) *Choices { return &Choices{given: given} }

// Used returns what was chosen so far.
func (c *Choices) Used() []uint32 { return c.used }

// pick chooses a number below n; 0 is the simplest.
func (c *Choices) pick(n int) int {
	v := uint32(0)
	switch at := len(c.used); {
	case c.rnd != nil:
		v = uint32(c.rnd.IntN(n))
	case at < len(c.given):
		v = c.given[at] % uint32(n)
	}
	c.used = append(c.used, v)
	return int(v)
}

// more says whether there is one more of something, with a chance of one in n to stop.
func (c *Choices) more(n int) bool { return c.pick(n) != 0 }

// one chooses from a list that begins with the simplest.
func one[T any](c *Choices, from ...T) T { return from[c.pick(len(from))] }
