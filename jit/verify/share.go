// SPDX-License-Identifier: GPL-2.0-only

package verify

import (
	"math/bits"
	"sync"

	"github.com/tcsim/tcsim/jit/verify/holds"
	"github.com/tcsim/tcsim/jit/verify/origin"
	"github.com/tcsim/tcsim/jit/verify/spare"
)

// States share what they have in common: values of registers and of spilled slots, and pages of stacks. Who writes to what is
// lent copies it first.

// own returns a register to be changed.
func (f *frameState) own(r uint8) *holds.Value {
	if f.lent>>r&1 != 0 {
		f.regs[r] = f.stack.mem.value(f.regs[r])
		f.lent &^= 1 << r
	}
	f.linked |= 1 << r
	return f.regs[r]
}

// set writes a register.
func (f *frameState) set(r uint8, v holds.Value) {
	if v == holds.Anything {
		f.refer(r, &holds.Anything)
		return
	}
	*f.fresh(r) = v
	f.notes(r)
}

// fresh is a register to be written as a whole, and noted then.
func (f *frameState) fresh(r uint8) *holds.Value {
	if f.lent>>r&1 != 0 {
		f.regs[r] = f.stack.mem.values.Take()
		f.lent &^= 1 << r
	}
	return f.regs[r]
}

// notes notes whether a register has identities.
func (f *frameState) notes(r uint8) {
	if f.linked &^= 1 << r; f.regs[r].Identified() {
		f.linked |= 1 << r
	}
}

// lend returns a register's value for something else to refer to.
func (f *frameState) lend(r uint8) *holds.Value {
	f.lent |= 1 << r
	return f.regs[r]
}

// refer makes a register a value that is lent.
func (f *frameState) refer(r uint8, v *holds.Value) {
	if f.lent>>r&1 == 0 {
		f.stack.mem.values.Keep(f.regs[r])
	}
	f.regs[r] = v
	f.lent |= 1 << r
	f.notes(r)
}

// called forgets the registers that a call does not keep.
func (f *frameState) called() {
	for r := range uint8(6) {
		f.refer(r, &holds.Unwritten)
	}
}

// pageSlots is how many slots are copied together.
const pageSlots = 8

type page struct {
	slots [pageSlots]holds.Slot
	// ids are the slots, by bit, whose values have links, references or dynptrs, if that is known.
	ids   uint8
	known bool
}

// noPage are slots that were never written to.
var noPage = emptyPage()

func emptyPage() (p page) {
	for i := range p.slots {
		p.slots[i].Spill = &holds.Unwritten
	}
	return p
}

// stack is the stack of a function: slot i is at r10-8*(i+1).
type stack struct {
	n     int // slots
	pages [maxStack / 8 / pageSlots]*page
	lent  uint8 // pages that other states have, too, by bit
	plain uint8 // pages without identities, by bit, as far as that was looked for
	mem   *memories
}

// at is a slot to be looked at.
func (k *stack) at(i int) *holds.Slot { return &k.pages[i/pageSlots].slots[i%pageSlots] }

// own is a slot to be written to.
func (k *stack) own(i int) *holds.Slot {
	p := i / pageSlots
	if k.lent>>p&1 != 0 {
		k.pages[p] = k.mem.page(k.pages[p])
		k.lent &^= 1 << p
	}
	k.plain &^= 1 << p
	k.pages[p].known = false
	return &k.pages[p].slots[i%pageSlots]
}

// identified are the slots of a page, by bit, whose values have links, references or dynptrs.
func (k *stack) identified(p int) uint8 {
	if k.plain>>p&1 != 0 {
		return 0
	}
	g := k.pages[p]
	if !g.known {
		g.ids, g.known = 0, true
		for i := range g.slots {
			if g.slots[i].Spill.Identified() {
				g.ids |= 1 << i
			}
		}
	}
	if g.ids == 0 {
		k.plain |= 1 << p
	}
	return g.ids
}

// grow makes the stack at least n slots deep.
func (k *stack) grow(n int) {
	for p := 0; p*pageSlots < n; p++ {
		if k.pages[p] == nil {
			k.pages[p] = k.mem.page(&noPage)
		}
	}
	k.n = max(k.n, n)
}

// memories is the memory of states that nothing refers to any more, which new ones take.
type memories struct {
	states spare.List[state]
	values spare.List[holds.Value]
	pages  spare.List[page]
	walk   origin.Walk
	last   int // checkpoint, by number
}

// spares is the memory of explorations that are over, which the next one takes.
var spares = sync.Pool{New: func() any { return new(memories) }}

// value returns a copy.
func (m *memories) value(from *holds.Value) *holds.Value {
	v := m.values.Take()
	*v = *from
	return v
}

// page returns a copy.
func (m *memories) page(from *page) *page {
	p := m.pages.Take()
	*p = *from
	return p
}

// frame begins a function with nothing in its registers.
func (m *memories) frame(fn int) frameState {
	f := frameState{fn: fn, lent: allRegs, stack: stack{mem: m}}
	for r := range f.regs {
		f.regs[r] = &holds.Unwritten
	}
	return f
}

// clone copies a state.
func (m *memories) clone(s *state) *state {
	c := m.states.Take()
	if c.frames = c.frames[:0]; cap(c.frames) == 0 {
		c.frames = c.own[:0]
	}
	for i := range s.frames {
		f := &s.frames[i]
		f.lent = allRegs
		f.stack.lent = 1<<len(f.stack.pages) - 1
		c.frames = append(c.frames, *f)
		c.frames[i].read, c.frames[i].precise = 0, origin.Places{}
	}
	c.pc, c.held = s.pc, s.held
	c.path = path{parent: s.parent.use(), shared: s.shared, at: s.at, from: s.from, depth: s.depth, rounds: s.rounds, history: s.history}
	return c
}

// use notes one more that refers to a checkpoint, and returns it.
func (s *state) use() *state {
	if s != nil {
		s.users++
	}
	return s
}

// release takes the memory of a path that is over.
func (m *memories) release(s *state) {
	parent := s.parent
	m.free(s)
	m.done(parent)
}

// done is one less that refers to a checkpoint. Of one that nothing but the list of its instruction refers to, the path that led
// there is over.
func (m *memories) done(s *state) {
	for s != nil {
		if s.users--; s.users > 0 {
			return
		}
		parent := s.parent
		if s.parent = nil; !s.listed {
			m.free(s)
		}
		s = parent
	}
}

// free takes the memory of a state that nothing refers to any more.
func (m *memories) free(s *state) {
	for i := range s.frames {
		m.drop(&s.frames[i])
	}
	s.frames = s.frames[:0]
	m.states.Keep(s)
}

// drop takes the memory of a frame that is its own.
func (m *memories) drop(f *frameState) {
	for own := ^f.lent & allRegs; own != 0; own &= own - 1 {
		m.values.Keep(f.regs[bits.TrailingZeros16(own)])
	}
	for p := 0; p*pageSlots < f.stack.n; p++ {
		if f.stack.lent>>p&1 == 0 {
			m.pages.Keep(f.stack.pages[p])
		}
	}
}
