// SPDX-License-Identifier: GPL-2.0-only

package x86

import (
	"fmt"
	"strconv"
	"strings"
)

// String returns the instruction in Intel syntax, lower case, with hexadecimal numbers and
// absolute branch targets: "add qword ptr [rax], 0x1", "jae 0xffffffffc0001234".
func (i *Inst) String() string {
	s := i.mnemonic()
	if a := i.Args(); a != "" {
		s += " " + a
	}
	return s
}

func (i *Inst) mnemonic() string {
	switch {
	case i.LockPrefix:
		return "lock " + i.Op
	case i.NoTrack:
		return "notrack " + i.Op
	case i.Rep && (strings.HasPrefix(i.Op, "cmps") || strings.HasPrefix(i.Op, "scas")):
		return "repz " + i.Op
	case i.Rep:
		return "rep " + i.Op
	}
	return i.Op
}

// Args returns the operands as String prints them.
func (i *Inst) Args() string {
	var b strings.Builder
	for n := range i.Ops() {
		if n > 0 {
			b.WriteString(", ")
		}
		o := &i.Operands[n]
		switch o.Kind {
		case OpReg:
			b.WriteString(RegName(o.Reg, o.Bits, o.High))
		case OpImm:
			b.WriteString(i.immText(o.Imm))
		case OpRel:
			b.WriteString(hex(uint64(i.Target)))
		case OpMem:
			b.WriteString(i.memText(n))
		case OpOther:
			b.WriteString(otherName(o))
		}
	}
	return b.String()
}

func hex(v uint64) string { return "0x" + strconv.FormatUint(v, 16) }

// immText prints an immediate as the operation sees it: sign-extended to the operand width.
func (i *Inst) immText(v int64) string {
	u := uint64(v)
	if i.OpBits != 0 && i.OpBits < 64 {
		u &= 1<<i.OpBits - 1
	}
	return hex(u)
}

var sizeNames = map[uint16]string{
	1: "byte ptr ", 2: "word ptr ", 4: "dword ptr ", 8: "qword ptr ", 10: "tbyte ptr ",
	16: "xmmword ptr ", 32: "ymmword ptr ", 64: "zmmword ptr ",
}

// memText prints the n-th operand, a memory operand.
func (i *Inst) memText(n int) string {
	m := &i.Mem
	for _, o := range i.Operands[:n] {
		if o.Kind == OpMem { // the source of movs and cmps
			return "[rsi]"
		}
	}
	var b strings.Builder
	if i.Op != "lea" {
		b.WriteString(sizeNames[m.Size])
	}
	switch m.Seg {
	case SegFS:
		b.WriteString("fs:")
	case SegGS:
		b.WriteString("gs:")
	}
	width := uint16(64)
	if m.Addr32 {
		width = 32
	}
	var terms []string
	if m.RIPRel {
		terms = append(terms, "rip")
	}
	if m.Base != RegNone {
		terms = append(terms, RegName(m.Base, width, false))
	}
	if m.Index != RegNone {
		terms = append(terms, fmt.Sprintf("%s*%d", RegName(m.Index, width, false), m.Scale))
	}
	b.WriteString("[" + strings.Join(terms, "+"))
	switch {
	case len(terms) == 0:
		b.WriteString(hex(uint64(m.Disp)))
	case m.Disp < 0:
		b.WriteString("-" + hex(uint64(-m.Disp)))
	case m.Disp > 0:
		b.WriteString("+" + hex(uint64(m.Disp)))
	}
	b.WriteString("]")
	return b.String()
}

var lowByteNames = [...]string{"al", "cl", "dl", "bl", "spl", "bpl", "sil", "dil"}

// RegName returns the name of the low bits (8, 16, 32 or 64) of a register; high chooses ah, ch,
// dh and bh of the first four.
func RegName(r Reg, bits uint16, high bool) string {
	if r > R15 || bits == 64 {
		return r.String()
	}
	if r >= R8 {
		return r.String() + map[uint16]string{8: "b", 16: "w", 32: "d"}[bits]
	}
	switch bits {
	case 8:
		if high {
			return [...]string{"ah", "ch", "dh", "bh"}[r&3]
		}
		return lowByteNames[r]
	case 16:
		return r.String()[1:]
	}
	return "e" + r.String()[1:]
}
