// SPDX-License-Identifier: GPL-2.0-only

package stack

import (
	"fmt"
	"strings"
)

// Row is one line of a drawing: a box, or the border between two, with what stands right of it.
type Row struct {
	Label  string // of the box
	Border bool
	// Slot is what the box shows; nil for the frame of the outside caller and for frames that are folded.
	Slot *Slot
	// Note is what stands right of the box, of a slot right of its address and value. That of a border names
	// the registers that point there, and after two blanks whose stack begins.
	Note string
}

// The frames at either end that are never folded, and how many in between are worth it.
const (
	keepFrames = 3
	minFold    = 3
)

// Rows are the lines of a drawing from top to bottom. all draws every frame of a long stack; otherwise frames in
// the middle that look like others are folded into one line.
func (l *Layout) Rows(all bool) []Row {
	rows := []Row{
		{Label: "STACK", Note: "STACK of " + l.Caller + ", the outside caller"},
		{},
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
func (l *Layout) frameRows(rows []Row, i int) []Row {
	f := &l.Frames[i]
	last := i == len(l.Frames)-1
	named := false
	for k := f.First; k < f.End; k++ {
		s := &l.Slots[k]
		rows = append(rows, Row{Label: s.Label, Slot: s, Note: s.Meaning})
		end := last && k == f.End-1
		if !end && (isBase(s, f) || s.Addr == l.RBP) {
			rows = append(rows, Row{Border: true, Note: l.mark(s, false) + "  " + f.title()})
			named = true
		}
	}
	if !last {
		return rows
	}
	rsp := Row{Border: true, Note: "RSP"}
	if f.End > f.First {
		rsp.Note = l.mark(&l.Slots[f.End-1], true)
	}
	if !named {
		rsp.Note += "  " + f.title() + ", frame not built or taken down"
	}
	return append(append(rows, rsp), l.staleRows()...)
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

func (l *Layout) foldRow(i, n int) Row {
	first, last := &l.Frames[i], &l.Frames[i+n-1]
	bytes := uint64(first.Top) - uint64(l.Slots[last.End-1].Addr) + 8
	return Row{Label: ":", Note: fmt.Sprintf("%d frames like those drawn, %s() #%d to %s() #%d, %d bytes",
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
