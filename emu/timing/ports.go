// SPDX-License-Identifier: GPL-2.0-only

package timing

import "math/bits"

// calendar books execution ports: one bit for each port and cycle, in a window that moves with the
// cycle of issue. What lies beyond the window is executed without booking; the schedulers are far
// too small to fill it.
type calendar struct {
	now     Cycle
	busy    [numPorts][calWords]uint64
	pending [numPorts]int32 // booked for now or later
	seen    [numPorts]int32 // pending as it was when the cycle began: what choose goes by
	group   [numPorts]uint8 // scheduler of each port
	waiting []int32         // pending of each scheduler
	size    []int32         // entries of each scheduler
}

const (
	calWords  = 64
	calWindow = Cycle(calWords * 64)
)

func newCalendar(s []Scheduler) *calendar {
	c := &calendar{waiting: make([]int32, len(s)), size: make([]int32, len(s))}
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
		w := c.now >> 6 % calWords
		mask := ^uint64(0) << (c.now & 63)
		end := (c.now | 63) + 1
		if end > t {
			mask &= 1<<(t&63) - 1
			end = t
		}
		for p := range c.busy {
			b := &c.busy[p][w]
			if done := *b & mask; done != 0 {
				n := int32(bits.OnesCount64(done))
				c.pending[p] -= n
				c.waiting[c.group[p]] -= n
				*b &^= mask
			}
		}
		c.now = end
	}
}

// full reports whether a scheduler has no room for the ports in set.
func (c *calendar) full() bool {
	for n, w := range c.waiting {
		if w >= c.size[n] {
			return true
		}
	}
	return false
}

// choose picks the port of a micro-operation at allocation, as uiCA found: the least loaded one in
// even slots, the second in odd slots unless it is far worse.
func (c *calendar) choose(set portSet, slot int) uint8 {
	best, second := uint8(noReg), uint8(noReg)
	for s := set; s != 0; s &^= 1 << (15 - bits.LeadingZeros16(uint16(s))) {
		p := uint8(15 - bits.LeadingZeros16(uint16(s)))
		switch {
		case best == noReg || c.seen[p] < c.seen[best]:
			best, second = p, best
		case second == noReg || c.seen[p] < c.seen[second]:
			second = p
		}
	}
	if slot&1 != 0 && second != noReg && c.seen[second] < c.seen[best]+3 {
		return second
	}
	return best
}

// book takes the first free cycle of a port from t on.
func (c *calendar) book(p uint8, t Cycle) Cycle {
	row := &c.busy[p]
	for t-c.now < calWindow-64 {
		w := &row[t>>6%calWords]
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
