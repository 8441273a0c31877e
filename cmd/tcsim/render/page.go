// SPDX-License-Identifier: GPL-2.0-only

package render

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/tcsim/tcsim/jit/nearest"
)

// Width is how many columns text output may use, so that it fits a mail.
const Width = 100

// Plural returns "1 run", "2 runs".
func Plural(n int, what string) string { return plural(fmt.Sprint(n), what) }

// plural is Plural of a number in digits.
func plural(n, what string) string {
	switch {
	case n == "1":
		return "1 " + what
	case strings.HasSuffix(what, "s"):
		return n + " " + what + "es"
	case strings.HasSuffix(what, "y"):
		return n + " " + strings.TrimSuffix(what, "y") + "ies"
	}
	return n + " " + what + "s"
}

// SortedKeys returns the keys in order.
func SortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// OneOf joins names for a cell of a table.
func OneOf(names []string) string {
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// Fold breaks text at blanks into lines of at most n columns. Lines that begin with two blanks are
// pictures and stay as they are.
func Fold(text string, n int) []string {
	var out []string
	for _, para := range strings.Split(text, "\n") {
		if strings.HasPrefix(para, "  ") {
			out = append(out, para)
			continue
		}
		line := ""
		for _, word := range strings.Fields(para) {
			if line != "" && len(line)+1+len(word) > n {
				out = append(out, line)
				line = ""
			}
			if line != "" {
				line += " "
			}
			line += word
		}
		out = append(out, line)
	}
	return out
}

// Table is aligned text with notes under its rows.
type Table struct {
	// Gap is how many blanks are between columns.
	Gap int

	head  []string
	rows  [][]string // a row of one cell is a note
	flush map[int]bool
}

// NewTable returns a table that has only its head.
func NewTable(head ...string) *Table { return &Table{head: head, flush: map[int]bool{}, Gap: 2} }

// Right aligns columns to the right.
func (t *Table) Right(cols ...int) {
	for _, c := range cols {
		t.flush[c] = true
	}
}

// Add adds a row.
func (t *Table) Add(cells ...string) { t.rows = append(t.rows, cells) }

// Note puts text under the last row, folded to the width of the page.
func (t *Table) Note(text string) {
	for _, line := range Fold(text, Width-4) {
		t.rows = append(t.rows, []string{"    " + line})
	}
}

// Picture puts lines under the last row as they are.
func (t *Table) Picture(text string) {
	for line := range strings.Lines(text) {
		t.rows = append(t.rows, []string{strings.TrimSuffix(line, "\n")})
	}
}

// String aligns the columns. A table that is too wide gets less space between them, and then the first
// column as lines of their own, above the rows that share them.
func (t *Table) String() string {
	w := t.widths()
	gap, group := t.Gap, false
	total := func() int { return sum(w) + gap*(len(w)-1) }
	if total() > Width {
		gap = 1
	}
	if total() > Width && len(w) > 2 {
		group, w = true, w[1:]
	}
	if group && 2+sum(w)+t.Gap*(len(w)-1) <= Width {
		gap = t.Gap
	}
	var b strings.Builder
	above := ""
	for _, r := range append([][]string{t.head}, t.rows...) {
		if len(r) != len(t.head) {
			fmt.Fprintln(&b, r[0])
			continue
		}
		first := 0
		if group {
			if r[0] != above && r[0] != "" { // an empty one is of the row above
				fmt.Fprintln(&b, r[0])
				above = r[0]
			}
			first = 1
			b.WriteString("  ")
		}
		b.WriteString(t.line(r[first:], w, gap, first))
	}
	return b.String()
}

// line aligns cells, the first of which is in column number first.
func (t *Table) line(cells []string, w []int, gap, first int) string {
	var line strings.Builder
	for i, c := range cells {
		if t.flush[first+i] {
			fmt.Fprintf(&line, "%*s%*s", w[i], c, gap, "")
		} else {
			fmt.Fprintf(&line, "%-*s%*s", w[i], c, gap, "")
		}
	}
	return strings.TrimRight(line.String(), " ") + "\n"
}

func (t *Table) widths() []int {
	w := make([]int, len(t.head))
	for _, r := range append([][]string{t.head}, t.rows...) {
		if len(r) != len(t.head) {
			continue
		}
		for i, c := range r {
			w[i] = max(w[i], utf8.RuneCountInString(c))
		}
	}
	return w
}

func sum(l []int) (n int) {
	for _, v := range l {
		n += v
	}
	return n
}

// Words joins names for a sentence.
func Words(names []string) string { return strings.Join(names, ", ") }

// Unknown says that a command does not know a name, what may have been meant and what there is.
func Unknown(verb, name string, known []string) string {
	return fmt.Sprintf("%s: unknown name %q%s\nexpected one of:\n  %s", verb, name, nearest.DidYouMean(name, known),
		strings.Join(Fold(Words(known), Width-2), "\n  "))
}
