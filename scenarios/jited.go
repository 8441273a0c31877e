// SPDX-License-Identifier: GPL-2.0-only

package scenarios

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/scenarios/asm"
)

// Jited is the machine code that somebody expects, in the syntax of __jited in the kernel's selftests
// (tools/testing/selftests/bpf/progs/bpf_misc.h): AT&T text as LLVM prints it, labels, "..." for any
// number of lines, {{regular expression}} inside a line. The zero value is no text.
type Jited struct {
	Text string
	Pos  Pos // of the first character of Text
}

func (x *Jited) decodeNode(d *decoder, n ast.Node) {
	x.Text, x.Pos = d.block(n, "machine code")
	_, errs := x.lines()
	for _, e := range errs {
		d.failf(e.Pos, "%s", e.Msg)
	}
}

// jited checks the names of the targets.
func (b *builder) jited(x Named[Jited]) {
	for _, e := range x {
		if slices.Contains(selectors(e.Name), "") {
			b.failf(e.Pos, "expected names of targets separated by commas, found %q", e.Name)
		}
	}
}

// jitedLine is one expected line; match is nil for a gap.
type jitedLine struct {
	pos   Pos
	text  string
	match *regexp.Regexp
}

// gap is the line that stands for any number of lines.
const gap = "..."

var blanks = regexp.MustCompile(`[ \t]+`)

// lines reads the expectation. Comments and blank lines are left out.
func (x *Jited) lines() (out []jitedLine, errs []asm.Error) {
	patterns := 0
	for i, line := range strings.Split(x.Text, "\n") {
		text := cutJitedComment(line)
		trimmed := strings.TrimSpace(text)
		if trimmed == "" {
			continue
		}
		pos := Pos{Line: x.Pos.Line + i, Col: 1 + len([]rune(text[:len(text)-len(strings.TrimLeft(text, " \t"))]))}
		if i == 0 {
			pos.Col += x.Pos.Col - 1
		}
		l := jitedLine{pos: pos, text: blanks.ReplaceAllString(trimmed, " ")}
		if l.text != gap {
			var err error
			if l.match, err = compileJited(l.text); err != nil {
				errs = append(errs, asm.Error{Pos: pos, Msg: err.Error()})
			}
			patterns++
		}
		out = append(out, l)
	}
	if patterns == 0 {
		errs = append(errs, asm.Error{Pos: x.Pos, Msg: "expected lines of machine code, found none"})
	}
	return out, errs
}

// cutJitedComment drops what follows '#', ';' or "//" outside of {{...}} at the start of a line or
// after a blank.
func cutJitedComment(line string) string {
	inside := false
	for i := range len(line) {
		rest := line[i:]
		switch {
		case strings.HasPrefix(rest, "{{"):
			inside = true
		case strings.HasPrefix(rest, "}}"):
			inside = false
		case inside || i > 0 && line[i-1] != ' ' && line[i-1] != '\t':
		case rest[0] == '#', rest[0] == ';', strings.HasPrefix(rest, "//"):
			return line[:i]
		}
	}
	return line
}

// compileJited makes a regular expression of a line. As in the kernel, text after what is expected
// does not matter. Text before it can only be a label.
func compileJited(line string) (*regexp.Regexp, error) {
	var b strings.Builder
	b.WriteString(`^(?:L\d+: )?`)
	for rest := line; rest != ""; {
		literal, after, found := strings.Cut(rest, "{{")
		b.WriteString(regexp.QuoteMeta(literal))
		if !found {
			break
		}
		expr, tail, closed := strings.Cut(after, "}}")
		if !closed {
			return nil, fmt.Errorf("expected }} after {{%s", after)
		}
		if _, err := regexp.Compile(expr); err != nil {
			return nil, fmt.Errorf("{{%s}} is not a regular expression: %w", expr, err)
		}
		b.WriteString("(?:" + expr + ")")
		rest = tail
	}
	return regexp.Compile(b.String())
}

// foundLine is one line of machine code.
type foundLine struct {
	where string
	text  string
}

