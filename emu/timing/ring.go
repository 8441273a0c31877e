// SPDX-License-Identifier: GPL-2.0-only

package timing

import "math/bits"

// ring holds when the last of an endless row of things happened, as many as a buffer of the core has entries.
type ring struct {
	at   []Cycle // a power of two of them
	n    uint64  // things so far
	size uint64  // entries of the buffer
}

func newRing(entries int) ring {
	return ring{at: make([]Cycle, 1<<bits.Len(uint(max(entries, 1)-1))), size: uint64(entries)}
}

// oldest is when the entry was taken that the next thing takes: 0 if none had it.
func (r *ring) oldest() Cycle { return r.at[(r.n-r.size)&uint64(len(r.at)-1)] }

// oldestBut is oldest once so many more have happened.
func (r *ring) oldestBut(more int) Cycle {
	return r.at[(r.n-r.size+uint64(more))&uint64(len(r.at)-1)]
}

// add notes the next thing.
func (r *ring) add(t Cycle) {
	r.at[r.n&uint64(len(r.at)-1)] = t
	r.n++
}
