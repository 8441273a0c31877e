// SPDX-License-Identifier: GPL-2.0-only

package stack

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Options say how a layout is drawn.
type Options struct {
	// Title is a line above the drawing; "" for none.
	Title string
	// All draws every frame of a long stack. By default frames in the middle that look like others
	// are folded into one line.
	All bool
	// Width is how many columns a line has at most, from MinWidth; 0 means Width.
	Width int
	// Box draws lines instead of ASCII.
	Box bool
	// Paint colours a piece of a line; nil leaves it. It must not change its width.
	Paint func(Role, string) string
}

// Width is the widest line of a drawing by default, in columns, MinWidth the least that can be asked for.
const (
	Width    = 100
	MinWidth = 72
)

// Role says what a piece of a drawing is.
type Role uint8

// The roles.
const (
	RoleRegister Role = iota // where rbp and rsp point
	RoleCounter              // tail_call_cnt
	RolePointer              // tail_call_cnt_ptr
)

const inner = 9 // columns of a box

// Picture draws the layout.
func (l *Layout) Picture(o Options) string {
	p := &picture{Options: o, set: &asciiLines}
	if p.Width == 0 {
		p.Width = Width
	}
	if p.Box {
		p.set = &boxLines
	}
	rows := l.Rows(o.All)
	lanes := Lanes(rows)
	cols := 0
	for _, ln := range lanes {
		cols = max(cols, ln.Col+1)
	}
	// Addresses of a narrow drawing are shown without their upper half, which the first line names.
	p.high = ^uint64(0)
	if p.Width < Width && len(l.Slots) > 0 {
		p.high = uint64(l.Slots[0].Addr) >> 32
	}
	if o.Title != "" {
		p.line(o.Title, "")
		p.b.WriteString("\n")
	}
	if p.Width < Width {
		p.line(fmt.Sprintf("addresses are %08x........", p.high), "")
		p.b.WriteString("\n")
	}
	for i := range rows {
		p.row(&rows[i], lanes, cols, i)
	}
	return p.b.String()
}

// picture is a drawing in the making.
type picture struct {
	Options
	set  *lineSet
	high uint64 // upper half of the addresses, if that is left out
	b    strings.Builder
}

func (p *picture) paint(r Role, s string) string {
	if p.Paint == nil || s == "" {
		return s
	}
	return p.Paint(r, s)
}

// line writes text folded to the width, further lines indented.
func (p *picture) line(text, indent string) {
	for i, part := range wrap(text, p.Width-utf8.RuneCountInString(indent)) {
		if i > 0 {
			p.b.WriteString(indent)
		}
		p.b.WriteString(strings.TrimRight(part, " ") + "\n")
	}
}

// row writes a row, and what its note needs of further lines.
func (p *picture) row(r *Row, lanes []Lane, cols, i int) {
	lead := p.set.arrows(lanes, cols, i, false)
	first := ""
	if s := r.Slot; s != nil {
		addr := fmt.Sprintf("%016x", uint64(s.Addr))
		if uint64(s.Addr)>>32 == p.high {
			addr = addr[8:]
		}
		value := fmt.Sprintf("%016x", uint64(s.Value))
		if s.Size > 8 {
			value = strings.Repeat(" ", 16)
		}
		first = addr + " " + value + "  "
	}
	used := utf8.RuneCountInString(lead) + inner + 3
	indent := 2
	if len(first)+30 < p.Width-used {
		indent = len(first)
	}
	notes := wrap(first+r.Note, p.Width-used)
	if rest := p.Width - used; utf8.RuneCountInString(first+r.Note) > rest {
		head := first + wrap(r.Note, rest-len(first))[0]
		notes = append([]string{head}, wrap(strings.TrimLeft(strings.TrimPrefix(r.Note, strings.TrimPrefix(head, first)), " "), rest-indent)...)
	}
	p.b.WriteString(strings.TrimRight(lead+p.box(r)+" "+p.note(r, notes[0]), " ") + "\n")
	for _, more := range notes[1:] {
		lead := p.set.arrows(lanes, cols, i, true)
		p.b.WriteString(lead + p.frame("") + " " + strings.Repeat(" ", indent) + more + "\n")
	}
}

// box is the box of a row with its sides, or a border.
func (p *picture) box(r *Row) string {
	if r.Border {
		return p.set.borderL + strings.Repeat(p.set.border, inner) + p.set.borderR
	}
	left := (inner - utf8.RuneCountInString(r.Label) + 1) / 2
	right := inner - utf8.RuneCountInString(r.Label) - left
	label := r.Label
	switch {
	case r.Slot == nil:
	case r.Slot.Ptr:
		label = p.paint(RolePointer, label)
	case r.Slot.Count != nil:
		label = p.paint(RoleCounter, label)
	}
	return p.frame(strings.Repeat(" ", max(0, left)) + label + strings.Repeat(" ", max(0, right)))
}

func (p *picture) frame(inside string) string {
	if inside == "" {
		inside = strings.Repeat(" ", inner)
	}
	return p.set.side + inside + p.set.side
}

// note colours the registers that a border names.
func (p *picture) note(r *Row, text string) string {
	if !r.Border {
		return text
	}
	marks, title, ok := strings.Cut(text, "  ")
	if ok {
		title = "  " + title
	}
	if strings.HasPrefix(marks, "R") || strings.HasSuffix(marks, "RSP") {
		marks = p.paint(RoleRegister, marks)
	}
	return marks + title
}

// wrap breaks text at blanks into pieces of at most n columns; a word that is longer is cut.
func wrap(text string, n int) []string {
	if utf8.RuneCountInString(text) <= n {
		return []string{text}
	}
	var out []string
	line := ""
	for _, word := range strings.SplitAfter(text, " ") {
		if r := []rune(word); len(r) > n {
			word = string(r[:n-2]) + ".."
		}
		if line != "" && utf8.RuneCountInString(line+strings.TrimRight(word, " ")) > n {
			out = append(out, strings.TrimRight(line, " "))
			line = ""
		}
		line += word
	}
	return append(out, strings.TrimRight(line, " "))
}
