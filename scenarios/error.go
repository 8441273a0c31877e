// SPDX-License-Identifier: GPL-2.0-only

package scenarios

import (
	"fmt"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/tcsim/tcsim/jit/nearest"
	"github.com/tcsim/tcsim/scenarios/asm"
)

// Pos is a place in a scenario file.
type Pos = asm.Pos

// Error is one mistake in a scenario file.
type Error struct {
	File string
	Pos  Pos
	Msg  string // what was expected and what was found
	// Excerpt is the line before the mistake, the line itself and a caret below it, each ended by a
	// newline; empty if there is no such line.
	Excerpt string
}

func (e *Error) Error() string {
	s := fmt.Sprintf("%s:%d:%d: %s", e.File, e.Pos.Line, e.Pos.Col, e.Msg)
	if e.Excerpt != "" {
		s += "\n" + strings.TrimSuffix(e.Excerpt, "\n")
	}
	return s
}

// Errors is every mistake in one file in order of position, never empty.
type Errors []*Error

func (e Errors) Error() string {
	var b strings.Builder
	for i, x := range e {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(x.Error())
	}
	return b.String()
}

// Unwrap lets errors.As find the single mistakes.
func (e Errors) Unwrap() []error {
	out := make([]error, len(e))
	for i, x := range e {
		out[i] = x
	}
	return out
}

// source is the text of a file and the mistakes found in it so far.
type source struct {
	file  string
	lines []string
	errs  Errors
	// accepted says that a kernel has loaded the file, see LoadAccepted.
	accepted bool
}

func newSource(file string, src []byte) *source {
	lines := strings.Split(string(src), "\n")
	for i, l := range lines {
		lines[i] = strings.TrimSuffix(l, "\r")
	}
	return &source{file: file, lines: lines}
}

// failf records a mistake.
func (s *source) failf(pos Pos, format string, args ...any) {
	s.errs = append(s.errs, &Error{
		File: s.file, Pos: pos, Msg: fmt.Sprintf(format, args...), Excerpt: s.excerpt(pos),
	})
}

// maxQuoted is the length in bytes of lines that an excerpt still quotes.
const maxQuoted = 400

// excerpt quotes the line of pos and the one before it, if it is text.
func (s *source) excerpt(pos Pos) string {
	if pos.Line < 1 || pos.Line > len(s.lines) || len(s.lines[pos.Line-1]) > maxQuoted || !utf8.ValidString(s.lines[pos.Line-1]) {
		return ""
	}
	var b strings.Builder
	if pos.Line > 1 && len(s.lines[pos.Line-2]) <= maxQuoted {
		fmt.Fprintf(&b, "  %4d | %s\n", pos.Line-1, s.lines[pos.Line-2])
	}
	fmt.Fprintf(&b, "> %4d | %s\n", pos.Line, s.lines[pos.Line-1])
	line := []rune(s.lines[pos.Line-1])
	b.WriteString("       | ")
	for i := 0; i < pos.Col-1; i++ {
		if i < len(line) && line[i] == '\t' {
			b.WriteByte('\t') // keep the caret below its column
		} else {
			b.WriteByte(' ')
		}
	}
	b.WriteString("^\n")
	return b.String()
}

// err returns the mistakes in order, or nil. Of several at one place it keeps the first, because
// later checks stumble over what an earlier one has already reported.
func (s *source) err() error {
	if len(s.errs) == 0 {
		return nil
	}
	sort.SliceStable(s.errs, func(i, j int) bool {
		a, b := s.errs[i].Pos, s.errs[j].Pos
		if a.Line != b.Line {
			return a.Line < b.Line
		}
		return a.Col < b.Col
	})
	out := s.errs[:1:1]
	for _, e := range s.errs[1:] {
		if e.Pos != out[len(out)-1].Pos {
			out = append(out, e)
		}
	}
	return out
}

// expected lists what a name can be, for the end of a message, and says which one was probably meant.
func expected(name string, known []string) string {
	return asm.OneOf(known) + nearest.DidYouMean(name, known)
}
