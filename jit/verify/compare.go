// SPDX-License-Identifier: GPL-2.0-only

package verify

import (
	"math/bits"

	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/verify/rights"
)

// likeness is how much of two states must agree (enum exact_level).
type likeness uint8

const (
	// enough: what comes after the old state has been followed to its end, and numbers on which nothing
	// depended need not agree.
	enough likeness = iota
	// within: all numbers of the new state lie in those of the old one. What comes after the old state is
	// still being followed, so that what depends on them is unknown yet.
	within
	// same: they are the same numbers.
	same
)

// comparison is one of two states.
type comparison struct {
	how   likeness
	bytes bool // all bytes of stacks must hold the same kinds
	rules *kernels.Verifier
	links rights.Pairs
}

// difference is a register or a slot of a stack in which a state differs from others, whatever identities are. What follows from
// such a state only adds to what matters of it: so that it mattered when all was known counts from then on.
type difference struct {
	known, slot bool
	how         likeness
	precise     bool
	frame, at   uint8
	old         slot
}

// covers reports whether all that can happen from n can happen from s too, so that n need not be followed
// (states_equal).
func (x *explorer) covers(s, n *state, how likeness) bool {
	if len(s.frames) != len(n.frames) {
		return false
	}
	c := comparison{how: how, rules: x.rules, links: x.pairs[:0]}
	c.bytes = how == same || how == within && x.rules.ExactBytes && x.strict
	switch d := &s.differs; {
	case d[0].known && x.stillDiffer(&c, s, n, &d[0]):
		return false
	case d[1].known && x.stillDiffer(&c, s, n, &d[1]):
		d[0], d[1] = d[1], d[0]
		return false
	}
	if !s.held.Like(&n.held, &c.links) {
		return false
	}
	for i := len(s.frames) - 1; i >= 0; i-- {
		a, b := &s.frames[i], &n.frames[i]
		if a.fn != b.fn || a.ret != b.ret || a.callback != b.callback || a.iterations > b.iterations && !x.rules.CallbackOnce {
			return false
		}
		for left := x.matters(s, i); left != 0; left &= left - 1 {
			r := bits.TrailingZeros16(left)
			if !c.value(a.regs[r], b.regs[r], a.precise.Regs&(1<<r) != 0) {
				s.differ(difference{true, false, how, a.precise.Regs>>r&1 != 0, uint8(i), uint8(r), slot{spill: a.regs[r]}})
				return false
			}
		}
		if at, ok := c.stack(a, b, c.reads(s, a)); !ok {
			if at >= 0 {
				s.differ(difference{true, true, how, a.precise.Slots>>at&1 != 0, uint8(i), uint8(at), *a.stack.at(at)})
			}
			return false
		}
	}
	x.pairs = c.links[:0]
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
	if c.how != enough && !s.clean {
		return ^uint64(0)
	}
	return f.read
}

// differ notes a difference in place of the older one of two.
func (s *state) differ(d difference) { s.differs[0], s.differs[1] = d, s.differs[0] }

// stillDiffer reports whether two states differ where the old one differed from another. Most do, so that nothing else is looked at.
func (x *explorer) stillDiffer(c *comparison, s, n *state, d *difference) bool {
	precise := d.precise
	if d.how != enough {
		f := &s.frames[d.frame]
		if d.slot && c.reads(s, f)>>d.at&1 == 0 {
			return false
		}
		places := f.precise.Regs
		if d.slot {
			places = f.precise.Slots
		}
		precise = places>>d.at&1 != 0
	}
	f, same := &n.frames[d.frame], false
	if d.slot {
		now := f.slot(int(d.at))
		same = d.old == *now || c.slot(&d.old, now, precise)
	} else {
		same = d.old.spill == f.regs[d.at] || c.value(d.old.spill, f.regs[d.at], precise)
	}
	c.links = c.links[:0]
	return !same
}

// slot is a slot to be looked at.
func (f *frameState) slot(i int) *slot {
	if i < f.stack.n {
		return f.stack.at(i)
	}
	return &noSlot
}

// value is regsafe; precise says that something depends on the number.
func (c *comparison) value(v, n *value, precise bool) bool {
	if v == n && !v.identified() {
		return true
	}
	if v.kind == kindNone {
		return c.how != same || n.kind == kindNone
	}
	if v.kind != n.kind || v.orNull != n.orNull || v.locked != n.locked || v.typed != n.typed || v.traits != n.traits || v.size != n.size {
		return false
	}
	if v.ref|n.ref|v.dyn|n.dyn != 0 && !(c.links.Same(v.ref, n.ref) && c.links.Same(v.dyn, n.dyn)) {
		return false
	}
	if v.kind == kindNumber && c.how == enough && !precise {
		return true
	}
	if v.kind == kindPacket || v.kind == kindPacketMeta {
		if v.delta > n.delta || v.off != n.off || v.link != 0 && !c.links.Pair(v.link, n.link) || v.link == 0 && n.link != 0 {
			return false
		}
		return c.how == same && v.num == n.num || c.how != same && v.num.Contains(&n.num)
	}
	if v.link != 0 && !v.isConst() {
		if v.plus != n.plus || v.delta != n.delta || !c.links.PairOrNew(v.link, n.link) {
			return false
		}
	}
	if v.kind != kindNumber && (v.frame != n.frame || v.mapIdx != n.mapIdx || v.off != n.off) {
		return false
	}
	if c.how == same {
		return v.num == n.num
	}
	return v.num.Contains(&n.num)
}

// stack is stacksafe; read are the slots of the old state that matter. Where stacks differ at is the first slot that does, -1 if
// it is none of these alone.
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
			if a.stack.at(i).bytes != b.stack.at(i).bytes {
				return -1, false
			}
		}
	}
	for left := read; left != 0; left &= left - 1 {
		if i := bits.TrailingZeros64(left); !c.slot(a.stack.at(i), b.slot(i), a.precise.Slots&(1<<i) != 0) {
			return i, false
		}
	}
	return 0, true
}

func (c *comparison) slot(x, y *slot, precise bool) bool {
	if x.bytes == y.bytes && x.spill == y.spill && !x.spill.identified() {
		return true
	}
	if c.rules.SpillMisc && x.spill.kind == kindNumber {
		switch { // a load from bytes that may hold anything gives any number
		case x.bytes[7] == byteSpill && y.misc(8):
			return c.value(x.spill, &anything, precise)
		case c.rules.SpillMiscHalf && x.bytes[7] != byteSpill && x.bytes[3] == byteSpill && y.misc(4):
			return c.value(x.spill, &anything, precise) && c.kinds(x.bytes[4:], y.bytes[4:])
		}
	}
	k := x.bytes[0]
	return c.kinds(x.bytes[:], y.bytes[:]) && (k != byteSpill && k < byteDynptr || c.value(x.spill, y.spill, precise))
}

// kinds compares what bytes hold.
func (c *comparison) kinds(a, b []byteKind) bool {
	for i, k := range a {
		if k != b[i] && (k > byteMisc || b[i] >= byteDynptr) {
			return false
		}
	}
	return true
}

// misc reports whether the lower n bytes of a slot may hold anything, written or not.
func (s *slot) misc(n int) bool {
	for _, k := range s.bytes[:n] {
		if k > byteMisc {
			return false
		}
	}
	return true
}
