// SPDX-License-Identifier: GPL-2.0-only

package graph

import (
	"cmp"
	"fmt"
	"slices"
)

// Shrink looks for the simplest graph that fails, from a stream of choices that does: it removes
// pieces of the stream and lowers choices as long as fails reports true for what remains. It calls
// fails at most tries times, never twice for the same graph, and returns the choices of the simplest
// graph seen. Given the same answers it returns the same choices.
func Shrink(start []uint32, tries int, fails func(choices []uint32) bool) []uint32 {
	s := &shrinker{fails: fails, tries: tries, seen: map[string]bool{}}
	s.best, s.size = canonical(start)
	s.seen[fmt.Sprint(s.best)] = true
	for before := -1; before != s.accepted && s.tries > 0; {
		before = s.accepted
		for _, n := range []int{16, 8, 5, 4, 3, 2, 1} {
			s.remove(n)
		}
		s.dropPrograms()
		s.lower()
		s.swapForZero()
	}
	return s.best
}

type shrinker struct {
	fails    func([]uint32) bool
	tries    int
	seen     map[string]bool
	best     []uint32
	size     int
	accepted int
}

// canonical returns the choices that are made when a stream is replayed, without zeros at the end,
// and the size of the graph.
func canonical(given []uint32) ([]uint32, int) {
	c := Replay(given)
	g := Random(c)
	used := c.Used()
	for len(used) > 0 && used[len(used)-1] == 0 {
		used = used[:len(used)-1]
	}
	return used, g.size()
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

// try takes over a stream if it is simpler and still fails.
func (s *shrinker) try(given []uint32) bool {
	if s.tries <= 0 {
		return false
	}
	c, size := canonical(given)
	if cmp.Or(cmp.Compare(size, s.size), cmp.Compare(len(c), len(s.best)), slices.Compare(c, s.best)) >= 0 {
		return false
	}
	key := fmt.Sprint(c)
	if s.seen[key] {
		return false
	}
	s.seen[key] = true
	s.tries--
	if !s.fails(c) {
		return false
	}
	s.best, s.size = c, size
	s.accepted++
	return true
}

// remove takes out n choices at each place, from the end.
func (s *shrinker) remove(n int) {
	for at := len(s.best) - n; at >= 0; at-- {
		if at+n <= len(s.best) {
			s.try(slices.Delete(slices.Clone(s.best), at, at+n))
		}
	}
}

// dropPrograms takes out whole programs, from the last.
func (s *shrinker) dropPrograms() {
	for i := maxPrograms - 1; i >= 0; i-- {
		c := Replay(s.best)
		Random(c)
		if n := len(c.programs); i < n && n > 1 {
			s.try(c.without(i))
		}
	}
}

// lower makes each choice 0, or else half, or one less.
func (s *shrinker) lower() {
	for at := 0; at < len(s.best); at++ {
		for at < len(s.best) && s.best[at] > 0 {
			v := s.best[at]
			if !s.set(at, 0) && !s.set(at, v/2) && !s.set(at, v-1) {
				break
			}
		}
	}
}

// swapForZero makes a choice 0 and takes out what may have belonged to it.
func (s *shrinker) swapForZero() {
	for at := 0; at < len(s.best); at++ {
		for n := 1; n <= 8 && at+n < len(s.best) && s.best[at] > 0; n++ {
			c := slices.Delete(slices.Clone(s.best), at+1, at+1+n)
			c[at] = 0
			if s.try(c) {
				break
			}
		}
	}
}

func (s *shrinker) set(at int, v uint32) bool {
	if v >= s.best[at] {
		return false
	}
	c := slices.Clone(s.best)
	c[at] = v
	return s.try(c)
}
