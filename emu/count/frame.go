// SPDX-License-Identifier: GPL-2.0-only

package count

import (
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// pin is the value that a location must have at entry: rel means as a distance from the entry rsp.
type pin struct {
	v   uint64
	rel bool
}

// frame follows one call, or one round of a loop, from its entry on.
type frame struct {
	c   *counter
	fn  *fn
	rsp uint64 // at entry

	pins   map[loc]pin
	pinRSP bool // the entry rsp itself is pinned
	regs   [16]form
	mem    cells

	// flags are the operands that the status flags come from, to be pinned when the flags are read.
	// noFlags says that it is not known where they come from.
	flags   [2]operand
	noFlags bool

	low, high uint64 // the lowest rsp, and the end of the stack bytes that were used
	opaque    bool   // something was done that a summary cannot express
	t         tally
	landing   image.Addr // of a round: where it began; 0 for a call
	tails     uint64     // tail calls taken directly in this frame
	onPath    int        // how many calls of Config.Find are active with this one, plus 1; 0 if this is none of them
}

func (c *counter) newFrame(f *fn) *frame {
	rsp := c.r.R[x86.RSP]
	fr := &frame{c: c, fn: f, rsp: rsp, low: rsp, high: rsp, pins: map[loc]pin{}, mem: cells{}, noFlags: true}
	for r := range fr.regs {
		fr.regs[r] = input(regLoc(x86.Reg(r)))
	}
	fr.regs[x86.RSP] = form{kind: formRSP}
	fr.t.starts = make([]num, len(c.code.fns))
	return fr
}

// pin requires what the operand's form describes to have the value it has now.
func (fr *frame) pin(o operand) {
	switch o.f.kind {
	case formRSP:
		fr.pinRSP = true
	case formInput:
		fr.require(o.f.in, o.input(), false)
	}
}

// require records a precondition on a location of the entry state.
func (fr *frame) require(l loc, v uint64, rel bool) {
	old, ok := fr.pins[l]
	switch {
	case !ok:
		if drop := fr.c.cfg.DropPin; drop == nil || !drop(l.String()) {
			fr.pins[l] = pin{v, rel}
		}
	case old.rel != rel: // its value and its distance from rsp: so rsp is what it is
		fr.pinRSP = true
	}
}

// address turns an operand used as an address into its form: a constant or the entry rsp plus a
// constant. An input that points into the stack is pinned as a distance, any other to its value.
func (fr *frame) address(o operand) form {
	switch {
	case o.f.kind != formInput:
		return o.f
	case o.f.in.w == 8 && fr.c.mem.inStack(o.v):
		fr.require(o.f.in, o.input()-fr.rsp, true)
		return form{kind: formRSP, c: o.v - fr.rsp}
	}
	fr.pin(o)
	return form{}
}

// reach says that w bytes at a are used through an address of form f. What is in the stack moves
// with the entry rsp and what is elsewhere does not, unless rsp is pinned.
func (fr *frame) reach(f form, a uint64, w uint8) {
	in := fr.c.mem.inStack(a)
	if in != (f.kind == formRSP) {
		fr.pinRSP = true
	}
	if end := a + uint64(w); in && end > fr.high {
		fr.high = end
	}
}

// locAt names w bytes of memory at an address as of the entry of the call.
func (fr *frame) locAt(a uint64, w uint8) loc {
	if fr.c.mem.inStack(a) {
		return loc{kind: locStack, w: w, at: a - fr.rsp}
	}
	return loc{kind: locMem, w: w, at: a}
}

// load returns the form of w bytes at address a that hold v. Pieces of differently sized writes
// are pinned.
func (fr *frame) load(a uint64, w uint8, v uint64) form {
	first := fr.mem.at(a)
	if first != nil && first.at == a && first.w == w {
		return first.f
	}
	whole := first == nil
	for i := uint64(1); i < uint64(w) && whole; i++ {
		whole = fr.mem.at(a+i) == nil
	}
	if whole {
		return input(fr.locAt(a, w))
	}
	for i := uint64(0); i < uint64(w); i++ {
		if c := fr.mem.at(a + i); c != nil {
			fr.pinCell(c)
			continue
		}
		fr.require(fr.locAt(a+i, 1), v>>(8*i)&0xff, false)
	}
	return form{}
}

// pinCell pins what a cell was computed from and makes it a constant.
func (fr *frame) pinCell(c *cell) {
	fr.pin(operand{c.f, c.v})
	c.f = form{}
}

// store records a write of w bytes at a. Cells that it cuts become constants.
func (fr *frame) store(a uint64, w uint8, o operand) {
	if c := fr.mem.at(a); c != nil && c.at == a && c.w == w {
		c.f, c.v = o.f, o.v
		return
	}
	for i := uint64(0); i < uint64(w); i++ {
		if c := fr.mem.at(a + i); c != nil && (c.at < a || c.at+uint64(c.w) > a+uint64(w)) {
			fr.split(c)
		}
	}
	fr.mem.set(&cell{at: a, w: w, f: o.f, v: o.v})
}

// split replaces a cell by constant bytes.
func (fr *frame) split(c *cell) {
	fr.pinCell(c)
	for i := uint64(0); i < uint64(c.w); i++ {
		fr.mem.set(&cell{at: c.at + i, w: 1})
	}
}
