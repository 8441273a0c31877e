// SPDX-License-Identifier: GPL-2.0-only

package holds

import (
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/verify/rights"
)

// Likeness is how much of two states must agree (enum exact_level).
type Likeness uint8

// How much must agree.
const (
	// Enough: what comes after the old state has been followed to its end, and numbers on which nothing
	// depended need not agree.
	Enough Likeness = iota
	// Within: all numbers of the new state lie in those of the old one. What comes after the old state is
	// still being followed, so that what depends on them is unknown yet.
	Within
	// Same: they are the same numbers.
	Same
)

// Matching compares what two states hold.
type Matching struct {
	How   Likeness
	Rules *kernels.Verifier
	Links rights.Pairs // of the two states, as far as they were compared
}

// Value is regsafe; precise says that something depends on the number.
func (c *Matching) Value(v, n *Value, precise bool) bool {
	if v == n && !v.Identified() {
		return true
	}
	if v.Kind == None {
		return c.How != Same || n.Kind == None
	}
	if v.Kind != n.Kind || v.OrNull != n.OrNull || v.Locked != n.Locked || v.Typed != n.Typed || v.Traits != n.Traits || v.Size != n.Size {
		return false
	}
	if v.Ref|n.Ref|v.Dyn|n.Dyn != 0 && !(c.Links.Same(v.Ref, n.Ref) && c.Links.Same(v.Dyn, n.Dyn)) {
		return false
	}
	if v.Kind == Number && c.How == Enough && !precise {
		return true
	}
	if v.Kind == Packet || v.Kind == PacketMeta {
		if v.Delta > n.Delta || v.Off != n.Off || v.Link != 0 && !c.Links.Pair(v.Link, n.Link) || v.Link == 0 && n.Link != 0 {
			return false
		}
		return c.How == Same && v.Num == n.Num || c.How != Same && v.Num.Contains(&n.Num)
	}
	if v.Link != 0 && !v.IsConst() {
		if v.Plus != n.Plus || v.Delta != n.Delta || !c.Links.PairOrNew(v.Link, n.Link) {
			return false
		}
	}
	if v.Kind != Number && (v.Frame != n.Frame || v.Map != n.Map || v.Off != n.Off) {
		return false
	}
	if c.How == Same {
		return v.Num == n.Num
	}
	return v.Num.Contains(&n.Num)
}

// Slot is stacksafe of one slot.
func (c *Matching) Slot(x, y *Slot, precise bool) bool {
	if x.Bytes == y.Bytes && x.Spill == y.Spill && !x.Spill.Identified() {
		return true
	}
	if c.Rules.SpillMisc && x.Spill.Kind == Number {
		switch { // a load from bytes that may hold anything gives any number
		case x.Bytes[7] == ByteSpill && y.Misc(8):
			return c.Value(x.Spill, &Anything, precise)
		case c.Rules.SpillMiscHalf && x.Bytes[7] != ByteSpill && x.Bytes[3] == ByteSpill && y.Misc(4):
			return c.Value(x.Spill, &Anything, precise) && c.kinds(x.Bytes[4:], y.Bytes[4:])
		}
	}
	k := x.Bytes[0]
	return c.kinds(x.Bytes[:], y.Bytes[:]) && (k != ByteSpill && k < ByteDynptr || c.Value(x.Spill, y.Spill, precise))
}

// kinds compares what bytes hold.
func (c *Matching) kinds(a, b []Byte) bool {
	for i, k := range a {
		if k != b[i] && (k > ByteMisc || b[i] >= ByteDynptr) {
			return false
		}
	}
	return true
}
