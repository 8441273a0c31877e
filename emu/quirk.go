// SPDX-License-Identifier: GPL-2.0-only

package emu

/*
#include "engine.h"
*/
import "C"

import (
	"cmp"
	"errors"
	"slices"
	"unsafe"

	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// Where the engine (libunicorn 2.1) is not the hardware. Two forms that kernels emit are mended around it:
//
//   - A 32-bit cmpxchg whose comparison holds clears the upper half of rax, which processors keep: it is
//     put back at the next instruction.
//   - A signed division of 16 or 32 bits whose result is too large by the smallest dividend and -1 is a
//     division error of the host, and ends the process: it is a fault before the engine sees it.
//
// Other forms are refused by name. The differential test in emu/differ looks for more.

// What is done about an instruction.
const (
	quirkNone      = C.TCS_QUIRK_NONE
	quirkCmpxchg32 = C.TCS_QUIRK_CMPXCHG32
	quirkIdiv16    = C.TCS_QUIRK_IDIV16
	quirkIdiv32    = C.TCS_QUIRK_IDIV32
)

// prefixed is an instruction without its prefixes.
type prefixed struct {
	op       []byte // from the opcode on, REX left out; VEX is an opcode
	lock, gs bool
	rexR     bool // REX.R, which says nothing where the middle of ModRM is part of the opcode
	segments int  // how many segment prefixes there are
}

func splitPrefixes(code []byte) (p prefixed) {
	for i, b := range code[:min(len(code), x86.MaxInstLen)] {
		switch b {
		case 0xf0:
			p.lock = true
		case 0x65:
			p.gs = true
			p.segments++
		case 0x26, 0x2e, 0x36, 0x3e, 0x64:
			p.segments++
		case 0x66, 0x67, 0xf2, 0xf3:
		default:
			if b&0xf0 == 0x40 && i+1 < len(code) {
				p.rexR = b&4 != 0
				i++
			}
			p.op = code[i:]
			return p
		}
	}
	return p
}

// digit is the middle of the ModRM byte at an offset of the opcode, which says what some opcodes do.
func (p *prefixed) digit(off int) byte {
	if off >= len(p.op) {
		return 0xff
	}
	return p.op[off] >> 3 & 7
}

// ripRelative says the same of the address that the byte gives.
func (p *prefixed) ripRelative(off int) bool { return off < len(p.op) && p.op[off]&0xc7 == 0x05 }

// begins reports whether the instruction has an opcode.
func (p *prefixed) begins(op ...byte) bool {
	return len(p.op) > len(op) && slices.Equal(p.op[:len(op)], op)
}

// vex is the opcode of an instruction with the three-byte VEX prefix: its map, prefix and byte.
type vex struct {
	m, pp, op byte
	wide      bool
}

func (p *prefixed) vex() vex {
	if !p.begins(0xc4) || len(p.op) < 5 {
		return vex{}
	}
	return vex{p.op[1] & 0x1f, p.op[2] & 3, p.op[3], p.op[2]&0x80 != 0}
}

// refusedForm names what the engine gets wrong of an instruction and the machine does not mend; "" is
// nothing. Flags are wrong after lock neg, cmpxchg8b and blsi; bzhi and bextr do not see an index as large
// as the operand, pdep leaves the upper half of its result, ret takes a large number of bytes for a negative
// one; mov of a number is not known with REX.R; an address relative to rip is off by the size of the immediate; test by its second opcode is not
// known; a segment after gs hides it; and for cmpxchg of a register processors differ.
func refusedForm(p *prefixed) string {
	vex := p.vex()
	f6 := p.begins(0xf6) || p.begins(0xf7)
	switch {
	case p.gs && p.segments > 1:
		return "a segment prefix other than gs"
	case f6 && p.lock && p.digit(1) == 3:
		return "lock neg"
	case f6 && p.digit(1) == 1:
		return "test by opcode f6 or f7 /1"
	case p.rexR && (p.begins(0xc6) || p.begins(0xc7)) && p.digit(1) == 0:
		return "mov of a number with REX.R"
	case p.begins(0x0f, 0xc7) && p.digit(2) == 1:
		return "cmpxchg8b and cmpxchg16b"
	case vex.m == 2 && vex.op == 0xf3 && p.digit(4) == 3:
		return "blsi"
	case vex.m == 2 && vex.op == 0xf5 && vex.pp == 0:
		return "bzhi"
	case vex.m == 2 && vex.op == 0xf7 && vex.pp == 0:
		return "bextr"
	case vex.m == 2 && vex.op == 0xf5 && vex.pp == 3 && !vex.wide:
		return "pdep of 32 bits"
	case vex.m == 3 && vex.op == 0xf0 && p.ripRelative(4):
		return "rorx with an address relative to rip"
	case p.begins(0xc2) && len(p.op) > 2 && p.op[2] >= 0x80:
		return "ret by 32768 bytes or more"
	case p.begins(0x0f, 0xa4) && p.ripRelative(2):
		return "shld with an address relative to rip"
	case p.begins(0x0f, 0xac) && p.ripRelative(2):
		return "shrd with an address relative to rip"
	case p.begins(0x0f, 0xb1) && len(p.op) > 2 && p.op[2] >= 0xc0:
		return "cmpxchg of a register"
	}
	return ""
}

// quirkOf says what to do about an instruction.
func quirkOf(i *x86.Inst) C.uint8_t {
	switch {
	case i.Op == "cmpxchg" && i.OpBits == 32:
		return quirkCmpxchg32
	case i.Op == "idiv" && i.OpBits == 16:
		return quirkIdiv16
	case i.Op == "idiv" && i.OpBits == 32:
		return quirkIdiv32
	}
	return quirkNone
}

// quirkReg is the register that idiv divides by, noReg if it is in memory.
func quirkReg(i *x86.Inst) C.uint8_t {
	if i.N > 0 && i.Operands[0].Kind == x86.OpReg {
		return C.uint8_t(i.Operands[0].Reg)
	}
	return C.TCS_NOREG
}

// mayBeQuirk is quick: false means that no instruction at the start of code needs anything.
func mayBeQuirk(code []byte) bool {
	p := splitPrefixes(code)
	return (p.begins(0xf6) || p.begins(0xf7)) && p.digit(1) == 7 || p.begins(0x0f, 0xb1) || refusedForm(&p) != ""
}

// quirk is where an instruction can begin that something must be done about.
type quirk struct {
	at   image.Addr
	next image.Addr // where rax is put back after a 32-bit cmpxchg, 0 otherwise
}

// scanQuirks looks in [begin, end) for addresses at which such an instruction can begin, wherever instructions begin really, and
// puts them in place of those that m.quirks, which is in order, had there. It reports whether they are others.
func (m *Machine) scanQuirks(begin, end image.Addr) bool {
	order := func(q quirk, a image.Addr) int { return cmp.Compare(q.at, a) }
	from, _ := slices.BinarySearchFunc(m.quirks, begin, order)
	to, _ := slices.BinarySearchFunc(m.quirks, end, order)
	for begin < end && !m.Mem.IsText(begin) {
		begin++
	}
	buf := make([]byte, end-begin+x86.MaxInstLen)
	buf = buf[:m.Mem.Code(begin, buf)]
	var found []quirk
	for off := range min(len(buf), int(end-begin)) {
		switch buf[off] { // an instruction begins with one of these, or a REX prefix
		case 0xf6, 0xf7, 0xc2, 0x0f, 0xc4, 0xf0, 0x65, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x66, 0x67, 0xf2, 0xf3:
		default:
			if buf[off]&0xf0 != 0x40 {
				continue
			}
		}
		if !mayBeQuirk(buf[off:]) {
			continue
		}
		q := quirk{at: begin + image.Addr(off)}
		if i, err := m.decode(q.at); err == nil && quirkOf(&i) == quirkCmpxchg32 {
			q.next = i.Next()
		}
		found = append(found, q)
	}
	if slices.Equal(m.quirks[from:to], found) {
		return false
	}
	m.quirks = slices.Replace(m.quirks, from, to, found...)
	return true
}

// findQuirks looks through all that is loaded.
func (m *Machine) findQuirks() error {
	m.quirks = m.quirks[:0]
	for i := range m.Funcs {
		m.scanQuirks(m.Funcs[i].Addr, m.Funcs[i].End())
	}
	return m.hookQuirks()
}

// hookQuirks gives such instructions, and what may follow them, hooks of their own, but at retired level,
// which looks at every instruction anyway.
func (m *Machine) hookQuirks() error {
	var addrs []C.uint64_t
	if m.c.level != C.TCS_LEVEL_RETIRED {
		for _, q := range m.quirks {
			addrs = append(addrs, C.uint64_t(q.at))
			if q.next != 0 {
				addrs = append(addrs, C.uint64_t(q.next))
			}
		}
	}
	slices.Sort(addrs)
	addrs = slices.Compact(addrs)
	if slices.Equal(addrs, m.quirkHooks) {
		return nil
	}
	if err := ucErr("add hooks", C.tcs_quirk_hooks(m.c, unsafe.SliceData(addrs), C.uint32_t(len(addrs)))); err != nil {
		return err
	}
	touched := slices.Concat(m.quirkHooks, addrs)
	m.quirkHooks = addrs
	for _, a := range touched {
		if !m.Mem.IsText(image.Addr(a)) {
			continue
		}
		if err := ucErr("remove translations", C.tcs_remove_cache(m.c, a, a+1)); err != nil {
			return err
		}
	}
	return nil
}

// refused is the fault of an instruction that was not let through.
func (m *Machine) refused(rip image.Addr) *Fault {
	f := m.newFault(FaultDecode, rip)
	code := make([]byte, x86.MaxInstLen)
	p := splitPrefixes(code[:m.Mem.Code(rip, code)])
	if form := refusedForm(&p); form != "" {
		f.Kind, f.Err = FaultEngine, errors.New(form)
	}
	return f
}
