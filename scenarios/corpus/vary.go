// SPDX-License-Identifier: GPL-2.0-only

package corpus

import (
	"cmp"
	"maps"
	"math/rand/v2"
	"slices"
)

// Bounds of one change of a case.
const (
	changes = 4       // at most
	span    = 16      // choices that are taken out or copied, at most
	added   = 8       // choices that are put in, at most
	tail    = 64      // choices after a case that is cut off, at most
	number  = 1 << 20 // of a new choice, below; more than any choice is made from
)

// Vary makes a case from one that is kept, with some choices changed, taken out, put in, or copied from another one.
// ok is false if no case of the kind is kept. The same folder and numbers give the same case.
func (f *Folder) Vary(rnd *rand.Rand, program bool) (c Case, ok bool) {
	kept := f.of(program)
	if len(kept) == 0 {
		return Case{}, false
	}
	c = Case{Program: program, Choices: slices.Clone(kept[rnd.IntN(len(kept))].Choices)}
	for range 1 + rnd.IntN(changes) {
		c.Choices = change(rnd, c.Choices, kept[rnd.IntN(len(kept))].Choices)
	}
	c.Choices = c.Choices[:min(len(c.Choices), maxChoices)]
	return c, true
}

// of are the kept cases of a kind.
func (f *Folder) of(program bool) []*Case {
	var out []*Case
	for i := range f.cases {
		if f.cases[i].Program == program {
			out = append(out, &f.cases[i])
		}
	}
	return out
}

// change makes one change.
func change(rnd *rand.Rand, to, other []uint32) []uint32 {
	at := rnd.IntN(len(to) + 1)
	end := min(at+1+rnd.IntN(span), len(to))
	switch rnd.IntN(6) {
	case 0, 1: // another choice
		if at < len(to) {
			to[at] = uint32(rnd.IntN(number))
		}
	case 2: // the next one
		if at < len(to) {
			to[at]++
		}
	case 3:
		return slices.Delete(to, at, end)
	case 4:
		if len(other) > 0 {
			from := rnd.IntN(len(other))
			return slices.Insert(to, at, other[from:min(from+1+rnd.IntN(span), len(other))]...)
		}
	default:
		if rnd.IntN(4) == 0 {
			to = to[:at]
			return append(to, random(rnd, rnd.IntN(tail))...)
		}
		return slices.Insert(to, at, random(rnd, 1+rnd.IntN(added))...)
	}
	return to
}

func random(rnd *rand.Rand, n int) []uint32 {
	out := make([]uint32, n)
	for i := range out {
		out[i] = uint32(rnd.IntN(number))
	}
	return out
}

// Reached is a case with what it reaches.
type Reached struct {
	Case
	Set []uint32
}

// Minimise returns the names of cases that together reach all that the given ones do: of what few reach first, the
// shortest case that does is taken.
func Minimise(all []Reached) map[string]bool {
	by := map[uint32][]int{} // cases by what they reach
	names := make([]string, len(all))
	for i := range all {
		names[i] = all[i].Name()
		for _, r := range all[i].Set {
			by[r] = append(by[r], i)
		}
	}
	order := slices.SortedFunc(maps.Keys(by), func(a, b uint32) int {
		return cmp.Or(cmp.Compare(len(by[a]), len(by[b])), cmp.Compare(a, b))
	})
	covered, out := map[uint32]bool{}, map[string]bool{}
	for _, r := range order {
		if covered[r] {
			continue
		}
		best := slices.MinFunc(by[r], func(i, j int) int {
			return cmp.Or(cmp.Compare(len(all[i].Choices), len(all[j].Choices)), cmp.Compare(names[i], names[j]))
		})
		out[names[best]] = true
		for _, x := range all[best].Set {
			covered[x] = true
		}
	}
	return out
}
