// SPDX-License-Identifier: GPL-2.0-only

package gdb

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
)

// register is a register as the protocol has it: its number is its place in the list.
type register struct {
	name    string
	bits    int
	kind    string // type in the target description
	group   string
	generic string // what lldb takes it for
	dwarf   int    // number in debug information, -1 for none
	feature string
}

// The features of the target description (GDB manual, appendix G.5.15). Without the first two gdb takes no
// description for x86-64.
const (
	featureCore    = "org.gnu.gdb.i386.core"
	featureSSE     = "org.gnu.gdb.i386.sse"
	featureSegment = "org.gnu.gdb.i386.segments"
	featureOwn     = "org.tcsim.bpf"
)

// Numbers of registers that stops tell of at once.
const (
	regRBP = 6
	regRSP = 7
	regRIP = 16
)

// generalNames are the general registers in the protocol's order, with their numbers in debug information (System
// V ABI for AMD64, figure 3.36).
var generalNames = [...]struct {
	name  string
	dwarf int
}{
	{"rax", 0}, {"rbx", 3}, {"rcx", 2}, {"rdx", 1}, {"rsi", 4}, {"rdi", 5}, {"rbp", 6}, {"rsp", 7},
	{"r8", 8}, {"r9", 9}, {"r10", 10}, {"r11", 11}, {"r12", 12}, {"r13", 13}, {"r14", 14}, {"r15", 15},
}

// registersOf lists the registers of x86-64 and those of the machine.
func registersOf(extra []Register) []register {
	var out []register
	add := func(feature, name string, bits int, kind, group string) *register {
		out = append(out, register{name: name, bits: bits, kind: kind, group: group, dwarf: -1, feature: feature})
		return &out[len(out)-1]
	}
	for _, g := range generalNames {
		r := add(featureCore, g.name, 64, "int64", "general")
		r.dwarf = g.dwarf
		switch g.name {
		case "rbp":
			r.kind, r.generic = "data_ptr", "fp"
		case "rsp":
			r.kind, r.generic = "data_ptr", "sp"
		}
	}
	rip := add(featureCore, "rip", 64, "code_ptr", "general")
	rip.generic, rip.dwarf = "pc", 16
	add(featureCore, "eflags", 32, "i386_eflags", "general").generic = "flags"
	for _, n := range []string{"cs", "ss", "ds", "es", "fs", "gs"} {
		add(featureCore, n, 32, "int32", "general")
	}
	for i := range 8 {
		add(featureCore, fmt.Sprintf("st%d", i), 80, "i387_ext", "float")
	}
	for _, n := range []string{"fctrl", "fstat", "ftag", "fiseg", "fioff", "foseg", "fooff", "fop"} {
		add(featureCore, n, 32, "int", "float")
	}
	for i := range 16 {
		add(featureSSE, fmt.Sprintf("xmm%d", i), 128, "uint128", "vector")
	}
	add(featureSSE, "mxcsr", 32, "int", "vector")
	add(featureSegment, "fs_base", 64, "int", "general")
	add(featureSegment, "gs_base", 64, "int", "general")
	for _, x := range extra {
		kind := "uint64"
		switch {
		case x.Code:
			kind = "code_ptr"
		case x.Data:
			kind = "data_ptr"
		case x.Signed:
			kind = "int64"
		}
		add(featureOwn, x.Name, 64, kind, "bpf")
	}
	return out
}

// flagBits are the flags in eflags that a client shows by name.
var flagBits = []struct {
	name string
	bit  int
}{{"CF", 0}, {"PF", 2}, {"AF", 4}, {"ZF", 6}, {"SF", 7}, {"TF", 8}, {"IF", 9}, {"DF", 10}, {"OF", 11}}

// describe writes the target description.
func describe(regs []register) string {
	var b strings.Builder
	b.WriteString("<?xml version=\"1.0\"?>\n<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n<target version=\"1.0\">\n" +
		"<architecture>i386:x86-64</architecture>\n")
	feature := ""
	for n, r := range regs {
		if r.feature != feature {
			if feature != "" {
				b.WriteString("</feature>\n")
			}
			feature = r.feature
			fmt.Fprintf(&b, "<feature name=%q>\n", feature)
			if feature == featureCore {
				b.WriteString("<flags id=\"i386_eflags\" size=\"4\">")
				for _, f := range flagBits {
					fmt.Fprintf(&b, "<field name=%q start=\"%d\" end=\"%d\"/>", f.name, f.bit, f.bit)
				}
				b.WriteString("</flags>\n")
			}
		}
		fmt.Fprintf(&b, "<reg name=%q bitsize=\"%d\" type=%q regnum=\"%d\" group=%q", r.name, r.bits, r.kind, n, r.group)
		if r.generic != "" {
			fmt.Fprintf(&b, " generic=%q", r.generic)
		}
		if r.dwarf >= 0 {
			fmt.Fprintf(&b, " dwarf_regnum=\"%d\" ehframe_regnum=\"%d\"", r.dwarf, r.dwarf)
		}
		b.WriteString("/>\n")
	}
	b.WriteString("</feature>\n</target>\n")
	return b.String()
}

// hexValue is a register as packets have it: bytes from the lowest, or as many x if it is not known.
func (s *server) hexValue(r *register) string {
	n := r.bits / 8
	v, ok := uint64(0), false
	if n <= 8 {
		v, ok = s.m.Value(r.name)
	}
	if !ok {
		return strings.Repeat("xx", n)
	}
	return hex.EncodeToString(binary.LittleEndian.AppendUint64(nil, v)[:n])
}
