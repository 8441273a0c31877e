// SPDX-License-Identifier: GPL-2.0-only

// Package differ compares the emulation engine with the processor that it runs on, one instruction at a
// time: forms of instructions, with registers, addresses and values chosen at random from a seed.
package differ

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Form is an instruction without its registers, address and immediate.
type Form struct {
	prefixes []byte // legacy ones, in order
	vex      []byte // the three bytes of a VEX prefix, its registers left out; nil if there is none
	wide     bool   // REX.W
	op       []byte
	modRM    bool
	digit    int8 // the middle of ModRM where it is part of the opcode, else -1
	mem      bool // the operand of ModRM is in memory
	inOp     bool // a register is in the low bits of the opcode
	imm      uint8
}

// Key tells forms apart.
func (f *Form) Key() string {
	var b strings.Builder
	fmt.Fprintf(&b, "% x", slices.Concat(f.prefixes, f.vex))
	if f.wide && f.vex == nil {
		b.WriteString(" w")
	}
	fmt.Fprintf(&b, " % x", f.op)
	switch {
	case f.inOp:
		b.WriteString("+r")
	case f.digit >= 0:
		fmt.Fprintf(&b, " /%d", f.digit)
	case f.modRM:
		b.WriteString(" /r")
	}
	if f.mem {
		b.WriteString(" m")
	}
	if f.imm > 0 {
		fmt.Fprintf(&b, " i%d", f.imm)
	}
	return strings.TrimSpace(b.String())
}

var errShort = errors.New("the instruction ends too early")

// Parse takes one instruction apart.
func Parse(code []byte) (f Form, err error) {
	f.digit = -1
	i := 0
	next := func() (b byte) {
		if i >= len(code) {
			err = errShort
			return 0
		}
		i++
		return code[i-1]
	}
	b := next()
	for ; slices.Contains([]byte{0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3}, b) && err == nil; b = next() {
		f.prefixes = append(f.prefixes, b)
	}
	if b&0xf0 == 0x40 {
		f.wide = b&8 != 0
		b = next()
	}
	twoByte, vexMap := false, byte(0)
	switch b {
	case 0xc4: // the registers are kept as not used: R, X, B and vvvv all ones
		one, two := next(), next()
		f.vex, f.wide, vexMap = []byte{0xc4, one | 0xe0, two | 0x78}, two&0x80 != 0, one&0x1f
		b = next()
		f.op = []byte{b}
	case 0xc5:
		f.vex, vexMap = []byte{0xc5, next() | 0xf8}, 1
		b = next()
		f.op = []byte{b}
	case 0x0f:
		b, twoByte = next(), true
		f.op = []byte{0x0f, b}
		if b == 0x38 || b == 0x3a {
			b = next()
			f.op = append(f.op, b)
		}
	default:
		f.op = []byte{b}
	}
	switch {
	case f.vex != nil || len(f.op) == 3:
		f.modRM = true
	case twoByte:
		f.inOp = b&0xf8 == 0xc8
		f.modRM = !f.inOp && b&0xf0 != 0x80 && !slices.Contains([]byte{0x05, 0x0b, 0x31, 0xa2, 0x77}, b)
	default:
		f.inOp = b&0xf0 == 0x50 || b&0xf0 == 0xb0 || b&0xf8 == 0x90 && b != 0x90
		f.modRM = b < 0x40 && b&7 < 4 || b == 0x63 || b == 0x69 || b == 0x6b || b&0xf0 == 0x80 ||
			slices.Contains([]byte{0xc0, 0xc1, 0xc6, 0xc7, 0xd0, 0xd1, 0xd2, 0xd3, 0xf6, 0xf7, 0xfe, 0xff}, b)
	}
	if f.inOp {
		f.op[len(f.op)-1] &^= 7
	}
	if f.modRM {
		m := next()
		if group(f.op, vexMap) {
			f.digit = int8(m >> 3 & 7)
		}
		f.mem = m < 0xc0
		if !f.mem && len(f.op) == 2 && (f.op[1] == 0xae || f.op[1] == 0x1e) {
			f.modRM, f.digit, f.op = false, -1, append(f.op, m) // a fence, endbr64
		}
		i += addressLen(m, code[min(i, len(code)):])
	}
	if err == nil && i > len(code) {
		err = errShort
	}
	f.imm = uint8(len(code) - min(i, len(code)))
	return f, err
}

// group reports whether the middle of ModRM is part of an opcode.
func group(op []byte, vexMap byte) bool {
	switch {
	case vexMap != 0:
		return vexMap == 2 && op[0] == 0xf3
	case len(op) == 1:
		return slices.Contains([]byte{0x80, 0x81, 0x83, 0x8f, 0xc0, 0xc1, 0xc6, 0xc7, 0xd0, 0xd1, 0xd2, 0xd3, 0xf6, 0xf7, 0xfe, 0xff}, op[0])
	case len(op) == 2:
		return slices.Contains([]byte{0x00, 0x01, 0x0d, 0x18, 0x1f, 0xae, 0xba, 0xc7}, op[1]) || op[1]&0xf0 == 0x90
	}
	return false
}

// addressLen is how many bytes of SIB and displacement follow a ModRM byte.
func addressLen(m byte, rest []byte) int {
	n, mod := 0, m>>6
	if mod == 3 {
		return 0
	}
	base := m & 7
	if base == 4 {
		n = 1
		if len(rest) > 0 {
			base = rest[0] & 7
		}
	}
	switch {
	case mod == 1:
		n++
	case mod == 2 || mod == 0 && base == 5:
		n += 4
	}
	return n
}
