// SPDX-License-Identifier: GPL-2.0-only

package x86

import (
	"math"
	"strings"
)

// ATT returns the instruction in AT&T syntax as LLVM's disassembler spells it with hexadecimal
// immediates: "movq -0x10(%rbp), %rax", "nopl (%rax,%rax)", "jae 0xffffffffc0001234". Blanks stand
// where LLVM has tabs. A lock prefix is no part of it: LLVM prints "lock" as a line of its own.
func (i *Inst) ATT() string {
	op := i.attOp()
	if i.NoTrack {
		op = "notrack " + op
	} else if i.Rep {
		op = "rep " + op
	}
	if args := i.attArgs(); args != "" {
		return op + " " + args
	}
	return op
}

// attNames are mnemonics that AT&T syntax calls differently, by name and width.
var attNames = map[string]map[uint16]string{
	"cqo":  {64: "cqto"},
	"cdq":  {32: "cltd"},
	"cwd":  {16: "cwtd"},
	"cdqe": {64: "cltq"},
	"cwde": {32: "cwtl"},
	"cbw":  {16: "cbtw"},
}

// attBare are mnemonics that never get a suffix.
var attBare = map[string]bool{
	"leave": true, "int3": true, "ud2": true, "lfence": true, "mfence": true, "sfence": true, "pause": true,
	"endbr64": true, "hlt": true, "rdtsc": true, "cpuid": true, "syscall": true, "int": true, "ud1": true,
}

// attOp returns the mnemonic with its suffix.
func (i *Inst) attOp() string {
	switch {
	case attNames[i.Op][i.OpBits] != "":
		return attNames[i.Op][i.OpBits]
	case attBare[i.Op], i.Branch == BranchCond, i.Branch == BranchJump, strings.HasPrefix(i.Op, "set"):
		return i.Op
	case i.Op == "nop" && i.N == 0:
		return i.Op
	case i.Op == "movzx", i.Op == "movsx", i.Op == "movsxd":
		return strings.TrimRight(i.Op, "xd") + attSuffix(i.Operands[1].Bits) + attSuffix(i.OpBits)
	case i.Op == "mov" && (i.Len >= 10 && i.Operands[0].Kind == OpReg && i.Operands[1].Kind == OpImm || i.moffs()):
		return "movabs" + attSuffix(i.OpBits)
	case strings.HasPrefix(i.Op, "prefetch"):
		return i.Op
	}
	return i.Op + attSuffix(i.OpBits)
}

// moffs reports whether the memory operand is a 64-bit address (opcodes a0 to a3).
func (i *Inst) moffs() bool {
	m := &i.Mem
	return i.HasMem && m.Base == RegNone && m.Index == RegNone && !m.RIPRel && m.Disp != int64(int32(m.Disp))
}

func attSuffix(bits uint16) string {
	switch bits {
	case 8:
		return "b"
	case 16:
		return "w"
	case 32:
		return "l"
	case 64:
		return "q"
	}
	return ""
}

// attArgs returns the operands, source first.
func (i *Inst) attArgs() string {
	var args []string
	for n := int(i.N) - 1; n >= 0; n-- {
		o := &i.Operands[n]
		star := ""
		if i.Branch == BranchJumpIndirect || i.Branch == BranchCallIndirect {
			star = "*"
		}
		switch o.Kind {
		case OpReg:
			args = append(args, star+"%"+RegName(o.Reg, o.Bits, o.High))
		case OpImm:
			if !i.shiftByOne(n) {
				args = append(args, "$"+i.attImm(o.Imm))
			}
		case OpRel:
			args = append(args, hex(uint64(i.Target)))
		case OpMem:
			args = append(args, star+i.attMem(n))
		case OpOther:
			args = append(args, "%"+otherName(o))
		}
	}
	return strings.Join(args, ", ")
}

// shiftByOne reports whether operand n is the 1 of an opcode d0 or d1, which LLVM does not print:
// it is no byte of the instruction.
func (i *Inst) shiftByOne(n int) bool {
	switch i.Op {
	case "rol", "ror", "rcl", "rcr", "shl", "shr", "sar":
	default:
		return false
	}
	if n != 1 || i.Operands[1].Imm != 1 {
		return false
	}
	size := 2 // opcode and ModRM
	if i.OpBits == 16 {
		size++
	}
	for _, o := range i.Ops() {
		if o.Kind == OpReg && (o.Reg >= R8 || o.Bits == 64 || o.Bits == 8 && o.Reg >= RSP && !o.High) {
			return int(i.Len) == size+1
		}
	}
	return !i.HasMem && int(i.Len) == size
}

// attImm prints an immediate with its sign, as bytes and 64-bit operations have it; one of 16 or 32
// bits for an operation of as many is printed as it is in the code.
func (i *Inst) attImm(v int64) string {
	if i.OpBits == 8 {
		v = int64(int8(v))
	}
	if i.OpBits == 16 || i.OpBits == 32 {
		if i.Op == "mov" || i.Op == "test" || v != int64(int8(v)) {
			return hex(uint64(v) & (1<<i.OpBits - 1))
		}
	}
	return signedHex(v)
}

func signedHex(v int64) string {
	switch {
	case v == math.MinInt64:
		return "-0x8000000000000000"
	case v < 0:
		return "-" + hex(uint64(-v))
	}
	return hex(uint64(v))
}

// attMem prints operand n, a memory operand.
func (i *Inst) attMem(n int) string {
	m := &i.Mem
	for _, o := range i.Operands[:n] {
		if o.Kind == OpMem { // the source of movs and cmps
			return "(%rsi)"
		}
	}
	seg := [...]string{SegNone: "", SegFS: "%fs:", SegGS: "%gs:"}[m.Seg]
	width := uint16(64)
	if m.Addr32 {
		width = 32
	}
	var b strings.Builder
	b.WriteString(seg)
	if m.Disp != 0 || m.Base == RegNone && m.Index == RegNone && !m.RIPRel {
		b.WriteString(signedHex(m.Disp))
	}
	switch {
	case m.RIPRel:
		b.WriteString("(%rip)")
	case m.Base != RegNone || m.Index != RegNone:
		b.WriteString("(")
		if m.Base != RegNone {
			b.WriteString("%" + RegName(m.Base, width, false))
		}
		if m.Index != RegNone {
			b.WriteString(",%" + RegName(m.Index, width, false))
			if m.Scale > 1 {
				b.WriteString("," + string('0'+rune(m.Scale)))
			}
		}
		b.WriteString(")")
	}
	return b.String()
}
