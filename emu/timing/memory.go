// SPDX-License-Identifier: GPL-2.0-only

package timing

import (
	"math"

	"github.com/tcsim/tcsim/jit/x86"
)

// store is one store between rename and commit.
type store struct {
	num      uint64
	addr     x86.Addr
	size     uint8
	data     value   // what is stored
	where    Cycle   // when its address is known
	viaStack bool    // through rsp or rbp
	constant bool    // what is stored is no register
	unnamed  bool    // no load takes its data at rename
	base     x86.Reg // of its address
	commit   Cycle   // when it has left the store buffer
}

// value is when a result exists, and what the renamer has still to add to it.
type value struct {
	ready  Cycle
	offset int32 // pending immediate of an eliminated add
	moved  bool  // the result of an eliminated move
}

// word says which store last wrote each byte of an aligned 8-byte word.
type word struct {
	tag    uint64 // address / 8, plus 1
	owners uint64 // one byte each: the store's number modulo the length of the ring
	valid  uint8  // bytes that have an owner
}

// storeTrack finds the stores that a load reads from.
type storeTrack struct {
	ring  [trackRing]store // by number
	next  uint64           // number of the next store; numbers start at 1
	words [trackWords]word

	slots [stackSlots]stackSlot

	lastCommit Cycle
	inCycle    int      // commits in lastCommit
	lastLine   x86.Addr // of the last one, in 64-byte lines
}

const (
	trackWords = 1 << 12
	trackRing  = 256 // what a byte counts; above every store buffer
)

func newStoreTrack() *storeTrack { return &storeTrack{next: 1} }

// stackSlot is the last store through rsp or rbp that started at an address.
type stackSlot struct {
	addr x86.Addr
	num  uint64
}

// stackSlots is how many of them are kept; an older one is forgotten when another comes to its place.
const stackSlots = 256

func (t *storeTrack) slot(a x86.Addr) *stackSlot { return &t.slots[(a^a>>8)%stackSlots] }

// pushed notes a store through rsp or rbp.
func (t *storeTrack) pushed(a x86.Addr, num uint64) { *t.slot(a) = stackSlot{a, num} }

// onStack returns the number of the last store through rsp or rbp that starts at a, if it may still
// be in flight.
func (t *storeTrack) onStack(a x86.Addr) (uint64, bool) {
	s := t.slot(a)
	return s.num, s.addr == a && s.num != 0 && s.num+trackRing > t.next
}

// learned is the set of loads of which the core knows the store, where their base register and offset
// lead to another one or to none. A new one takes the place of one that was not used for long: a tree of
// bits leads there, as in caches (pseudo-LRU).
type learned struct {
	sites []*site
	away  []bool // of each node of the tree: the older half is the right one
	used  int
}

func newLearned(entries int) *learned {
	return &learned{sites: make([]*site, entries), away: make([]bool, max(1, entries))}
}

// know reports whether the load is in the set, and adds it if not.
func (l *learned) know(s *site) bool {
	if s.learned != 0 {
		l.touch(int(s.learned) - 1)
		return true
	}
	n := l.oldest()
	if old := l.sites[n]; old != nil {
		old.learned = 0
	}
	l.sites[n] = s
	s.learned = int32(n) + 1
	l.touch(n)
	return false
}

// oldest is the entry that is to be replaced.
func (l *learned) oldest() int {
	if l.used < len(l.sites) {
		l.used++
		return l.used - 1
	}
	node := 1
	for node < len(l.sites) {
		node *= 2
		if l.away[node/2] {
			node++
		}
	}
	return node - len(l.sites)
}

// touch turns the nodes above an entry away from it.
func (l *learned) touch(n int) {
	for node := n + len(l.sites); node > 1; node /= 2 {
		l.away[node/2] = node&1 == 0
	}
}

// source says where a load gets its bytes from.
type source uint8

const (
	fromCache   source = iota
	fromStore          // all from one store, at another offset
	fromExact          // all from one store, starting at its first byte
	fromSeveral        // some from the store that is named, others from elsewhere
)

// lanes has a byte of ones for each bit of its index.
var lanes = func() (l [256]uint64) {
	for n := range l {
		for b := range 8 {
			if n>>b&1 != 0 {
				l[n] |= 0xff << (8 * b)
			}
		}
	}
	return l
}()

const everyLane = 0x0101010101010101

