// SPDX-License-Identifier: GPL-2.0-only

package graph

import (
	"slices"

	"github.com/tcsim/tcsim/scenarios/choices"
)

// Choices is a stream of choices that knows which of them make a program or name one.
type Choices struct {
	*choices.Stream
	// programs are the choices that make one of several programs each, refs those that name one.
	programs []part
	refs     []ref
}

// part are the choices from-to. Those that say whether there are more begin at more.
type part struct{ more, from, to int }

// ref is the choice at, which is first for program 0.
type ref struct {
	at    int
	first uint32
}

// NewChoices returns the stream of graph n of a seed. The same numbers give the same stream on every
// machine.
func NewChoices(seed, n uint64) *Choices { return Of(choices.New(seed, n)) }

// Of returns the choices of a stream, from which nothing must have been chosen.
func Of(s *choices.Stream) *Choices { return &Choices{Stream: s} }

// Replay returns a stream that begins with the choices given. They are not modified.
func Replay(given []uint32) *Choices { return Of(choices.Replay(given)) }

// pick chooses a number below n; 0 is the simplest.
func (c *Choices) pick(n int) int { return c.Pick(n) }

// program chooses one of n programs.
func (c *Choices) program(n int) int {
	c.refs = append(c.refs, ref{len(c.Used()), 0})
	return c.pick(n)
}

// programOrNone chooses one of n programs, or -1, which is simpler.
func (c *Choices) programOrNone(n int) int {
	c.refs = append(c.refs, ref{len(c.Used()), 1})
	return c.pick(n+1) - 1
}

// without returns the choices without program i.
func (c *Choices) without(i int) []uint32 {
	used := slices.Clone(c.Used())
	for _, r := range c.refs {
		switch v := used[r.at]; {
		case v == r.first+uint32(i):
			used[r.at] = 0
		case v > r.first+uint32(i):
			used[r.at]--
		}
	}
	p := c.programs[i]
	more := used[p.more:p.from]
	if n := len(c.programs); n == maxPrograms {
		more[n-2] = 0 // nothing says that there are no more than that
	} else {
		more = more[1:]
	}
	return slices.Concat(used[:p.more], more, used[p.to:])
}

// more says whether there is one more of something, with a chance of one in n to stop.
func (c *Choices) more(n int) bool { return c.More(n) }

// one chooses from a list that begins with the simplest.
func one[T any](c *Choices, from ...T) T { return choices.One(c.Stream, from...) }
