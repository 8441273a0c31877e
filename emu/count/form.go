// SPDX-License-Identifier: GPL-2.0-only

package count

import (
	"cmp"
	"fmt"

	"github.com/tcsim/tcsim/jit/x86"
)

// locKind says what a loc names.
type locKind uint8

const (
	locReg   locKind = iota // a register
	locStack                // stack bytes, addressed from the rsp at entry of the call
	locMem                  // any other memory, by address
)

// loc names a location as of the entry of a call.
type loc struct {
	kind locKind
	reg  x86.Reg
	w    uint8  // bytes
	at   uint64 // address, or for locStack the (two's complement) distance from the entry rsp
}

func regLoc(r x86.Reg) loc { return loc{kind: locReg, reg: r, w: 8} }

// String returns rax, [rsp+16]:8 or [0xffff888100000000]:4.
func (l loc) String() string {
	switch l.kind {
	case locReg:
		return l.reg.String()
	case locStack:
		return fmt.Sprintf("[rsp%+d]:%d", int64(l.at), l.w)
	}
	return fmt.Sprintf("[%#x]:%d", l.at, l.w)
}

// addr is the address of a memory location for a call entered with the given rsp.
func (l loc) addr(rsp uint64) uint64 {
	if l.kind == locStack {
		return l.at + rsp
	}
	return l.at
}

func (l loc) compare(o loc) int {
	return cmp.Or(cmp.Compare(l.kind, o.kind), cmp.Compare(l.reg, o.reg), cmp.Compare(l.at, o.at), cmp.Compare(l.w, o.w))
}

// overlap reports whether two locations share a byte.
func (l loc) overlap(o loc) bool {
	if l.kind != o.kind {
		return false
	}
	if l.kind == locReg {
		return l.reg == o.reg
	}
	return l.at-o.at < uint64(o.w) || o.at-l.at < uint64(l.w)
}

// formKind says how a value depends on the state at entry of the call.
type formKind uint8

const (
	formConst formKind = iota // not at all, given the pins
	formRSP                   // entry rsp plus c
	formInput                 // value of in at entry plus c, modulo its width, zero-extended
)

// form says where a value came from. The zero value is a constant. The value itself is always
// known: the machine holds it.
type form struct {
	kind formKind
	// low says that only the low in.w bytes are as described: a sum may have carried out of them.
	low bool
	// wide says of a low value that it is the input, zero-extended, plus c in so many bytes; 0 if
	// that is not known.
	wide uint8
	in   loc
	c    uint64
}

func input(l loc) form { return form{kind: formInput, in: l} }

// plus returns the form of the value plus d, if sums are computed with w bytes.
func (f form) plus(d uint64, w uint8) form {
	if f.kind == formConst {
		return f
	}
	if f.kind == formInput && f.in.w < w {
		if f.low && f.wide != w || !f.low && f.c != 0 { // a sum before this one was of another width
			w = 0
		}
		f.low, f.wide = true, w
	}
	f.c += d
	return f
}

// mask keeps the low w bytes of v.
func mask(v uint64, w uint8) uint64 {
	if w >= 8 {
		return v
	}
	return v & (1<<(8*w) - 1)
}

// operand is a value with its form.
type operand struct {
	f form
	v uint64
}

func constant(v uint64) operand { return operand{v: v} }

// input returns what the location that the form names held at entry.
func (o operand) input() uint64 { return mask(o.v-o.f.c, o.f.in.w) }