// CheckJited compares machine code with what the scenario expects on a target with these names (see
// TargetNames). text lists a function of a program as it is after loading; both are indexes into
// Built.Programs and Funcs. The error is that of text.
func (b *Built) CheckJited(text func(prog, fn int) ([]image.ATTLine, error), names ...string) ([]Mismatch, error) {
	var out []Mismatch
	check := func(x *Jited, prog int, fns ...int) error {
		if x == nil {
			return nil
		}
		var found []foundLine
		for _, fn := range fns {
			name := b.Programs[prog].Funcs[fn].Name
			lines, err := text(prog, fn)
			if err != nil {
				return err
			}
			// The kernel's listings keep functions apart so.
			found = append(found, foundLine{name, fmt.Sprintf("func #%d:", fn)})
			for _, l := range lines {
				found = append(found, foundLine{fmt.Sprintf("%s+%#x", name, int(l.Off)), l.String()})
			}
		}
		if m := x.compare(found); m != nil {
			m.File = b.Scenario.File
			out = append(out, *m)
		}
		return nil
	}
	for i := range b.Scenario.Programs {
		p := &b.Scenario.Programs[i].Value
		var all []int
		for fn, f := range b.Programs[i].Funcs {
			all = append(all, fn)
			if e := p.Functions.Find(f.Name); e != nil {
				if err := check(jitedFor(e.Value.Jited, names), i, fn); err != nil {
					return nil, err
				}
			}
		}
		if err := check(jitedFor(p.Jited, names), i, all...); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// jitedFor returns the last entry for a target, nil if there is none.
func jitedFor(x Named[Jited], names []string) *Jited {
	for i := len(x) - 1; i >= 0; i-- {
		if slices.ContainsFunc(selectors(x[i].Name), func(s string) bool { return slices.Contains(names, s) }) {
			return &x[i].Value
		}
	}
	return nil
}

// compare finds each group of lines between gaps one after the other, the first one anywhere. The
// result is nil if all are there.
func (x *Jited) compare(found []foundLine) *Mismatch {
	lines, _ := x.lines()
	from := 0
	for len(lines) > 0 {
		if lines[0].match == nil {
			lines = lines[1:]
			continue
		}
		n := slices.IndexFunc(lines, func(l jitedLine) bool { return l.match == nil })
		if n < 0 {
			n = len(lines)
		}
		at, matched := findGroup(lines[:n], found, from)
		if matched < n {
			return misfit(lines[:n], found, at, matched)
		}
		from, lines = at+n, lines[n:]
	}
	return nil
}

// findGroup looks for lines that all match one after the other, from a line on. If there is no such
// place, it returns the first of those at which most lines match, and how many do.
func findGroup(group []jitedLine, found []foundLine, from int) (at, matched int) {
	at, matched = from, 0
	for start := from; start < len(found); start++ {
		n := 0
		for n < len(group) && start+n < len(found) && group[n].match.MatchString(found[start+n].text) {
			n++
		}
		if n > matched {
			at, matched = start, n
		}
		if matched == len(group) {
			break
		}
	}
	return at, matched
}

// Lines shown around the one that does not match.
const (
	linesBefore = 6
	linesBehind = 3
)

// misfit shows expected and found lines side by side.
func misfit(group []jitedLine, found []foundLine, at, matched int) *Mismatch {
	bad := group[matched]
	what, where := "the end of the code", ""
	if at+matched < len(found) {
		what, where = found[at+matched].text, " at "+found[at+matched].where
	}
	var b strings.Builder
	if matched == 0 {
		fmt.Fprintf(&b, "expected machine code %q, found no such line from %q%s on", bad.text, what, where)
	} else {
		fmt.Fprintf(&b, "expected machine code %q, found %q%s", bad.text, what, where)
	}
	fmt.Fprintf(&b, "\n    %-38s   %s", "expected", "found")
	for n := max(0, matched-linesBefore); n <= matched+linesBehind; n++ {
		left, right, mark := "", "", " "
		if n < len(group) {
			left = group[n].text
		}
		if at+n < len(found) {
			right = fmt.Sprintf("%-14s %s", found[at+n].where, found[at+n].text)
		}
		if n == matched {
			mark = ">"
		}
		if left+right != "" {
			fmt.Fprintf(&b, "\n  %s %s", mark, strings.TrimRight(fmt.Sprintf("%-38s   %s", left, right), " "))
		}
	}
	return &Mismatch{Pos: bad.pos, Msg: b.String()}
}
