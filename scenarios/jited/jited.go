// SPDX-License-Identifier: GPL-2.0-only

// Package jited compares machine code with what somebody expects, in the syntax of __jited in the kernel's selftests
// (tools/testing/selftests/bpf/progs/bpf_misc.h): AT&T text as LLVM prints it, labels, "..." for any number of lines,
// {{regular expression}} inside a line.
package jited

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/tcsim/tcsim/scenarios/asm"
)

// Line is one expected line; match is nil for a gap.
type Line struct {
	pos   asm.Pos
	text  string
	match *regexp.Regexp
}

// gap is the line that stands for any number of lines.
const gap = "..."

var blanks = regexp.MustCompile(`[ \t]+`)

// Parse reads an expectation, whose text begins at a position. Comments and blank lines are left out.
func Parse(code string, at asm.Pos) (out []Line, errs []asm.Error) {
	patterns := 0
	for i, line := range strings.Split(code, "\n") {
		text := cutComment(line)
		trimmed := strings.TrimSpace(text)
		if trimmed == "" {
			continue
		}
		pos := asm.Pos{Line: at.Line + i, Col: 1 + len([]rune(text[:len(text)-len(strings.TrimLeft(text, " \t"))]))}
		if i == 0 {
			pos.Col += at.Col - 1
		}
		l := Line{pos: pos, text: blanks.ReplaceAllString(trimmed, " ")}
		if l.text != gap {
			var err error
			if l.match, err = compile(l.text); err != nil {
				errs = append(errs, asm.Error{Pos: pos, Msg: err.Error()})
			}
			patterns++
		}
		out = append(out, l)
	}
	if patterns == 0 {
		errs = append(errs, asm.Error{Pos: at, Msg: "expected lines of machine code, found none"})
	}
	return out, errs
}

// cutComment drops what follows '#', ';' or "//" outside of {{...}} at the start of a line or
// after a blank.
func cutComment(line string) string {
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

// compile makes a regular expression of a line. As in the kernel, text after what is expected
// does not matter. Text before it can only be a label.
func compile(line string) (*regexp.Regexp, error) {
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

// Found is one line of machine code.
type Found struct {
	Where string // function and offset
	Text  string
}

// Compare finds each group of lines between gaps one after the other, the first one anywhere. The
// result is nil if all are there, else what is expected where and what was found.
func Compare(lines []Line, found []Found) *asm.Error {
	from := 0
	for len(lines) > 0 {
		if lines[0].match == nil {
			lines = lines[1:]
			continue
		}
		n := slices.IndexFunc(lines, func(l Line) bool { return l.match == nil })
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
func findGroup(group []Line, found []Found, from int) (at, matched int) {
	at, matched = from, 0
	for start := from; start < len(found); start++ {
		n := 0
		for n < len(group) && start+n < len(found) && group[n].match.MatchString(found[start+n].Text) {
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
	linesAfter  = 3
)

// misfit shows expected and found lines side by side.
func misfit(group []Line, found []Found, at, matched int) *asm.Error {
	bad := group[matched]
	what, where := "the end of the code", ""
	if at+matched < len(found) {
		what, where = found[at+matched].Text, " at "+found[at+matched].Where
	}
	var b strings.Builder
	if matched == 0 {
		fmt.Fprintf(&b, "expected machine code %q, found no such line from %q%s on", bad.text, what, where)
	} else {
		fmt.Fprintf(&b, "expected machine code %q, found %q%s", bad.text, what, where)
	}
	fmt.Fprintf(&b, "\n    %-38s   %s", "expected", "found")
	for n := max(0, matched-linesBefore); n <= matched+linesAfter; n++ {
		left, right, mark := "", "", " "
		if n < len(group) {
			left = group[n].text
		}
		if at+n < len(found) {
			right = fmt.Sprintf("%-14s %s", found[at+n].Where, found[at+n].Text)
		}
		if n == matched {
			mark = ">"
		}
		if left+right != "" {
			fmt.Fprintf(&b, "\n  %s %s", mark, strings.TrimRight(fmt.Sprintf("%-38s   %s", left, right), " "))
		}
	}
	return &asm.Error{Pos: bad.pos, Msg: b.String()}
}
