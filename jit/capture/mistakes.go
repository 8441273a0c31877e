// SPDX-License-Identifier: GPL-2.0-only

package capture

import (
	"fmt"
	"strings"
)

// Mistake is one thing that is wrong with a capture file.
type Mistake struct {
	File string
	Line int    // counts from 1; 0 if the file as a whole is meant
	Col  int    // in bytes, counts from 1; 0 if the line as a whole is meant
	Path string // field, such as "progs[0].funcs[1].len"; may be empty
	Msg  string // what was expected and what was found
}

// String returns "file:line:col: path: message".
func (m Mistake) String() string {
	var b strings.Builder
	b.WriteString(m.File)
	if m.Line > 0 {
		fmt.Fprintf(&b, ":%d", m.Line)
		if m.Col > 0 {
			fmt.Fprintf(&b, ":%d", m.Col)
		}
	}
	b.WriteString(": ")
	if m.Path != "" {
		b.WriteString(m.Path)
		b.WriteString(": ")
	}
	b.WriteString(m.Msg)
	return b.String()
}

// Mistakes are all mistakes of a file in the order in which they were found. As an error it prints
// one line for each.
type Mistakes []Mistake

// Error returns one line per mistake.
func (m Mistakes) Error() string {
	lines := make([]string, len(m))
	for i, x := range m {
		lines[i] = x.String()
	}
	return strings.Join(lines, "\n")
}

// MaxMistakes bounds how many mistakes are kept; a file with more is not read to its end.
const MaxMistakes = 100