func (t *storeTrack) word(n uint64) *word { return &t.words[(n^n>>12)%trackWords] }

// find looks for the youngest store that wrote bytes of the load, among those that the ring still
// holds: whether it is still in flight is for the caller to see.
func (t *storeTrack) find(addr x86.Addr, size uint8) (source, *store) {
	shift := uint8(addr & 7)
	if w := t.word(uint64(addr) >> 3); w.tag == uint64(addr)>>3+1 && shift+size <= 8 {
		mask := (uint16(1)<<size - 1) << shift
		s := &t.ring[uint8(w.owners>>(8*shift))]
		same := (w.owners^everyLane*(w.owners>>(8*shift)&0xff))&lanes[uint8(mask)] == 0
		if same && w.valid&uint8(mask) == uint8(mask) && s.covers(addr, size) {
			return s.as(addr), s
		}
	}
	return t.search(addr, size)
}

// search is find byte by byte.
func (t *storeTrack) search(addr x86.Addr, size uint8) (source, *store) {
	var youngest *store
	whole := true
	for b := range x86.Addr(size) {
		s := t.owner(addr + b)
		if b > 0 && s != youngest {
			whole = false
		}
		if s != nil && (youngest == nil || s.num > youngest.num) {
			youngest = s
		}
	}
	switch {
	case youngest == nil:
		return fromCache, nil
	case !whole:
		return fromSeveral, youngest
	}
	return youngest.as(addr), youngest
}

// owner returns the last store to a byte, nil if the ring does not hold it any more.
func (t *storeTrack) owner(a x86.Addr) *store {
	n, bit := uint64(a)>>3, uint8(a&7)
	w := t.word(n)
	if w.tag != n+1 || w.valid>>bit&1 == 0 {
		return nil
	}
	if s := &t.ring[uint8(w.owners>>(8*bit))]; s.covers(a, 1) {
		return s
	}
	return nil
}

// covers reports whether the store wrote all the bytes. A slot of the ring that was used again holds
// another store: had that written these bytes, it would own them by right.
func (s *store) covers(a x86.Addr, size uint8) bool {
	return a-s.addr < x86.Addr(s.size) && a-s.addr+x86.Addr(size) <= x86.Addr(s.size)
}

// names reports whether the renamer has a name for what a load of the store's first bytes finds: of a sum that it holds as
// a register and an offset it has none for a part, nor for what arithmetic is to go on with.
func (s *store) names(in *insn) bool {
	return !s.unnamed && (s.data.offset == 0 || in.size == 8 && !in.rmw)
}

func (s *store) as(a x86.Addr) source {
	if s.addr == a {
		return fromExact
	}
	return fromStore
}

// rest returns when the last of the stores commits that a load needs beside s, 0 if there is none.
func (t *storeTrack) rest(s *store, addr x86.Addr, size uint8) Cycle {
	last := Cycle(0)
	for b := range x86.Addr(size) {
		if o := t.owner(addr + b); o != nil && o != s {
			last = max(last, o.commit)
		}
	}
	return last
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
	s.num, s.addr, s.size, s.commit = num, addr, size, math.MaxInt64
	return s
}

func (t *storeTrack) own(n uint64, mask uint8, num uint64) {
	w := t.word(n)
	if w.tag != n+1 {
		*w = word{tag: n + 1}
	}
	w.owners = w.owners&^lanes[mask] | everyLane*(num%trackRing)&lanes[mask]
	w.valid |= mask
}

// commit lets the youngest store leave the buffer, in order, at time at or later: several of them in one cycle
// if they are to the same line.
func (t *storeTrack) commit(at Cycle, c *Memory) {
	s := &t.ring[(t.next-1)%trackRing]
	switch {
	case at > t.lastCommit:
		if t.lastCommit, t.inCycle = at, 1; c.CommitAlone {
			t.inCycle = c.CommitsPerCycle
		}
	case t.inCycle < c.CommitsPerCycle && s.addr>>6 == t.lastLine:
		t.inCycle++
	default:
		t.lastCommit, t.inCycle = t.lastCommit+1, 1
	}
	s.commit, t.lastLine = t.lastCommit, s.addr>>6
}

// oldest returns the store that must have committed before another one gets an entry.
func (t *storeTrack) oldest(entries int) *store {
	if t.next <= uint64(entries) {
		return nil
	}
	return &t.ring[(t.next-uint64(entries))%trackRing]
}
