// SPDX-License-Identifier: GPL-2.0-only

package graph

import "github.com/tcsim/tcsim/scenarios/choices"

// Shrink looks for the simplest graph that fails, from a stream of choices that does. It calls fails
// at most tries times, never twice for the same graph, and returns the choices of the simplest
// graph seen. Given the same answers it returns the same choices.
func Shrink(start []uint32, tries int, fails func(choices []uint32) bool) []uint32 {
	return choices.Shrink(start, tries, choices.Space{
		Canonical: func(given []uint32) ([]uint32, int) {
			c := Replay(given)
			g := Random(c)
			return c.Used(), g.size()
		},
		Fails: fails, Pieces: []int{16, 8, 5, 4, 3, 2, 1}, Parts: maxPrograms, Without: withoutProgram,
	})
}

// withoutProgram takes a program out of the graph that a stream stands for; nil if it has no such one, or no other.
func withoutProgram(given []uint32, i int) []uint32 {
	c := Replay(given)
	Random(c)
	if n := len(c.programs); i >= n || n < 2 {
		return nil
	}
	return c.without(i)
}

// size is how much there is to read in a graph.
func (g *Graph) size() int {
	n := 2*len(g.Arrays) + len(g.Selectors) + 2*len(g.Events)
	if g.Limit != 0 {
		n++
	}
	for _, a := range g.Arrays {
		n += len(a.Slots)
	}
	for i := range g.Programs {
		n += 2
		for j := range g.Programs[i].Funcs {
			f := &g.Programs[i].Funcs[j]
			n += 3 + 2*len(f.Ops)
			if f.Stack != 0 {
				n++
			}
			if f.Saved != 0 {
				n++
			}
			for _, op := range f.Ops {
				if op.Mark != 0 {
					n++
				}
			}
		}
	}
	return n
}
