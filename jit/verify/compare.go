// SPDX-License-Identifier: GPL-2.0-only

package verify

import (
	"math/bits"

	"github.com/tcsim/tcsim/jit/verify/holds"
)

// comparison is one of two states.
type comparison struct {
	holds.Matching
	bytes bool // all bytes of stacks must hold the same kinds
}

// difference is a register or a slot of a stack in which a checkpoint differed from a state, whatever identities are.
type difference struct {
	known, slot bool
	how         holds.Likeness
	precise     bool
	frame, at   uint8
	old         holds.Slot
}

// stillDiffers reports whether a checkpoint differs from a state where it differed from another when it was known what matters of
// it: what is known of that since only adds to it. Most do, so that nothing else is looked at.
func (x *explorer) stillDiffers(c *kept, n *state) bool {
	for i := range c.differs {
		d := &c.differs[i]
		if !d.known || d.how != holds.Enough {
			continue
		}
		m := holds.Matching{Rules: x.rules, Links: x.pairs[:0]}
		if int(d.frame) >= len(n.frames) || d.from(&m, &n.frames[d.frame], d.precise) {
			if i > 0 {
				c.differs[0], c.differs[1] = c.differs[1], c.differs[0]
			}
			return true
		}
	}
	return false
}

// from reports whether what a frame of another state holds there differs.
func (d *difference) from(m *holds.Matching, f *frameState, precise bool) bool {
	if d.slot {
		now := f.slot(int(d.at))
		return d.old != *now && !m.Slot(&d.old, now, precise)
	}
	return d.old.Spill != f.regs[d.at] && !m.Value(d.old.Spill, f.regs[d.at], precise)
}

// differ notes a difference in place of the older one of two.
func (c *kept) differ(d difference) { c.differs[0], c.differs[1] = d, c.differs[0] }

// differsHere reports whether two states differ where the old one differed from another, in what matters of it now.
func (x *explorer) differsHere(c *comparison, s, n *state, d *difference) bool {
	if !d.known || d.how == holds.Enough {
		return false
	}
	f := &s.frames[d.frame]
	places := f.precise.Regs
	if d.slot {
		if c.reads(s, f)>>d.at&1 == 0 {
			return false
		}
		places = f.precise.Slots
	}
	differs := d.from(&c.Matching, &n.frames[d.frame], places>>d.at&1 != 0)
	c.Links = c.Links[:0]
	return differs
}

// covers reports whether all that can happen from n can happen from a checkpoint too, so that n need not be followed
// (states_equal).
func (x *explorer) covers(old *kept, n *state, how holds.Likeness) bool {
	s := old.state
	if len(s.frames) != len(n.frames) {
		return false
	}
	c := comparison{Matching: holds.Matching{How: how, Rules: x.rules, Links: x.pairs[:0]}}
	c.bytes = how == holds.Same || how == holds.Within && x.rules.ExactBytes && x.strict
	if x.differsHere(&c, s, n, &old.differs[0]) || x.differsHere(&c, s, n, &old.differs[1]) {
		return false
	}
	if !s.held.Like(&n.held, &c.Links) {
		return false
	}
	for i := len(s.frames) - 1; i >= 0; i-- {
		a, b := &s.frames[i], &n.frames[i]
		if a.fn != b.fn || a.ret != b.ret || a.callback != b.callback || a.iterations > b.iterations && !x.rules.CallbackOnce {
			return false
		}
		for left := x.matters(s, i); left != 0; left &= left - 1 {
			r := bits.TrailingZeros16(left)
			if !c.Value(a.regs[r], b.regs[r], a.precise.Regs&(1<<r) != 0) {
				old.differ(difference{true, false, how, a.precise.Regs>>r&1 != 0, uint8(i), uint8(r), holds.Slot{Spill: a.regs[r]}})
				return false
			}
		}
		if at, ok := c.stack(a, b, c.reads(s, a)); !ok {
			if at >= 0 {
				old.differ(difference{true, true, how, a.precise.Slots>>at&1 != 0, uint8(i), uint8(at), *a.stack.at(at)})
			}
			return false
		}
	}
	x.pairs = c.Links[:0]
	return true
}

// matters are the registers of a frame, by bit, that may be read from a state on.
func (x *explorer) matters(s *state, frame int) uint16 {
	if frame+1 == len(s.frames) {
		return x.registers[s.pc].Live
	}
	in := &s.frames[frame+1]
	regs := x.registers[in.ret].Live
	if !in.again {
		regs &^= 1<<6 - 1 // r0 to r5 are lost
	}
	return regs
}

// reads are the slots of a frame of the old state, by bit, that matter.
func (c *comparison) reads(s *state, f *frameState) uint64 {
	if c.How != holds.Enough && !s.clean {
		return ^uint64(0)
	}
	return f.read
}

// slot is a slot to be looked at.
func (f *frameState) slot(i int) *holds.Slot {
	if i < f.stack.n {
		return f.stack.at(i)
	}
	return &holds.NoSlot
}

// stack is stacksafe; read are the slots of the old state that matter. Where stacks differ at is the first slot that does, -1 for
// another reason.
func (c *comparison) stack(a, b *frameState, read uint64) (at int, ok bool) {
	if c.bytes && a.stack.n > b.stack.n {
		return -1, false
	}
	read &= 1<<a.stack.n - 1
	for p := 0; p*pageSlots < a.stack.n; p++ {
		if a.stack.pages[p] == b.stack.pages[p] && a.stack.identified(p) == 0 {
			read &^= (1<<pageSlots - 1) << (p * pageSlots)
			continue
		}
		for i := p * pageSlots; c.bytes && i < min(a.stack.n, (p+1)*pageSlots); i++ {
			if a.stack.at(i).Bytes != b.stack.at(i).Bytes {
				return -1, false
			}
		}
	}
	for left := read; left != 0; left &= left - 1 {
		if i := bits.TrailingZeros64(left); !c.Slot(a.stack.at(i), b.slot(i), a.precise.Slots&(1<<i) != 0) {
			return i, false
		}
	}
	return 0, true
}
