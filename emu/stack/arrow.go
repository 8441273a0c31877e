// SPDX-License-Identifier: GPL-2.0-only

package stack

import (
	"fmt"
	"slices"
	"strings"
)

// maxLanes is how many counters can have arrows side by side; further ones are named only.
const maxLanes = 5

// lane is the arrow from all pointers to one counter.
type lane struct {
	target int   // row of the counter
	from   []int // rows of the pointers
	lo, hi int   // rows that it spans
	col    int   // 0 is next to the box
}

// laneRows returns what stands left of each row's box: the arrows. A pointer whose target is not
// drawn says so in its note.
func laneRows(rows []row) []string {
	lanes := assignLanes(rows)
	cols := 0
	for _, ln := range lanes {
		cols = max(cols, ln.col+1)
	}
	out := make([]string, len(rows))
	for i := range rows {
		out[i] = arrows(lanes, cols, i)
	}
	return out
}

func assignLanes(rows []row) []lane {
	byTarget := map[int]*lane{}
	var order []int
	for i := range rows {
		if rows[i].ptr == 0 {
			continue
		}
		t := slices.IndexFunc(rows, func(r row) bool { return r.addr != 0 && rows[i].ptr-r.addr < r.size })
		if t < 0 {
			rows[i].note += ", to what is not drawn"
			continue
		}
		if byTarget[t] == nil {
			byTarget[t] = &lane{target: t, lo: t, hi: t}
			order = append(order, t)
		}
		ln := byTarget[t]
		ln.from = append(ln.from, i)
		ln.lo, ln.hi = min(ln.lo, i), max(ln.hi, i)
	}
	var lanes []lane
	for _, t := range order {
		ln := byTarget[t]
		for ln.col = 0; slices.ContainsFunc(lanes, func(o lane) bool { return o.col == ln.col && o.lo <= ln.hi && ln.lo <= o.hi }); {
			ln.col++
		}
		if ln.col >= maxLanes {
			for _, i := range ln.from {
				rows[i].note += fmt.Sprintf(", to %#x", rows[i].ptr)
			}
			continue
		}
		lanes = append(lanes, *ln)
	}
	return lanes
}

// arrows draws row i of all lanes. Each lane takes two columns, and two more lead to the box.
func arrows(lanes []lane, cols, i int) string {
	if cols == 0 {
		return "   "
	}
	b := []byte(strings.Repeat(" ", 2*cols+2))
	for _, ln := range lanes {
		if i >= ln.lo && i <= ln.hi {
			b[2*(cols-1-ln.col)+1] = '|'
		}
	}
	for _, ln := range lanes {
		at := 2*(cols-1-ln.col) + 1
		to := i == ln.target
		if !to && !slices.Contains(ln.from, i) {
			continue
		}
		b[at] = '+'
		for k := at + 1; k < len(b); k++ {
			if b[k] == ' ' {
				b[k] = '-'
			}
		}
		if to {
			b[len(b)-1] = '>'
		}
	}
	return string(b)
}
