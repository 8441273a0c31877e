// SPDX-License-Identifier: GPL-2.0-only

package choices

import (
	"cmp"
	"fmt"
	"slices"
)

// Space is what streams stand for.
type Space struct {
	// Canonical returns the choices that are made when a stream is replayed, and how much there is to read in
	// what it stands for.
	Canonical func(given []uint32) (used []uint32, size int)
	// Fails says whether what a stream stands for still fails.
	Fails func(given []uint32) bool
	// Pieces are how many choices are removed at once, the most first.
	Pieces []int
	// Parts is how many parts of a case Without can take out, each with what names it; Without returns nil
	// if there is no such part.
	Parts   int
	Without func(given []uint32, part int) []uint32
}

// Shrink looks for the simplest case that fails, from a stream of choices that does: it removes
// pieces of the stream and lowers choices as long as Fails reports true for what remains. It calls
// Fails at most tries times, never twice for the same case, and returns the choices of the simplest
// case seen. Given the same answers it returns the same choices.
func Shrink(start []uint32, tries int, space Space) []uint32 {
	s := &shrinker{Space: space, tries: tries, seen: map[string]bool{}}
	s.best, s.size = s.canonical(start)
	s.seen[fmt.Sprint(s.best)] = true
	for before := -1; before != s.accepted && s.tries > 0; {
		before = s.accepted
		for _, n := range s.Pieces {
			s.remove(n)
		}
		s.dropParts()
		s.lower()
		s.swapForZero()
	}
	return s.best
}

type shrinker struct {
	Space
	tries    int
	seen     map[string]bool
	best     []uint32
	size     int
	accepted int
}

// canonical returns what is left of a stream without zeros at the end.
func (s *shrinker) canonical(given []uint32) ([]uint32, int) {
	used, size := s.Canonical(given)
	for len(used) > 0 && used[len(used)-1] == 0 {
		used = used[:len(used)-1]
	}
	return used, size
}

// try takes over a stream if it is simpler and still fails.
func (s *shrinker) try(given []uint32) bool {
	if s.tries <= 0 {
		return false
	}
	c, size := s.canonical(given)
	if cmp.Or(cmp.Compare(size, s.size), cmp.Compare(len(c), len(s.best)), slices.Compare(c, s.best)) >= 0 {
		return false
	}
	key := fmt.Sprint(c)
	if s.seen[key] {
		return false
	}
	s.seen[key] = true
	s.tries--
	if !s.Fails(c) {
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

// dropParts takes out whole parts, from the last.
func (s *shrinker) dropParts() {
	for i := s.Parts - 1; i >= 0; i-- {
		if c := s.Without(s.best, i); c != nil {
			s.try(c)
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
