// SPDX-License-Identifier: GPL-2.0-only

package rewrite

import "github.com/tcsim/tcsim/jit/bpf"

// findWide computes which registers are read in full, not only their lower halves, before they are
// written, per slot of the program without its dead code (mark_reg_read with REG_LIVE_READ64).
func (w *rewriter) findWide() []uint16 {
	wide := make([]uint16, len(w.items))
	at := func(i bpf.InsnIndex) uint16 {
		if i = w.first(i); int(i) < len(wide) {
			return wide[i]
		}
		return 0
	}
	for changed := true; changed; {
		changed = false
		for i := bpf.InsnIndex(len(w.items)) - 1; i >= 0; i-- {
			it := &w.items[i]
			if !it.live || i > 0 && it.in.Op == 0 && w.p.Insns[i-1].IsLdImm64() {
				continue
			}
			var out uint16
			if it.to >= 0 {
				out |= at(it.to)
			}
			if it.falls() {
				out |= at(i + it.in.Width())
			}
			_, writes := it.in.RegUse()
			if n := out&^writes | it.in.WideReads(); n != wide[i] {
				wide[i] = n
				changed = true
			}
		}
	}
	return wide
}

// falls reports whether control can go on to the next instruction.
func (it *item) falls() bool {
	if it.in.Op == bpf.OpExit {
		return false
	}
	return it.to < 0 || it.in.Op&0xf0 != bpf.JmpJA
}
