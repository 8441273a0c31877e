// SPDX-License-Identifier: GPL-2.0-only

package timing

import (
	"math"

	"github.com/tcsim/tcsim/jit/x86"
)

// store is one store between rename and commit.
type store struct {
	addr   x86.Addr
	size   uint8
	data   value // what is stored
	where  Cycle // when its address is known
	commit Cycle // when it has left the store buffer
}

// value is when a result exists, and what the renamer has still to add to it.
type value struct {
	ready  Cycle
	offset int32 // pending immediate of an eliminated add
	moved  bool  // the result of an eliminated move
}

// word says which stores last wrote the bytes of an aligned 8-byte word: the youngest, the one
// before it in what the youngest left, and the youngest of all others.
type word struct {
	tag               uint64 // address / 8, plus 1
	first, then, rest uint64 // store numbers
	m1, m2, m3        uint8  // bytes they own
}

// storeTrack finds the stores that a load reads from.
type storeTrack struct {
	ring  []store // by number modulo its length
	next  uint64  // number of the next store; numbers start at 1
	words [trackWords]word

	lastCommit Cycle
	inCycle    int // commits in lastCommit
}

const (
	trackWords = 1 << 12
	trackRing  = 256 // a power of two above every store buffer
)

func newStoreTrack() *storeTrack {
	return &storeTrack{ring: make([]store, trackRing), next: 1}
}

// source says where a load gets its bytes from.
type source uint8

const (
	fromCache   source = iota
	fromStore          // all from one store in flight, at another offset
	fromExact          // all from one store in flight, starting at its first byte
	fromSeveral        // some from a store in flight, others from elsewhere
)

func (t *storeTrack) word(n uint64) *word {
	return &t.words[(n^n>>12)%trackWords]
}

// find looks for the youngest store that wrote bytes of the load, among those that the ring still
// holds: whether it is still in flight is for the caller to see.
func (t *storeTrack) find(addr x86.Addr, size uint8) (source, *store) {
	n, shift := uint64(addr)>>3, uint8(addr&7)
	mask := (uint16(1)<<size - 1) << shift
	num, whole := t.owner(n, uint8(mask))
	if hi := uint8(mask >> 8); hi != 0 {
		num2, whole2 := t.owner(n+1, hi)
		whole = whole && whole2 && num == num2
		num = max(num, num2)
	}
	if num == 0 {
		return fromCache, nil
	}
	s := &t.ring[num%trackRing]
	switch {
	case !whole:
		return fromSeveral, s
	case s.addr == addr:
		return fromExact, s
	}
	return fromStore, s
}

// owner returns the youngest store that owns bytes of mask in word n, 0 if there is none,
// and whether it owns all of them.
func (t *storeTrack) owner(n uint64, mask uint8) (num uint64, whole bool) {
	w := t.word(n)
	if w.tag != n+1 {
		return 0, true
	}
	switch {
	case mask&w.m1 != 0:
		num, whole = w.first, mask&^w.m1 == 0
	case mask&w.m2 != 0:
		num, whole = w.then, mask&^w.m2 == 0
	case mask&w.m3 != 0:
		num, whole = w.rest, mask&^w.m3 == 0
	}
	if num == 0 || t.next-num >= trackRing {
		return 0, true
	}
	return num, whole
}

// add records a store; the caller completes it once its times are known.
func (t *storeTrack) add(addr x86.Addr, size uint8) *store {
	num := t.next
	t.next++
	n, shift := uint64(addr)>>3, uint8(addr&7)
	mask := (uint16(1)<<size - 1) << shift
	t.own(n, uint8(mask), num)
	if hi := uint8(mask >> 8); hi != 0 {
		t.own(n+1, hi, num)
	}
	s := &t.ring[num%trackRing]
	*s = store{addr: addr, size: size, commit: math.MaxInt64}
	return s
}

func (t *storeTrack) own(n uint64, mask uint8, num uint64) {
	w := t.word(n)
	if w.tag != n+1 {
		*w = word{tag: n + 1, first: num, m1: mask}
		return
	}
	if w.m1&^mask != 0 {
		// The former youngest keeps some bytes: it becomes the second, the second joins the rest.
		w.rest, w.m3 = w.then, (w.m3|w.m2)&^w.m1
		w.then, w.m2 = w.first, w.m1
	}
	w.first, w.m1 = num, mask
	w.m2 &^= mask
	w.m3 &^= mask
}

// commit lets a store leave the buffer, in order, at time t or later.
func (t *storeTrack) commit(s *store, at Cycle, perCycle int) {
	switch {
	case at > t.lastCommit:
		t.lastCommit, t.inCycle = at, 1
	case t.inCycle < perCycle:
		t.inCycle++
	default:
		t.lastCommit, t.inCycle = t.lastCommit+1, 1
	}
	s.commit = t.lastCommit
}

// oldest returns the store that must have committed before another one gets an entry.
func (t *storeTrack) oldest(entries int) *store {
	if t.next <= uint64(entries) {
		return nil
	}
	return &t.ring[(t.next-uint64(entries))%trackRing]
}
