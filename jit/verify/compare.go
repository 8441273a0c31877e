// SPDX-License-Identifier: GPL-2.0-only

package verify

import "github.com/tcsim/tcsim/jit/verify/rights"

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
	links rights.Pairs
}

// covers reports whether all that can happen from n can happen from s too, so that n need not be followed
// (states_equal).
func (x *explorer) covers(s, n *state, how likeness) bool {
	if len(s.frames) != len(n.frames) {
		return false
	}
	c := comparison{how: how, links: x.pairs[:0]}
	if !s.held.Like(&n.held, c.links.Same) {
		return false
	}
	for i := len(s.frames) - 1; i >= 0; i-- {
		a, b := &s.frames[i], &n.frames[i]
		if a.fn != b.fn || a.ret != b.ret || a.callback != b.callback || a.iterations > b.iterations && !x.rules.CallbackOnce {
			return false
		}
		regs := x.liveIn[s.pc]
		if i+1 < len(s.frames) {
			regs = x.liveIn[s.frames[i+1].ret]
			if !s.frames[i+1].again {
				regs &^= 1<<6 - 1 // r0 to r5 are lost
			}
		}
		for r := range a.regs {
			if regs&(1<<r) != 0 && !c.value(&a.regs[r], &b.regs[r]) {
				return false
			}
		}
		read := a.read
		if how != enough {
			read = ^uint64(0)
		}
		if !c.stack(a.stack, b.stack, read) {
			return false
		}
	}
	x.pairs = c.links[:0]
	return true
}

// value is regsafe.
func (c *comparison) value(v, n *value) bool {
	if v.kind == kindNone {
		return c.how != same || n.kind == kindNone
	}
	if v.kind != n.kind || v.orNull != n.orNull || v.locked != n.locked || v.typed != n.typed || v.traits != n.traits || v.size != n.size {
		return false
	}
	if v.ref|n.ref|v.dyn|n.dyn != 0 && !(c.links.Same(v.ref, n.ref) && c.links.Same(v.dyn, n.dyn)) {
		return false
	}
	if v.kind == kindNumber && c.how == enough && !v.precise {
		return true
	}
	if v.kind == kindPacket || v.kind == kindPacketMeta {
		if v.delta > n.delta || v.off != n.off || v.link != 0 && !c.links.Pair(v.link, n.link) || v.link == 0 && n.link != 0 {
			return false
		}
		return c.how == same && v.num == n.num || c.how != same && v.num.Contains(&n.num)
	}
	if v.link != 0 && !v.isConst() {
		if n.link == 0 || !c.links.Pair(v.link, n.link) || v.plus != n.plus || v.delta != n.delta {
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

// stack is stacksafe; read are the slots of the old state that matter.
func (c *comparison) stack(a, b []slot, read uint64) bool {
	for i := range a {
		if read&(1<<i) == 0 {
			continue
		}
		x := &a[i]
		if i >= len(b) {
			for _, k := range x.bytes {
				if k != byteNone && k != byteMisc {
					return false
				}
			}
			continue
		}
		y := &b[i]
		for j, k := range x.bytes {
			switch {
			case k == y.bytes[j]:
			case c.how == same:
				return false
			case (k == byteNone || k == byteMisc) && y.bytes[j] < byteDynptr:
			default:
				return false
			}
		}
		if k := x.bytes[0]; (k == byteSpill || k >= byteDynptr) && !c.value(&x.spill, &y.spill) {
			return false
		}
	}
	return c.how != same || len(a) == len(b)
}
