// SPDX-License-Identifier: GPL-2.0-only

package stack

import (
	"fmt"
	"slices"
)

// maxLanes is how many counters can have arrows side by side; further ones are named only.
const maxLanes = 5

// Lane is the arrow from all pointers to one counter. Rows are indexes into what Rows returns.
type Lane struct {
	Target int   // row of the counter
	From   []int // rows of the pointers
	Lo, Hi int   // rows that it spans
	Col    int   // 0 is next to the box
}

// Lanes returns the arrows of a drawing. A pointer whose target is not drawn says so in its note from then on, and
// so does one for whose counter there is no room.
func Lanes(rows []Row) []Lane {
	byTarget := map[int]*Lane{}
	var order []int
	for i := range rows {
		s := rows[i].Slot
		if s == nil || !s.Ptr || s.Value == 0 {
			continue
		}
		t := slices.IndexFunc(rows, func(r Row) bool {
			return r.Slot != nil && uint64(s.Value-r.Slot.Addr) < uint64(r.Slot.Size)
		})
		if t < 0 {
			rows[i].Note += ", to what is not drawn"
			continue
		}
		if byTarget[t] == nil {
			byTarget[t] = &Lane{Target: t, Lo: t, Hi: t}
			order = append(order, t)
		}
		ln := byTarget[t]
		ln.From = append(ln.From, i)
		ln.Lo, ln.Hi = min(ln.Lo, i), max(ln.Hi, i)
	}
	var lanes []Lane
	for _, t := range order {
		ln := byTarget[t]
		for ln.Col = 0; slices.ContainsFunc(lanes, func(o Lane) bool { return o.Col == ln.Col && o.Lo <= ln.Hi && ln.Lo <= o.Hi }); {
			ln.Col++
		}
		if ln.Col >= maxLanes {
			for _, i := range ln.From {
				rows[i].Note += fmt.Sprintf(", to %#x", uint64(rows[i].Slot.Value))
			}
			continue
		}
		lanes = append(lanes, *ln)
	}
	return lanes
}

// lineSet are the characters of lines.
type lineSet struct {
	across, down, tip              string
	start, end                     string // of a lane: where it leaves a box downwards, and upwards
	tee                            string // of a lane that goes on
	side, border, borderL, borderR string
}

var (
	asciiLines = lineSet{"-", "|", ">", "+", "+", "+", "|", "-", "+", "+"}
	boxLines   = lineSet{"─", "│", "▶", "┌", "└", "├", "│", "─", "├", "┤"}
)

// arrows draws row i of all lanes; continued says that it goes on the row above and has no ends of its own. Each lane takes
// two columns, and two more lead to the box.
func (set *lineSet) arrows(lanes []Lane, cols, i int, continued bool) string {
	if cols == 0 {
		return "   "
	}
	b := make([]string, 2*cols+2)
	for k := range b {
		b[k] = " "
	}
	column := func(ln *Lane) int { return 2*(cols-1-ln.Col) + 1 }
	for k := range lanes {
		ln := &lanes[k]
		if i >= ln.Lo && (i < ln.Hi || i == ln.Hi && !continued) {
			b[column(ln)] = set.down
		}
	}
	if !continued {
		for k := range lanes {
			set.leave(b, &lanes[k], column(&lanes[k]), i)
		}
	}
	out := ""
	for _, s := range b {
		out += s
	}
	return out
}

// leave draws the line between a lane and the box of row i, if it has one.
func (set *lineSet) leave(b []string, ln *Lane, at, i int) {
	to := i == ln.Target
	if !to && !slices.Contains(ln.From, i) {
		return
	}
	switch i {
	case ln.Lo:
		b[at] = set.start
	case ln.Hi:
		b[at] = set.end
	default:
		b[at] = set.tee
	}
	for k := at + 1; k < len(b); k++ {
		if b[k] == " " {
			b[k] = set.across
		}
	}
	if to {
		b[len(b)-1] = set.tip
	}
}
