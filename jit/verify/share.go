// SPDX-License-Identifier: GPL-2.0-only

package verify

import (
	"sync"

	"github.com/tcsim/tcsim/jit/verify/origin"
	"github.com/tcsim/tcsim/jit/verify/rights"
)

// States share what they have in common: the registers of functions that wait for a call to return, and pages of stacks. Who
// writes to what is lent copies it first. The registers of a state's last frame are its own.

// registers are those of a frame.
type registers [numRegs]value

// own returns the registers to be written to.
func (f *frameState) own() *registers {
	if f.lent {
		f.regs, f.lent = f.stack.mem.registers(f.regs), false
	}
	return f.regs
}

// pageSlots is how many slots are copied together.
const pageSlots = 8

type page struct {
	slots [pageSlots]slot
	ids   ids
}

// ids says whether values in a page have links, references or dynptrs: 0 if that was not looked for since it was written to.
type ids uint8

const (
	withoutIDs ids = iota + 1
	withIDs
)

// stack is the stack of a function: slot i is at r10-8*(i+1).
type stack struct {
	n     int // slots
	pages [maxStack / 8 / pageSlots]*page
	lent  uint8 // pages that other states have, too, by bit
	mem   *memories
}

// at is a slot to be looked at.
func (k *stack) at(i int) *slot { return &k.pages[i/pageSlots].slots[i%pageSlots] }

// own is a slot to be written to.
func (k *stack) own(i int) *slot {
	p := i / pageSlots
	if k.lent>>p&1 != 0 {
		k.pages[p] = k.mem.page(k.pages[p])
		k.lent &^= 1 << p
	}
	k.pages[p].ids = 0
	return &k.pages[p].slots[i%pageSlots]
}

// identified reports whether values in a page may have links, references or dynptrs.
func (k *stack) identified(p int) bool {
	g := k.pages[p]
	if g.ids == 0 {
		g.ids = withoutIDs
		for i := range g.slots {
			if v := &g.slots[i].spill; v.link|v.ref|v.dyn != 0 {
				g.ids = withIDs
			}
		}
	}
	return g.ids == withIDs
}

// grow makes the stack at least n slots deep.
func (k *stack) grow(n int) {
	for p := 0; p*pageSlots < n; p++ {
		if k.pages[p] == nil {
			k.pages[p] = k.mem.page(&page{})
		}
	}
	k.n = max(k.n, n)
}

// memories is the memory of states that nothing refers to any more, which new ones take.
type memories struct {
	states []*state
	regs   []*registers
	pages  []*page
	walk   origin.Walk
}

// spares is the memory of explorations that are over, which the next one takes.
var spares = sync.Pool{New: func() any { return new(memories) }}

// maxSpares is how much is kept of each kind.
const maxSpares = 512

// take takes the last of a list, which gets some more if it is empty.
func take[T any](list *[]*T) *T {
	if len(*list) == 0 {
		some := make([]T, 16)
		for i := range some {
			*list = append(*list, &some[i])
		}
	}
	n := len(*list) - 1
	t := (*list)[n]
	*list = (*list)[:n]
	return t
}

func keep[T any](list *[]T, t T) {
	if len(*list) < maxSpares {
		*list = append(*list, t)
	}
}

// registers returns a copy.
func (m *memories) registers(from *registers) *registers {
	r := take(&m.regs)
	*r = *from
	return r
}

// page returns a copy.
func (m *memories) page(from *page) *page {
	p := take(&m.pages)
	*p = *from
	return p
}

// frame begins a function with nothing in its registers.
func (m *memories) frame(fn int) frameState {
	return frameState{fn: fn, regs: m.registers(&registers{}), stack: stack{mem: m}}
}

// clone copies a state.
func (m *memories) clone(s *state) *state {
	c := take(&m.states)
	if c.frames == nil {
		c.frames = c.own[:0]
	}
	for i := range s.frames {
		f := &s.frames[i]
		f.lent = i < len(s.frames)-1
		f.stack.lent = 1<<len(f.stack.pages) - 1
		c.frames = append(c.frames, *f)
		c.frames[i].read, c.frames[i].precise = 0, origin.Places{}
	}
	top := c.top()
	top.regs = m.registers(top.regs)
	c.pc, c.held = s.pc, s.held
	c.path = path{parent: s.parent, shared: s.shared, at: s.at, from: s.from, depth: s.depth, rounds: s.rounds, history: s.history}
	return c
}

// release takes the memory of a state that nothing refers to any more.
func (m *memories) release(s *state) {
	for i := range s.frames {
		m.drop(&s.frames[i])
	}
	s.frames, s.held, s.path = s.frames[:0], rights.Held{}, path{}
	keep(&m.states, s)
}

// drop takes the memory of a frame that is its own.
func (m *memories) drop(f *frameState) {
	if !f.lent {
		keep(&m.regs, f.regs)
	}
	for i, p := range f.stack.pages {
		if p != nil && f.stack.lent>>i&1 == 0 {
			keep(&m.pages, p)
		}
	}
	*f = frameState{}
}
