// SPDX-License-Identifier: GPL-2.0-only

package stack

import (
	"fmt"
	"strings"
)

// Options say how a layout is drawn.
type Options struct {
	// Title is a line above the drawing; "" for none.
	Title string
	// All draws every frame of a long stack. By default frames in the middle that look like others
	// are folded into one line.
	All bool
}

// Width is the widest line of a drawing, in columns.
const Width = 100

// The frames at either end that are never folded, and how many in between are worth it.
const (
	keepFrames = 3
	minFold    = 3
)

// row is one line of the drawing: the box with what stands right of it, and what its arrow needs.
type row struct {
	box  string // with its borders
	note string
	addr uint64 // of a slot, 0 for other lines
	size uint64
	ptr  uint64 // where an arrow goes, 0 for none
}

const (
	border = "+---------+"
	boxes  = "|%s|"
	inner  = 9
)

// Picture draws the layout in plain ASCII, at most Width columns wide.
func (l *Layout) Picture(o Options) string {
	rows := l.rows(o.All)
	lanes := laneRows(rows)
	var b strings.Builder
	if o.Title != "" {
		b.WriteString(cut(o.Title) + "\n\n")
	}
	for i := range rows {
		b.WriteString(cut(strings.TrimRight(lanes[i]+rows[i].box+" "+rows[i].note, " ")) + "\n")
	}
	return b.String()
}

func cut(s string) string {
	if len(s) > Width {
		return s[:Width-2] + ".."
	}
	return s
}

func centred(label string) string {
	left := (inner - len(label) + 1) / 2
	return fmt.Sprintf(boxes, strings.Repeat(" ", max(0, left))+label+strings.Repeat(" ", max(0, inner-left-len(label))))
}

// rows makes the lines without arrows.
func (l *Layout) rows(all bool) []row {
	rows := []row{
		{box: centred("STACK"), note: "STACK of " + l.Caller + ", the outside caller"},
		{box: centred("")},
	}
	folded := l.folded(all)
	for i := 0; i < len(l.Frames); i++ {
		if n := folded[i]; n > 0 {
			rows = append(rows, l.foldRow(i, n))
			i += n - 1
			continue
		}
		rows = l.frameRows(rows, i)
	}
	return rows
}

// frameRows adds the slots of frame i with the marks of rbp and rsp.
func (l *Layout) frameRows(rows []row, i int) []row {
	f := &l.Frames[i]
	last := i == len(l.Frames)-1
	named := false
	for k := f.First; k < f.End; k++ {
		s := &l.Slots[k]
		r := row{box: centred(s.Label), addr: uint64(s.Addr), size: uint64(s.Size)}
		r.note = fmt.Sprintf("%016x %016x  %s", uint64(s.Addr), uint64(s.Value), s.Meaning)
		if s.Size > 8 {
			r.note = fmt.Sprintf("%016x %16s  %s", uint64(s.Addr), "", s.Meaning)
		}
		if s.Ptr {
			r.ptr = uint64(s.Value)
		}
		rows = append(rows, r)
		end := last && k == f.End-1
		if !end && (isBase(s, f) || s.Addr == l.RBP) {
			rows = append(rows, row{box: border, note: l.mark(s, false) + "  " + f.title()})
			named = true
		}
	}
	if !last {
		return rows
	}
	rsp := row{box: border, note: "RSP"}
	if f.End > f.First {
		rsp.note = l.mark(&l.Slots[f.End-1], true)
	}
	if !named {
		rsp.note += "  " + f.title() + ", frame not built or taken down"
	}
	return append(rows, rsp)
}

// mark names the registers that point to a slot.
func (l *Layout) mark(s *Slot, end bool) string {
	m := "rbp"
	switch {
	case s.Addr == l.RBP:
		m = "RBP"
	case end:
		return "RSP"
	}
	if end {
		m += ", RSP"
	}
	return m
}

// title says whose stack begins here.
func (f *Frame) title() string {
	s := fmt.Sprintf("STACK of %s() #%d", f.Func, f.Activation)
	if f.From != "" {
		s += fmt.Sprintf(", reuses STACK of %s() #%d", f.From, f.FromNumber)
	}
	return s
}

func (l *Layout) foldRow(i, n int) row {
	first, last := &l.Frames[i], &l.Frames[i+n-1]
	bytes := uint64(first.Top) - uint64(l.Slots[last.End-1].Addr) + 8
	return row{box: centred(":"), note: fmt.Sprintf("%d frames like those drawn, %s() #%d to %s() #%d, %d bytes",
		n, first.Func, first.Activation, last.Func, last.Activation, bytes)}
}

// folded returns the length of each run of frames that is folded, by its first frame. A frame can
// be folded if one that is drawn, at either end or above, has the same function and the same slots.
func (l *Layout) folded(all bool) map[int]int {
	runs := map[int]int{}
	n := len(l.Frames)
	if all || n < 2*keepFrames+minFold {
		return runs
	}
	drawn := map[string]bool{}
	for i := range l.Frames {
		if i < keepFrames || i >= n-keepFrames {
			drawn[l.shape(i)] = true
		}
	}
	start := -1
	for i := keepFrames; i <= n-keepFrames; i++ {
		if i < n-keepFrames && drawn[l.shape(i)] {
			if start < 0 {
				start = i
			}
			continue
		}
		if start >= 0 && i-start >= minFold {
			runs[start] = i - start
		}
		start = -1
		drawn[l.shape(i)] = true
	}
	return runs
}

func (l *Layout) shape(i int) string {
	f := &l.Frames[i]
	var b strings.Builder
	b.WriteString(f.Func + "<" + f.From)
	for _, s := range l.Slots[f.First:f.End] {
		fmt.Fprintf(&b, " %s/%d", s.Label, s.Size)
	}
	return b.String()
}
