// SPDX-License-Identifier: GPL-2.0-only

package timing

import (
	"math"
	"math/bits"
)

// calendar books execution ports: one bit for each port and cycle, in a window that moves with the
// cycle of issue. What lies beyond the window is executed without booking; the schedulers are far
// too small to fill it.
type calendar struct {
	now     Cycle
	busy    [calWords][16]uint64 // a bit for each of 64 cycles; those before now say nothing
	ports   [calWindow]portSet   // the same by cycle, from now on
	pending loads                // booked for now or later
	seen    loads                // pending as it was when the cycle began: what choose goes by
	owner   [16]uint8            // the scheduler of each port; one more than there are: none
	room    []int32              // of each scheduler, and of what has none
	nfull   int32                // schedulers without room
	turns   [128]uint8           // which of the least loaded ports a slot takes
	orders  [16]order            // by set
	banked  portSet              // ports in two banks
	banks   [2]portSet
	seed    uint32
	late    bool    // ports are chosen when micro-operations execute
	turn    portSet // of pairs of ports of stores: the lower one is next
}

// loads are how many micro-operations wait for each port: loadOne for each of them, and below that what makes the load
// of the higher one of two ports the smaller where they are equal.
type loads [16]int32

const loadOne = 16

// portImbalance is how many more waiting micro-operations make a port unfit (U).
const portImbalance = 3

const (
	calWords  = 64
	calWindow = Cycle(calWords * 64)
)

func newCalendar(b *BackEnd) *calendar {
	s := b.Schedulers
	c := &calendar{late: b.LateBinding, room: make([]int32, len(s)+1)}
	for slot := range c.turns {
		c.turns[slot] = uint8(slot % min(b.PortSpread, numPorts))
	}
	c.banked = parsePorts(b.BankPorts)
	for p, n := c.banked, 0; p != 0; n++ {
		c.banks[n&1] |= p & -p
		p &= p - 1
	}
	c.room[len(s)] = math.MaxInt32
	for p := range c.owner {
		c.owner[p] = uint8(len(s))
		for n := len(s) - 1; n >= 0; n-- { // of several the first
			if parsePorts(s[n].Ports)&(1<<p) != 0 {
				c.owner[p] = uint8(n)
			}
		}
	}
	for n := range s {
		c.room[n] = int32(s[n].Entries)
	}
	for p := range c.pending {
		c.pending[p] = loadOne - 1 - int32(p)
	}
	c.seen = c.pending
	return c
}

// advance moves the window to cycle t; what was booked before has left the schedulers.
func (c *calendar) advance(t Cycle) {
	if t-c.now >= calWindow {
		now := c.now + calWindow
		c.sweep(now)
		c.now = t
	} else {
		c.sweep(t)
	}
	c.seen = c.pending
}

func (c *calendar) sweep(t Cycle) {
	for ; c.now < t; c.now++ {
		booked := c.booked(c.now)
		ports := *booked
		*booked = 0
		for p := ports; p != 0; p &= p - 1 {
			c.leave(uint8(bits.TrailingZeros16(uint16(p))) & 15)
		}
		if c.now&63 == 63 {
			*c.row(c.now) = [16]uint64{}
		}
	}
}

// booked are the ports that are booked for cycle t.
func (c *calendar) booked(t Cycle) *portSet { return &c.ports[uint64(t)%uint64(calWindow)] }

// row is the part of the window that holds cycle t.
func (c *calendar) row(t Cycle) *[16]uint64 { return &c.busy[uint64(t)>>6%calWords] }

// full reports whether a scheduler has no room.
func (c *calendar) full() bool { return c.nfull != 0 }

// wait puts a micro-operation into the scheduler of its port.
func (c *calendar) wait(p uint8) {
	c.pending[p] += loadOne
	room := &c.room[c.owner[p]]
	if *room--; *room == 0 {
		c.nfull++
	}
}

// leave takes one out.
func (c *calendar) leave(p uint8) {
	c.pending[p] -= loadOne
	room := &c.room[c.owner[p]]
	if *room++; *room == 1 {
		c.nfull--
	}
}

// choose picks the port of a micro-operation at allocation: the micro-operations of a cycle go to
// the least loaded ports in turn, spread of them at most, but never to one that is far worse than
// the best. uiCA found this for cores of four slots, with a spread of two.
func (c *calendar) choose(set portSet, slot int) uint8 {
	if set&(set-1) == 0 {
		return uint8(bits.TrailingZeros16(uint16(set)))
	}
	o := &c.orders[uint32(set)*0x9e37>>8%uint32(len(c.orders))]
	if o.set != set || o.cycle != c.now {
		o.set, o.rest, o.cycle, o.n = set, set, c.now, 0
		o.add(c.least(set))
	}
	turn := c.turns[min(slot, len(c.turns)-1)]
	for o.n <= turn {
		p := o.ports[(o.n-1)&15]
		if o.rest != 0 {
			if q := c.least(o.rest); c.seen[q&15]/loadOne < c.seen[o.ports[0]&15]/loadOne+portImbalance {
				p = q
			} else {
				o.rest = 0
			}
		}
		o.add(p)
	}
	return o.ports[turn&15]
}

// order is the ports of a set in the turn in which they are chosen in a cycle, as far as they were asked for.
type order struct {
	set, rest portSet // rest: without those that were chosen; 0 if what is left is no better
	cycle     Cycle
	n         uint8
	ports     [16]uint8
}

func (o *order) add(p uint8) {
	o.ports[o.n&15] = p
	o.n++
	o.rest &^= 1 << p
}

// alternate picks the port of a store's address or data: pairs take turns (U).
func (c *calendar) alternate(pair portSet) uint8 {
	low := pair & -pair
	c.turn ^= low
	if c.turn&low != 0 {
		return uint8(bits.TrailingZeros16(uint16(pair)))
	}
	return uint8(bits.Len16(uint16(pair)) - 1)
}

// least returns the least loaded port of a set, of equal ones the highest.
func (c *calendar) least(set portSet) uint8 {
	best := int32(math.MaxInt32)
	for ; set != 0; set &= set - 1 {
		best = min(best, c.seen[bits.TrailingZeros16(uint16(set))&15]) // without a branch that is hard to predict
	}
	return uint8(15 - best&15)
}

// earliest books the port of a set that is free first from t on, of equal ones the highest.
func (c *calendar) earliest(set portSet, t Cycle) Cycle {
	if set&(set-1) == 0 || t-c.now >= calWindow-64 {
		return c.book(uint8(bits.TrailingZeros16(uint16(set))), t)
	}
	if set == c.banked {
		c.seed = c.seed*1664525 + 1013904223
		set = c.banks[c.seed>>31]
	}
	for {
		for s := set; s != 0; {
			p := uint8(bits.Len16(uint16(s)) - 1)
			s &^= 1 << p
			if c.row(t)[p&15]>>(t&63)&1 == 0 {
				return c.book(p, t)
			}
		}
		t++
		if t-c.now >= calWindow-64 {
			return t
		}
	}
}

// book takes the first free cycle of a port from t on.
func (c *calendar) book(p uint8, t Cycle) Cycle {
	for t-c.now < calWindow-64 {
		w := &c.row(t)[p&15]
		free := ^*w & (^uint64(0) << (t & 63))
		if free == 0 {
			t = (t | 63) + 1
			continue
		}
		n := bits.TrailingZeros64(free)
		*w |= 1 << n
		at := t&^63 + Cycle(n)
		*c.booked(at) |= 1 << p
		c.wait(p & 15)
		return at
	}
	return t
}
