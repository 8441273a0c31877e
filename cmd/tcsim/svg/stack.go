// SPDX-License-Identifier: GPL-2.0-only

package svg

import (
	"fmt"
	"io"
	"strings"

	"github.com/tcsim/tcsim/emu/stack"
)

// Picture is a stack with a heading.
type Picture struct {
	Title  string
	Layout *stack.Layout
}

// The columns of a stack: the box, then address and value.
const (
	boxWidth  = 84
	laneWidth = 10
)

// Stacks draws stacks, one under the other. all draws every frame of a long one.
func Stacks(w io.Writer, all bool, pictures []Picture) error {
	c := &canvas{}
	y := float64(margin)
	var titles []string
	for i := range pictures {
		if i > 0 {
			y += line
		}
		y = c.stack(y, all, &pictures[i])
		titles = append(titles, pictures[i].Title)
	}
	return c.write(w, "Stack: "+strings.Join(titles, ", "))
}

// stack draws one stack from y on and returns where it ends.
func (c *canvas) stack(y float64, all bool, p *Picture) float64 {
	c.text(margin, y+line-5, "title", "start", p.Title)
	y += line + 6
	rows := p.Layout.Rows(all)
	lanes := stack.Lanes(rows)
	left := float64(margin)
	for _, ln := range lanes {
		left = max(left, margin+float64(ln.Col+1)*laneWidth+6)
	}
	tops := make([]float64, len(rows))
	for i := range rows {
		tops[i] = y
		y += c.row(left, y, &rows[i])
	}
	for _, ln := range lanes {
		c.lane(left, tops, &ln)
	}
	return y
}

// row draws a row and returns its height.
func (c *canvas) row(left, y float64, r *stack.Row) float64 {
	right := left + boxWidth + 10
	base := y + line - 5
	if r.Border {
		c.path("frame", fmt.Sprintf("M%.1f %.1fH%.1f", left, y+line/2, left+boxWidth))
		marks, title, _ := strings.Cut(r.Note, "  ")
		class := "soft"
		if strings.ToUpper(marks) == marks {
			class = "register"
		}
		c.text(right, base, class, "start", marks)
		c.text(right+columns(marks)+14, base, "head", "start", title)
		return line
	}
	box, text := "box", "mid"
	if r.Slot != nil && r.Slot.Count != nil {
		box, text = "counter", "counting"
	} else if r.Slot != nil && r.Slot.Ptr {
		text = "counting"
	}
	c.rect(left, y, boxWidth, line, box, 0)
	c.text(left+boxWidth/2, base, text, "middle", r.Label)
	s := r.Slot
	if s == nil {
		c.text(right, base, "soft", "start", r.Note)
		return line
	}
	c.text(right, base, "soft", "start", fmt.Sprintf("%016x", uint64(s.Addr)))
	right += 17 * letter
	if s.Size <= 8 {
		c.text(right, base, "value", "start", fmt.Sprintf("%016x", uint64(s.Value)))
	}
	c.text(right+18*letter, base, text, "start", r.Note)
	return line
}

// lane draws the arrow from all pointers to one counter.
func (c *canvas) lane(left float64, tops []float64, ln *stack.Lane) {
	x := left - 8 - float64(ln.Col)*laneWidth
	at := tops[ln.Target] + line/2
	var d strings.Builder
	for _, i := range ln.From {
		fmt.Fprintf(&d, "M%.1f %.1fH%.1f", left, tops[i]+line/2, x)
	}
	fmt.Fprintf(&d, "M%.1f %.1fV%.1fM%.1f %.1fH%.1f", x, tops[ln.Lo]+line/2, tops[ln.Hi]+line/2, x, at, left-3)
	c.path("lane", d.String())
	c.tip("tip", left, at, 1, 0)
}
