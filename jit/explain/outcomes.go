// SPDX-License-Identifier: GPL-2.0-only

package explain

import (
	"maps"

	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// outcomes are what executing a piece has shown of it: each condition true and false, each flag that is left set and clear.
type outcomes struct {
	conds  map[image.Addr]uint8 // by instruction with a condition: bit 0 for false, bit 1 for true
	writes x86.Flags            // what the piece writes
	used   x86.Flags            // of that, what is used after it
	set    x86.Flags
	clear  x86.Flags
}

// both says that something was seen both ways.
const both = 3

// outcomes begins to look at the instructions [lo, hi).
func (c *comparison) outcomes(l *listing, lo, hi int) *outcomes {
	o := &outcomes{conds: map[image.Addr]uint8{}}
	for i := lo; i < hi; i++ {
		in := &l.insns[i]
		if o.writes |= in.WritesFlags & x86.FlagsStatus; in.Cond != x86.CondNone {
			o.conds[in.PC] = 0
		}
	}
	return o
}

// decided notes which way a condition went.
func (o *outcomes) decided(in *x86.Inst, is bool) {
	if o == nil {
		return
	}
	if seen, ok := o.conds[in.PC]; ok {
		way := uint8(1)
		if is {
			way = 2
		}
		o.conds[in.PC] = seen | way
	}
}

// left notes the flags at the end, of which some are used.
func (o *outcomes) left(f x86.Flags, live set) {
	o.used |= o.writes & x86.Flags(live>>flagsAt)
	o.set |= f
	o.clear |= ^f
}

// all reports whether everything was seen both ways.
func (o *outcomes) all() bool {
	for _, seen := range o.conds {
		if seen != both {
			return false
		}
	}
	return o.set&o.clear&o.used == o.used
}

// compares reports whether one of two pieces decides something by a flag, or leaves one for what decides.
func (o *outcomes) compares(p *outcomes) bool {
	return len(o.conds) > 0 || len(p.conds) > 0 || o.used != 0 || p.used != 0
}

// like reports whether two pieces have shown the same: what is always so in both needs no other way.
func (o *outcomes) like(p *outcomes) bool {
	if o.set&o.used != p.set&p.used || o.clear&o.used != p.clear&p.used || len(o.conds) != len(p.conds) {
		return false
	}
	count := map[uint8]int{}
	for seen := range maps.Values(o.conds) {
		count[seen]++
	}
	for seen := range maps.Values(p.conds) {
		count[seen]--
	}
	for _, n := range count {
		if n != 0 {
			return false
		}
	}
	return true
}
