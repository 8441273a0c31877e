// SPDX-License-Identifier: GPL-2.0-only

package render

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/tcsim/tcsim/cmd/tcsim/catalogue"
)

// List is the object of tcsim list.
type List struct {
	Entries []catalogue.Entry `json:"entries"`
	Kind    string            `json:"kind"`
	Schema  Schema            `json:"schema"`
}

// Lists is the object of tcsim list without a kind.
type Lists struct {
	Kinds  []catalogue.Entry `json:"kinds"`
	Schema Schema            `json:"schema"`
}

// ListText prints a line for each name, with columns for what only some lists have, and a note under it.
func ListText(w io.Writer, entries []catalogue.Entry, note string) {
	head := []string{"name"}
	columns := []struct {
		title string
		of    func(*catalogue.Entry) string
	}{
		{"design", func(e *catalogue.Entry) string { return e.Design }},
		{"evidence", func(e *catalogue.Entry) string { return e.Evidence }},
	}
	used := columns[:0]
	for _, c := range columns {
		for i := range entries {
			if c.of(&entries[i]) != "" {
				used, head = append(used, c), append(head, c.title)
				break
			}
		}
	}
	width := make([]int, len(head))
	row := func(e *catalogue.Entry) []string {
		cells := []string{e.Name}
		for _, c := range used {
			cells = append(cells, c.of(e))
		}
		return cells
	}
	for i := range entries {
		for k, c := range row(&entries[i]) {
			width[k] = max(width[k], utf8.RuneCountInString(c), len(head[k]))
		}
	}
	line := func(cells []string) string {
		var b strings.Builder
		for k, c := range cells {
			fmt.Fprintf(&b, "%-*s  ", width[k], c)
		}
		return b.String()
	}
	fmt.Fprintln(w, line(head)+"about")
	for i := range entries {
		left := line(row(&entries[i]))
		n := utf8.RuneCountInString(left)
		for _, text := range Fold(entries[i].About, Width-n) {
			fmt.Fprintln(w, strings.TrimRight(left+text, " "))
			left = strings.Repeat(" ", n)
		}
	}
	if note != "" {
		fmt.Fprintf(w, "\n%s\n", strings.Join(Fold(note, Width), "\n"))
	}
}
