// SPDX-License-Identifier: GPL-2.0-only

package asm

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/tcsim/tcsim/jit/bpf"
)

// Pos is a place in a file, both numbers from 1. Columns count characters. The zero value is "nowhere".
type Pos struct{ Line, Col int }

// Unit is the instructions of one assembly text. Map references and calls of functions outside
// the text are still names.
type Unit struct {
	Insns  []bpf.Insn
	Pos    []Pos // of each slot
	Labels map[string]int
	Calls  []Ref // BPF-to-BPF calls; those with a name go outside the text
	Maps   []Ref // ld_imm64 slots that refer to maps
	jumps  []Ref // jumps to labels, resolved when the text ends
}

// Ref is a slot that refers to something by name.
type Ref struct {
	Slot int
	Name string
	Pos  Pos
}

// Error is one mistake in a text.
type Error struct {
	Pos Pos
	Msg string // what was expected and what was found
}

// statement is one instruction being read.
type statement struct {
	unit *Unit
	pos  Pos
	m    []string // submatches of the form
	op   int      // opcode given in parentheses before the text, -1 if none
}

var (
	// slotForm is what the verifier log and bpftool print before an instruction.
	slotForm   = regexp.MustCompile(`^\d+:\s*(?:[0-9a-f]{2}(?: [0-9a-f]{2}){7}\s+)?`)
	opcodeForm = regexp.MustCompile(`^\(([0-9a-f]{2})\)\s*`)
	labelForm  = regexp.MustCompile(`^([A-Za-z_.][A-Za-z0-9_.$]*):\s*`)
	spaces     = regexp.MustCompile(`\s+`)
)

// Assemble reads a whole text, whose first character is at start in its file. If errs is not empty, the
// unit is nil.
func Assemble(text string, start Pos) (u *Unit, errs []Error) {
	u = &Unit{Labels: map[string]int{}}
	fail := func(pos Pos, format string, args ...any) {
		errs = append(errs, Error{pos, fmt.Sprintf(format, args...)})
	}
	for i, line := range strings.Split(text, "\n") {
		base := Pos{start.Line + i, 1}
		if i == 0 {
			base.Col = start.Col
		}
		text := strings.TrimRight(stripComment(line), " \t")
		rest := strings.TrimLeft(text, " \t")
		at := func() Pos { return Pos{base.Line, base.Col + len([]rune(text)) - len([]rune(rest))} }
		for m := labelForm.FindStringSubmatch(rest); m != nil; m = labelForm.FindStringSubmatch(rest) {
			if _, dup := u.Labels[m[1]]; dup {
				fail(at(), "duplicate label %q", m[1])
			}
			u.Labels[m[1]] = len(u.Insns)
			rest = rest[len(m[0]):]
		}
		if rest == "" {
			continue
		}
		if err := u.statement(rest, at()); err != nil {
			fail(at(), "%v", err)
		}
	}
	for _, r := range u.jumps {
		if _, ok := u.Labels[r.Name]; !ok {
			fail(r.Pos, "no label %q in this text", r.Name)
		}
	}
	if len(errs) == 0 {
		errs = append(errs, u.finish(start)...)
	}
	if len(errs) != 0 {
		return nil, errs
	}
	return u, nil
}

// stripComment removes a trailing comment. '#' starts one only at the beginning or after a blank
// and not before a digit, because listings have "call bpf_tail_call#12" and "call #12".
func stripComment(line string) string {
	for i := range len(line) {
		switch {
		case line[i] == ';', strings.HasPrefix(line[i:], "//"):
			return line[:i]
		case line[i] == '#' && (i == 0 || isBlank(line[i-1])) && (i+1 == len(line) || !isDigit(line[i+1])):
			return line[:i]
		}
	}
	return line
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }
func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// statement reads one instruction and appends its slots.
func (u *Unit) statement(text string, pos Pos) error {
	s := &statement{unit: u, pos: pos, op: -1}
	rest := text[len(slotForm.FindString(text)):]
	if m := opcodeForm.FindStringSubmatch(rest); m != nil {
		n, _ := strconv.ParseUint(m[1], 16, 8) // the form allows nothing else
		s.op = int(n)
		rest = rest[len(m[0]):]
	}
	rest = spaces.ReplaceAllString(rest, " ")
	before := len(u.Insns)
	for _, f := range asmForms() {
		if s.m = f.re.FindStringSubmatch(rest); s.m == nil {
			continue
		}
		if err := f.emit(s); err != nil {
			return err
		}
		if len(u.Insns) == before {
			continue // the form declined: a later one fits better
		}
		if got := u.Insns[before].Op; s.op >= 0 && got != uint8(s.op) {
			return fmt.Errorf("the text means opcode %02x, but (%02x) stands before it", got, s.op)
		}
		return nil
	}
	return fmt.Errorf("expected a BPF instruction such as \"r6 = r1\" or \"exit\", found %q", text)
}

