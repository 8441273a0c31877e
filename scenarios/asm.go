// SPDX-License-Identifier: GPL-2.0-only

package scenarios

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"github.com/tcsim/tcsim/jit/bpf"
)

// Asm is BPF assembly in the syntax of the verifier log, bpftool and clang: one instruction per
// line, labels end with a colon, comments start with ';', "//" or "# ". The zero value is no text.
type Asm struct {
	Text string
	Pos  Pos // of the first character of Text
}

func (x *Asm) decodeNode(d *decoder, n ast.Node) {
	x.Text, x.Pos = d.block(n, "assembly text")
	if strings.TrimSpace(x.Text) != "" {
		_, errs := assemble(*x)
		for _, e := range errs {
			d.failf(e.pos, "%s", e.msg)
		}
	}
}

// block returns the text of a block behind '|', or of a word, and where its first character is. What
// it is called is for messages.
func (d *decoder) block(n ast.Node, what string) (string, Pos) {
	lit, block := n.(*ast.LiteralNode)
	if !block {
		s, ok := d.scalar(n, what)
		p := nodePos(n)
		if !ok {
			return "", p
		}
		if strings.Contains(s, "\n") {
			d.failf(p, "expected a block of text behind '|', found a quoted string of several lines")
			return "", p
		}
		return s, p
	}
	if lit.Start.Type == token.FoldedType {
		d.failf(nodePos(n), "expected a block of text behind '|', found one behind '>', which joins lines")
		return "", nodePos(n)
	}
	// Take the lines as they stand in the file, so that columns are true.
	from := lit.Start.Position.Line
	to := from + 1 + strings.Count(strings.TrimRight(lit.Value.Value, "\n"), "\n")
	to = min(to, len(d.lines))
	return strings.Join(d.lines[min(from, to):to], "\n"), Pos{from + 1, 1}
}

// asmUnit is the instructions of one assembly text. Map references and calls of functions outside
// the text are still names.
type asmUnit struct {
	insns  []bpf.Insn
	pos    []Pos // of each slot
	labels map[string]int
	calls  []asmRef // BPF-to-BPF calls; those with a name go outside the text
	maps   []asmRef // ld_imm64 slots that refer to maps
	jumps  []asmRef // jumps to labels, resolved when the text ends
}

// asmRef is a slot that refers to something by name.
type asmRef struct {
	slot int
	name string
	pos  Pos
}

type asmError struct {
	pos Pos
	msg string
}

