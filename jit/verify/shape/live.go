// SPDX-License-Identifier: GPL-2.0-only

package shape

import (
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/verify/form"
)

// Registers are what is known of a program's registers at a slot, by bit.
type Registers struct {
	// Reads and Writes are those that the instruction reads, a helper its arguments, and writes.
	Reads, Writes uint16
	// Live are those that are read after the slot is reached and before they are written.
	Live uint16
}

// FindLive finds the registers of each slot.
func FindLive(p *bpf.Program, callees []*Callee) []Registers {
	out := make([]Registers, len(p.Insns))
	for i, in := range p.Insns {
		r := &out[i]
		r.Reads, r.Writes = in.RegUse()
		if c := callees[i]; c != nil && c.Known {
			r.Reads = 1<<(len(c.Args)+1) - 2
		}
	}
	for changed := true; changed; {
		changed = false
		for i := bpf.InsnIndex(len(p.Insns)) - 1; i >= 0; i-- {
			if i > 0 && p.Insns[i].Op == 0 && p.Insns[i-1].IsLdImm64() {
				continue
			}
			fall, to, ok := form.Flow(p.Insns, i)
			var live uint16
			if ok {
				live = out[to].Live
			}
			if n := i + p.Insns[i].Width(); fall && int(n) < len(out) {
				live |= out[n].Live
			}
			r := &out[i]
			if live = live&^r.Writes | r.Reads; live != r.Live {
				r.Live, changed = live, true
			}
		}
	}
	return out
}