// emit appends one slot.
func (s *statement) emit(in bpf.Insn) error {
	s.unit.Insns = append(s.unit.Insns, in)
	s.unit.Pos = append(s.unit.Pos, s.pos)
	return nil
}

// finish resolves labels and checks that control stays inside the text.
func (u *Unit) finish(start Pos) (errs []Error) {
	fail := func(pos Pos, format string, args ...any) {
		errs = append(errs, Error{pos, fmt.Sprintf(format, args...)})
	}
	if len(u.Insns) == 0 {
		fail(start, "expected BPF instructions, found none")
		return errs
	}
	for _, r := range u.jumps {
		dist := u.Labels[r.Name] - r.Slot - 1
		in := &u.Insns[r.Slot]
		switch {
		case in.Op == bpf.OpJA32:
			in.Imm = int32(dist)
		case dist < math.MinInt16 || dist > math.MaxInt16:
			fail(r.Pos, "label %q is %d slots away: a jump reaches 32767, use gotol", r.Name, dist)
		default:
			in.Off = int16(dist)
		}
	}
	var local []Ref
	for _, r := range u.Calls {
		if target, ok := u.Labels[r.Name]; ok && r.Name != "" {
			u.Insns[r.Slot].Imm = int32(target - r.Slot - 1)
			r.Name = ""
		}
		local = append(local, r)
	}
	u.Calls = local
	u.addresses()
	second := u.SecondHalves()
	for i, in := range u.Insns {
		target, ok := u.target(i)
		switch {
		case !ok || second[i]:
		case target < 0 || target >= len(u.Insns):
			fail(u.Pos[i], "target %d lies outside the text (slots 0 to %d)", target, len(u.Insns)-1)
		case second[target]:
			fail(u.Pos[i], "target %d is the second half of a 64-bit load", target)
		}
		if last := i == len(u.Insns)-1; last && in.Op != bpf.OpExit && in.Op != bpf.OpJA && in.Op != bpf.OpJA32 {
			fail(u.Pos[i], "the text ends here: expected exit or goto")
		}
	}
	return errs
}

// addresses makes loads of a label's address, which helpers that call back are given, of what looks
// like a load of a map.
func (u *Unit) addresses() {
	kept := u.Maps[:0]
	for _, r := range u.Maps {
		at, ok := u.Labels[r.Name]
		if !ok || u.Insns[r.Slot].Src != bpf.PseudoMap {
			kept = append(kept, r)
			continue
		}
		in := &u.Insns[r.Slot]
		in.Src, in.Imm = bpf.PseudoFunc, int32(at-r.Slot-1)
		u.Calls = append(u.Calls, Ref{Slot: r.Slot, Pos: r.Pos})
	}
	u.Maps = kept
}

// target returns the slot to which slot i jumps or calls inside the text.
func (u *Unit) target(i int) (slot int, ok bool) {
	in := u.Insns[i]
	switch {
	case IsJump(in):
		return i + 1 + int(in.Off), true
	case in.Op == bpf.OpJA32:
		return i + 1 + int(in.Imm), true
	case in.IsLdImm64() && in.Src == bpf.PseudoFunc:
		return i + 1 + int(in.Imm), true
	case IsPseudoCall(in):
		n, ok := slices.BinarySearchFunc(u.Calls, i, func(r Ref, i int) int { return r.Slot - i }) // they are in order
		return i + 1 + int(in.Imm), !ok || u.Calls[n].Name == ""
	}
	return 0, false
}

// secondHalves marks the second slots of ld_imm64 instructions.
func (u *Unit) SecondHalves() []bool {
	return SecondHalves(u.Insns)
}

func SecondHalves(insns []bpf.Insn) []bool {
	out := make([]bool, len(insns))
	for i := 0; i < len(insns)-1; i++ {
		if insns[i].Op == bpf.OpLdImm64 {
			i++
			out[i] = true
		}
	}
	return out
}

// LocalFuncs returns the slots at which functions inside the text begin, 0 first.
func (u *Unit) LocalFuncs() []int {
	starts := []int{0}
	for _, r := range u.Calls {
		if r.Name == "" {
			starts = append(starts, r.Slot+1+int(u.Insns[r.Slot].Imm))
		}
	}
	sort.Ints(starts)
	return slices.Compact(starts)
}

// LabelAt returns the name of the first label at slot in alphabetical order, "" if there is none.
func (u *Unit) LabelAt(slot int) string {
	name := ""
	for l, at := range u.Labels {
		if at == slot && (name == "" || l < name) {
			name = l
		}
	}
	return name
}