// statement is one instruction being read.
type statement struct {
	unit *asmUnit
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

// assemble reads a whole text. If errs is not empty, the unit is nil.
func assemble(a Asm) (u *asmUnit, errs []asmError) {
	u = &asmUnit{labels: map[string]int{}}
	fail := func(pos Pos, format string, args ...any) {
		errs = append(errs, asmError{pos, fmt.Sprintf(format, args...)})
	}
	for i, line := range strings.Split(a.Text, "\n") {
		base := Pos{a.Pos.Line + i, 1}
		if i == 0 {
			base.Col = a.Pos.Col
		}
		text := strings.TrimRight(stripComment(line), " \t")
		rest := strings.TrimLeft(text, " \t")
		at := func() Pos { return Pos{base.Line, base.Col + len([]rune(text)) - len([]rune(rest))} }
		for m := labelForm.FindStringSubmatch(rest); m != nil; m = labelForm.FindStringSubmatch(rest) {
			if _, dup := u.labels[m[1]]; dup {
				fail(at(), "duplicate label %q", m[1])
			}
			u.labels[m[1]] = len(u.insns)
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
		if _, ok := u.labels[r.name]; !ok {
			fail(r.pos, "no label %q in this text", r.name)
		}
	}
	if len(errs) == 0 {
		errs = append(errs, u.finish(Pos{a.Pos.Line, a.Pos.Col})...)
	}
	if len(errs) != 0 {
		return nil, errs
	}
	return u, nil
}

// stripComment removes a trailing comment. '#' starts one only at the beginning or behind a blank
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
func (u *asmUnit) statement(text string, pos Pos) error {
	s := &statement{unit: u, pos: pos, op: -1}
	rest := text[len(slotForm.FindString(text)):]
	if m := opcodeForm.FindStringSubmatch(rest); m != nil {
		n, _ := strconv.ParseUint(m[1], 16, 8) // the form allows nothing else
		s.op = int(n)
		rest = rest[len(m[0]):]
	}
	rest = spaces.ReplaceAllString(rest, " ")
	before := len(u.insns)
	for _, f := range asmForms() {
		if s.m = f.re.FindStringSubmatch(rest); s.m == nil {
			continue
		}
		if err := f.emit(s); err != nil {
			return err
		}
		if len(u.insns) == before {
			continue // the form declined: a later one fits better
		}
		if got := u.insns[before].Op; s.op >= 0 && got != uint8(s.op) {
			return fmt.Errorf("the text means opcode %02x, but (%02x) stands before it", got, s.op)
		}
		return nil
	}
	return fmt.Errorf("expected a BPF instruction such as \"r6 = r1\" or \"exit\", found %q", text)
}

// emit appends one slot.
func (s *statement) emit(in bpf.Insn) error {
	s.unit.insns = append(s.unit.insns, in)
	s.unit.pos = append(s.unit.pos, s.pos)
	return nil
}

// finish resolves labels and checks that control stays inside the text.
func (u *asmUnit) finish(start Pos) (errs []asmError) {
	fail := func(pos Pos, format string, args ...any) {
		errs = append(errs, asmError{pos, fmt.Sprintf(format, args...)})
	}
	if len(u.insns) == 0 {
		fail(start, "expected BPF instructions, found none")
		return errs
	}
	for _, r := range u.jumps {
		dist := u.labels[r.name] - r.slot - 1
		in := &u.insns[r.slot]
		switch {
		case in.Op == bpf.OpJA32:
			in.Imm = int32(dist)
		case dist < math.MinInt16 || dist > math.MaxInt16:
			fail(r.pos, "label %q is %d slots away: a jump reaches 32767, use gotol", r.name, dist)
		default:
			in.Off = int16(dist)
		}
	}
	var local []asmRef
	for _, r := range u.calls {
		if target, ok := u.labels[r.name]; ok && r.name != "" {
			u.insns[r.slot].Imm = int32(target - r.slot - 1)
			r.name = ""
		}
		local = append(local, r)
	}
	u.calls = local
	u.addresses()
	second := u.secondHalves()
	for i, in := range u.insns {
		target, ok := u.target(i)
		switch {
		case !ok || second[i]:
		case target < 0 || target >= len(u.insns):
			fail(u.pos[i], "target %d lies outside the text (slots 0 to %d)", target, len(u.insns)-1)
		case second[target]:
			fail(u.pos[i], "target %d is the second half of a 64-bit load", target)
		}
		if last := i == len(u.insns)-1; last && in.Op != bpf.OpExit && in.Op != bpf.OpJA && in.Op != bpf.OpJA32 {
			fail(u.pos[i], "the text ends here: expected exit or goto")
		}
	}
	return errs
}

// addresses makes loads of a label's address, which helpers that call back are given, of what looks
// like a load of a map.
func (u *asmUnit) addresses() {
	kept := u.maps[:0]
	for _, r := range u.maps {
		at, ok := u.labels[r.name]
		if !ok || u.insns[r.slot].Src != bpf.PseudoMap {
			kept = append(kept, r)
			continue
		}
		in := &u.insns[r.slot]
		in.Src, in.Imm = bpf.PseudoFunc, int32(at-r.slot-1)
		u.calls = append(u.calls, asmRef{slot: r.slot, pos: r.pos})
	}
	u.maps = kept
}

// target returns the slot to which slot i jumps or calls inside the text.
func (u *asmUnit) target(i int) (slot int, ok bool) {
	in := u.insns[i]
	switch {
	case isJump(in):
		return i + 1 + int(in.Off), true
	case in.Op == bpf.OpJA32:
		return i + 1 + int(in.Imm), true
	case in.IsLdImm64() && in.Src == bpf.PseudoFunc:
		return i + 1 + int(in.Imm), true
	case isPseudoCall(in):
		named := slices.ContainsFunc(u.calls, func(r asmRef) bool { return r.slot == i && r.name != "" })
		return i + 1 + int(in.Imm), !named
	}
	return 0, false
}

// secondHalves marks the second slots of ld_imm64 instructions.
func (u *asmUnit) secondHalves() []bool {
	return secondHalves(u.insns)
}

func secondHalves(insns []bpf.Insn) []bool {
	out := make([]bool, len(insns))
	for i := 0; i < len(insns)-1; i++ {
		if insns[i].Op == bpf.OpLdImm64 {
			i++
			out[i] = true
		}
	}
	return out
}

// localFuncs returns the slots at which functions inside the text begin, 0 first.
func (u *asmUnit) localFuncs() []int {
	starts := []int{0}
	for _, r := range u.calls {
		if r.name == "" {
			starts = append(starts, r.slot+1+int(u.insns[r.slot].Imm))
		}
	}
	sort.Ints(starts)
	return slices.Compact(starts)
}

// labelAt returns the name of the first label at slot in alphabetical order, "" if there is none.
func (u *asmUnit) labelAt(slot int) string {
	name := ""
	for l, at := range u.labels {
		if at == slot && (name == "" || l < name) {
			name = l
		}
	}
	return name
}
