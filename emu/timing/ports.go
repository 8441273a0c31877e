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
	busy    [calWords][numPorts]uint64 // a bit for each of 64 cycles; those before now say nothing
	ports   [calWindow]portSet         // the same by cycle, from now on
	pending [numPorts]int32            // booked for now or later
	seen    [numPorts]int32            // pending as it was when the cycle began: what choose goes by
	group   [numPorts]uint8            // scheduler of each port
	waiting []int32                    // pending of each scheduler
	size    []int32                    // entries of each scheduler
	over    int                        // schedulers that are full
	turns   [128]uint8                 // which of the least loaded ports a slot takes
	orders  [16]order                  // by set
	banked  portSet                    // ports in two banks
	banks   [2]portSet
	seed    uint32
	turn    portSet // of pairs of ports of stores: the lower one is next
}

// portImbalance is how many more waiting micro-operations make a port unfit (U).
const portImbalance = 3

const (
	calWords  = 64
	calWindow = Cycle(calWords * 64)
)

func newCalendar(b *BackEnd) *calendar {
	s := b.Schedulers
	c := &calendar{waiting: make([]int32, len(s)), size: make([]int32, len(s))}
	for slot := range c.turns {
		c.turns[slot] = uint8(slot % min(b.PortSpread, numPorts))
	}
	c.banked = parsePorts(b.BankPorts)
	for p, n := c.banked, 0; p != 0; n++ {
		c.banks[n&1] |= p & -p
		p &= p - 1
	}
	for n := range s {
		c.size[n] = int32(s[n].Entries)
		for p := range uint8(numPorts) {
			if parsePorts(s[n].Ports)>>p&1 != 0 {
				c.group[p] = uint8(n)
			}
		}
	}
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
		for ports := c.booked(c.now); *ports != 0; *ports &= *ports - 1 {
			c.leave(uint8(bits.TrailingZeros16(uint16(*ports))))
		}
		if c.now&63 == 63 {
			*c.row(c.now) = [numPorts]uint64{}
		}
	}
}

// booked are the ports that are booked for cycle t.
func (c *calendar) booked(t Cycle) *portSet { return &c.ports[uint64(t)%uint64(calWindow)] }

// row is the part of the window that holds cycle t.
func (c *calendar) row(t Cycle) *[numPorts]uint64 { return &c.busy[uint64(t)>>6%calWords] }

// full reports whether a scheduler has no room.
func (c *calendar) full() bool { return c.over > 0 }

// enter counts an entry of the scheduler of a port.
func (c *calendar) enter(p uint8) {
	g := c.group[p]
	c.pending[p]++
	if c.waiting[g]++; c.waiting[g] == c.size[g] {
		c.over++
	}
}

// leave takes an entry of the scheduler of a port out.
func (c *calendar) leave(p uint8) {
	g := c.group[p]
	c.pending[p]--
	if c.waiting[g]--; c.waiting[g] == c.size[g]-1 {
		c.over--
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
		*o = order{set: set, rest: set, cycle: c.now}
		o.add(c.least(set))
	}
	turn := c.turns[min(slot, len(c.turns)-1)]
	for o.n <= turn {
		p := o.ports[o.n-1]
		if o.rest != 0 {
			if q := c.least(o.rest); c.seen[q] < c.seen[o.ports[0]]+portImbalance {
				p = q
			} else {
				o.rest = 0
			}
		}
		o.add(p)
	}
	return o.ports[turn]
}

// order is the ports of a set in the turn in which they are chosen in a cycle, as far as they were asked for.
type order struct {
	set, rest portSet // rest: without those that were chosen; 0 if what is left is no better
	cycle     Cycle
	n         uint8
	ports     [numPorts]uint8
}

func (o *order) add(p uint8) {
	o.ports[o.n] = p
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
		p := bits.TrailingZeros16(uint16(set)) & 15
		best = min(best, c.seen[p]<<4|int32(15-p)) // without a branch that is hard to predict
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
			if c.row(t)[p]>>(t&63)&1 == 0 {
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
		w := &c.row(t)[p]
		free := ^*w & (^uint64(0) << (t & 63))
		if free == 0 {
			t = (t | 63) + 1
			continue
		}
		n := bits.TrailingZeros64(free)
		*w |= 1 << n
		at := t&^63 + Cycle(n)
		*c.booked(at) |= 1 << p
		c.enter(p)
		return at
	}
	return t
}
