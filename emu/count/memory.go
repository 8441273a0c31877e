// SPDX-License-Identifier: GPL-2.0-only

package count

import "github.com/tcsim/tcsim/jit/x86"

// memory reads the machine's memory and knows which of it is the stack.
type memory struct {
	cpu    CPU
	lo, hi uint64 // the kernel stack
	err    error  // of the first failed access
}

// inStack reports whether a is a stack address.
func (m *memory) inStack(a uint64) bool { return a >= m.lo && a < m.hi }

// peek returns w bytes at a, zero-extended; 0 if they are not mapped, which err remembers.
func (m *memory) peek(a uint64, w uint8) uint64 {
	v, err := m.cpu.Load(a, w)
	if err != nil && m.err == nil {
		m.err = err
	}
	return v
}

// value reads a location of a call that is entered with the registers r; ok is false if it is not
// mapped.
func (m *memory) value(l loc, r *Regs) (v uint64, ok bool) {
	if l.kind == locReg {
		return r.R[l.reg], true
	}
	v, err := m.cpu.Load(l.addr(r.R[x86.RSP]), l.w)
	return v, err == nil
}

// cell is a written piece of memory. A byte belongs to at most one cell.
type cell struct {
	at uint64 // address
	w  uint8
	f  form
	v  uint64 // what it holds; unknown here if f is a constant
}

// word is 8 aligned bytes of memory.
type word [8]*cell

// cells are the pieces of memory that a frame has written, by the number of the word.
type cells map[uint64]*word

// at returns the cell that holds the byte at a, nil if it was not written.
func (c cells) at(a uint64) *cell {
	if w := c[a>>3]; w != nil {
		return w[a&7]
	}
	return nil
}

// set makes the bytes of n belong to n.
func (c cells) set(n *cell) {
	for i := uint64(0); i < uint64(n.w); {
		a := n.at + i
		w := c[a>>3]
		if w == nil {
			w = new(word)
			c[a>>3] = w
		}
		for k := a & 7; k < 8 && i < uint64(n.w); k++ {
			w[k] = n
			i++
		}
	}
}
