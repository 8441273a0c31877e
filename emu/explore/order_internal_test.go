// SPDX-License-Identifier: GPL-2.0-only

package explore

import (
	"testing"

	"github.com/tcsim/tcsim/jit/image"
)

// TestHalfway: a breakpoint stands where a poke has begun and is not done, whatever other pokes do.
func TestHalfway(t *testing.T) {
	a, b := &image.Patch{Addr: 0x1000}, &image.Patch{Addr: 0x2000}
	s := &Script{Steps: []Step{
		{Kind: StepText, Patch: a}, {Kind: StepPointer, Addr: 0x1000}, {Kind: StepText, Patch: b}, {Kind: StepText, Patch: a, Last: true},
		{Kind: StepText, Patch: b, Last: true},
	}}
	for n, want := range [][2]*image.Patch{{}, {a, nil}, {a, nil}, {a, b}, {nil, b}, {nil, nil}} {
		if s.Halfway(0x1000, n) != want[0] || s.Halfway(0x2000, n) != want[1] {
			t.Errorf("after %d steps: %v, %v, want %v", n, s.Halfway(0x1000, n), s.Halfway(0x2000, n), want)
		}
	}
}

// TestAdvance: versions after many instructions are those after each of them, however they are computed.
func TestAdvance(t *testing.T) {
	for _, versions := range []int{1, 2, 30, 200} {
		for _, n := range []uint64{0, 1, 2, 7, 24, 25, 26, 60} {
			ways := zeros(versions)
			for v := 0; v < versions; v += 3 {
				ways[v].SetInt64(int64(v + 1))
			}
			one := ways
			for range n {
				next := zeros(versions)
				for v := range one {
					for u := range v + 1 {
						next[v].Add(next[v], one[u])
					}
				}
				one = next
			}
			for v, w := range advance(ways, n) {
				if w.Cmp(one[v]) != 0 {
					t.Fatalf("%d instructions, version %d of %d: %v ways, want %v", n, v, versions, w, one[v])
				}
			}
		}
	}
}

// TestCovers: a step stores into a place of the script, all of it.
func TestCovers(t *testing.T) {
	s := &Script{Before: []Place{{Addr: 0x1000, Bytes: make([]byte, 8)}}}
	for _, tc := range []struct {
		at   image.Addr
		n    int
		want bool
	}{{0x1000, 8, true}, {0x1007, 1, true}, {0x1004, 4, true}, {0xfff, 1, false}, {0xfff, 2, false}, {0x1008, 1, false}, {0x1004, 5, false}} {
		if got := s.covers(&Step{Addr: tc.at, Bytes: make([]byte, tc.n)}); got != tc.want {
			t.Errorf("%d bytes at %#x: %v", tc.n, uint64(tc.at), got)
		}
	}
}

// TestShorter: what fails after fewer instructions is shorter, then what needs fewer steps of the update; the first one
// found of equal ones stays.
func TestShorter(t *testing.T) {
	at := func(insns uint64, version int) *Failed {
		return &Failed{Insns: insns, Placement: []Placement{{Version: version}}}
	}
	for _, tc := range []struct {
		a, b *Failed
		want bool
	}{
		{at(1, 2), at(2, 1), true}, {at(2, 1), at(1, 2), false}, {at(1, 1), at(1, 2), true}, {at(1, 2), at(1, 1), false}, {at(1, 1), at(1, 1), false},
	} {
		if got := tc.a.shorter(tc.b); got != tc.want {
			t.Errorf("%+v before %+v: %v", tc.a, tc.b, got)
		}
	}
}
