// SPDX-License-Identifier: GPL-2.0-only

package timing

import "math/bits"

// calendar books execution ports: one bit for each port and cycle, in a window that moves with the
// cycle of issue. What lies beyond the window is executed without booking; the schedulers are far
// too small to fill it.
type calendar struct {
	now     Cycle
	busy    [calWords][numPorts]uint64 // a bit for each of 64 cycles
	pending [numPorts]int32            // booked for now or later
	seen    [numPorts]int32            // pending as it was when the cycle began: what choose goes by
	group   [numPorts]uint8            // scheduler of each port
	waiting []int32                    // pending of each scheduler
	size    []int32                    // entries of each scheduler
	spread  int                        // ports that share the micro-operations of a cycle
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
	c := &calendar{waiting: make([]int32, len(s)), size: make([]int32, len(s)), spread: b.PortSpread}
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
	for c.now < t {
		row := c.row(c.now)
		mask := ^uint64(0) << (c.now & 63)
		end := (c.now | 63) + 1
		if end > t {
			mask &= 1<<(t&63) - 1
			end = t
		}
		for p, b := range row {
			if done := b & mask; done != 0 {
				n := int32(bits.OnesCount64(done))
				c.pending[p] -= n
				c.waiting[c.group[p]] -= n
				row[p] = b &^ mask
			}
		}
		c.now = end
	}
}

// row is the part of the window that holds cycle t.
func (c *calendar) row(t Cycle) *[numPorts]uint64 { return &c.busy[uint64(t)>>6%calWords] }

// full reports whether a scheduler has no room for the ports in set.
func (c *calendar) full() bool {
	for n, w := range c.waiting {
		if w >= c.size[n] {
			return true
		}
	}
	return false
}

// choose picks the port of a micro-operation at allocation: the micro-operations of a cycle go to
// the least loaded ports in turn, spread of them at most, but never to one that is far worse than
// the best. uiCA found this for cores of four slots, with a spread of two.
func (c *calendar) choose(set portSet, slot int) uint8 {
	if set&(set-1) == 0 {
		return uint8(bits.TrailingZeros16(uint16(set)))
	}
	best := c.least(set)
	p := best
	for range slot % c.spread {
		set &^= 1 << p
		if set == 0 {
			break
		}
		q := c.least(set)
		if c.seen[q] >= c.seen[best]+portImbalance {
			break
		}
		p = q
	}
	return p
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
	best := uint8(bits.Len16(uint16(set)) - 1)
	for set &^= 1 << best; set != 0; {
		p := uint8(bits.Len16(uint16(set)) - 1)
		set &^= 1 << p
		if c.seen[p] < c.seen[best] {
			best = p
		}
	}
	return best
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
		c.pending[p]++
		c.waiting[c.group[p]]++
		return t&^63 + Cycle(n)
	}
	return t
}
