// SPDX-License-Identifier: GPL-2.0-only

package verify

import (
	"math/bits"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/verify/holds"
	"github.com/tcsim/tcsim/jit/verify/origin"
)

// needs notes that what is found out depends on the number in a register of the top frame: the number, and
// all that it comes from, count when states are compared (mark_chain_precision).
func (x *explorer) needs(s *state, reg uint8) {
	if f := s.top(); f.regs[reg].Kind != holds.Number || s.parent == nil {
		return
	}
	x.mask.Reset()
	x.mask.Add(len(s.frames)-1, int(reg))
	x.walkBack(s, &x.mask)
}

// walkBack follows marks from the end of a path to where their numbers come from.
func (x *explorer) walkBack(s *state, m *origin.Marks) {
	if m.Empty() {
		return
	}
	depth := len(s.frames) - 1
	for at := s.at; ; {
		for at = x.origins.Skip(at, s.from, depth, m); at != s.from; at = x.origins.Skip(at, s.from, depth, m) {
			step, before := x.origins.Before(at)
			if x.rules.CoarsePrecision && depth != int(step.Depth) {
				x.markAll(s)
				return
			}
			x.origins.Back(step, depth, m)
			depth, at = int(step.Depth), before
			if m.Empty() {
				return
			}
		}
		if s = s.parent; s == nil {
			return
		}
		if x.mark(s, m); m.Empty() {
			return
		}
	}
}

// mark marks what is a number in a checkpoint; what is not a number, or is marked already, has no other origin.
func (x *explorer) mark(s *state, m *origin.Marks) {
	for frames := m.Frames(); frames != 0; frames &= frames - 1 {
		i := bits.TrailingZeros32(frames)
		a := m.At(i)
		if i >= len(s.frames) {
			*a = origin.Places{}
			continue
		}
		f := &s.frames[i]
		a.Regs = f.numbers(a.Regs &^ f.precise.Regs)
		a.Slots = f.spilledNumbers(a.Slots &^ f.precise.Slots)
		x.markPlaces(f, *a)
	}
}

// markAll marks every number in all checkpoints that a path has passed.
func (x *explorer) markAll(s *state) {
	for s = s.parent; s != nil; s = s.parent {
		for i := range s.frames {
			f := &s.frames[i]
			x.markPlaces(f, origin.Places{Regs: f.numbers(1<<numRegs-1) &^ f.precise.Regs, Slots: f.spilledNumbers(^uint64(0)) &^ f.precise.Slots})
		}
	}
}

func (x *explorer) markPlaces(f *frameState, p origin.Places) {
	if p != (origin.Places{}) {
		f.precise.Regs |= p.Regs
		f.precise.Slots |= p.Slots
		x.news = true
	}
}

// noteLinks notes which values learn from the two operands of a jump (collect_linked_regs).
func (x *explorer) noteLinks(s *state, a, b *holds.Value) {
	l, k := a.Link, b.Link
	if a.Kind != holds.Number {
		l = 0
	}
	if b.Kind != holds.Number {
		k = 0
	}
	if l == 0 && k == 0 {
		return
	}
	var group []origin.Linked
	n := 0
	for i := range s.frames {
		f := &s.frames[i]
		g := origin.Linked{Frame: uint8(i)}
		for regs := f.linked; regs != 0; regs &= regs - 1 {
			r := bits.TrailingZeros16(regs)
			if v := f.regs[r]; v.Link != 0 && v.Kind == holds.Number && (v.Link == l || v.Link == k) {
				g.Regs |= 1 << r
				n++
			}
		}
		for p := 0; p*pageSlots < f.stack.n; p++ {
			for ids := f.stack.identified(p); ids != 0; ids &= ids - 1 {
				j := p*pageSlots + bits.TrailingZeros8(ids)
				if v := f.stack.at(j); v.Bytes[0] == holds.ByteSpill && v.Spill.Link != 0 && v.Spill.Kind == holds.Number && (v.Spill.Link == l || v.Spill.Link == k) {
					g.Slots |= 1 << j
					n++
				}
			}
		}
		if g.Regs|g.Slots != 0 {
			group = append(group, g)
		}
	}
	if n > 1 {
		x.origins.Groups = append(x.origins.Groups, group)
		x.now.Linked = int32(len(x.origins.Groups))
	}
}

// reads notes that slots of a frame are read, by bit: they matter in the checkpoints up to where they were
// written (mark_reg_read).
func (x *explorer) reads(s *state, frame int, slots uint64) {
	if c := s.top().call; c != nil {
		c.Read(frame, bpf.InsnIndex(x.now.PC), slots)
		return
	}
	for {
		if slots &^= s.frames[frame].written; slots == 0 || frame >= s.shared || s.parent == nil {
			return
		}
		s = s.parent
		f := &s.frames[frame]
		if slots &^= f.read; slots == 0 {
			return
		}
		f.read |= slots
		x.news = true
	}
}
