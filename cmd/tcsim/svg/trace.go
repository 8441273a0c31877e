// SPDX-License-Identifier: GPL-2.0-only

package svg

import (
	"fmt"
	"io"
	"strings"

	"github.com/tcsim/tcsim/cmd/tcsim/render"
	"github.com/tcsim/tcsim/emu/trace"
)

// The size of a trace: of an event, and the least distance of two functions.
const (
	step  = 20
	apart = 150
)

// calls draws a trace.
type calls struct {
	canvas
	code *trace.Code
	x    map[string]float64 // of a function, or of what is outside
}

const outside = "the kernel"

// Trace draws who called whom over time: functions from left to right, events from top to bottom. title stands above.
func Trace(w io.Writer, title string, code *trace.Code, events []trace.Event, ending string) error {
	c := &calls{code: code, x: map[string]float64{}}
	c.text(margin, margin+line-5, "title", "start", title)
	top := float64(margin + 2*line)
	for i, head := range []string{"#", "depth", "tcc"} {
		c.text(column(i), top, "soft", "end", head)
	}
	c.columns(events, top)
	y := top + line
	for i := range events {
		y += step
		c.event(&events[i], y)
	}
	for _, x := range c.x {
		c.grow(x, y)
	}
	lines := &strings.Builder{}
	for _, name := range c.order(events) {
		fmt.Fprintf(lines, "M%.1f %.1fV%.1f", c.x[name], top+6, y+step/2)
	}
	body := c.b.String()
	c.b.Reset()
	c.path("rule", lines.String()) // below everything
	c.b.WriteString(body)
	if ending != "" {
		for _, text := range render.Fold(ending, 84) {
			y += line
			c.text(margin, y+line/2, "bad", "start", text)
		}
	}
	c.grow(0, y+step)
	return c.write(w, title)
}

// order lists the functions in the order in which they come up, what is outside first.
func (c *calls) order(events []trace.Event) []string {
	out := []string{outside}
	seen := map[string]bool{outside: true}
	add := func(name string) {
		if name != "" && !seen[name] {
			seen[name] = true
			out = append(out, name)
		}
	}
	for i := range events {
		e := &events[i]
		if e.Kind == trace.KindPoke {
			continue
		}
		if e.Fn != nil {
			add(e.Fn.String())
		}
		if e.Target != nil {
			add(e.Target.String())
		}
	}
	return out
}

// column is where column i of the numbers on the left ends.
func column(i int) float64 { return margin + float64(4+6*i)*letter }

// numbers is where they all end.
const numbers = margin + 18*letter

// columns places the functions.
func (c *calls) columns(events []trace.Event, y float64) {
	x := numbers + columns(outside)/2
	last := 0.0
	for i, name := range c.order(events) {
		if i > 0 {
			x += max(apart, (last+columns(name))/2+2*letter)
		}
		last = columns(name)
		c.x[name] = x
		class := "head"
		if name == outside {
			class = "soft"
		}
		c.text(x, y, class, "middle", name)
	}
}

// ends are where an event comes from and where it leads.
func (c *calls) ends(e *trace.Event) (from, to string) {
	from, to = outside, outside
	if e.Fn != nil {
		from = e.Fn.String()
	}
	if e.Target != nil {
		to = e.Target.String()
	}
	if e.Kind == trace.KindEntry {
		from, to = outside, from
	}
	return from, to
}

// event draws one event.
func (c *calls) event(e *trace.Event, y float64) {
	c.text(column(0), y+4, "soft", "end", fmt.Sprint(e.No))
	if e.Kind != trace.KindPoke {
		c.text(column(1), y+4, "soft", "end", fmt.Sprint(e.Depth))
	}
	if e.CounterAddr != 0 {
		c.text(column(2), y+4, "counting", "end", fmt.Sprint(e.Counter))
	}
	from, to := c.ends(e)
	x, end := c.x[from], c.x[to]
	switch e.Kind {
	case trace.KindPoke:
		c.text(numbers, y+4, "register", "start", "poke "+e.What(c.code))
	case trace.KindRefused:
		c.path("badline", fmt.Sprintf("M%.1f %.1fh26m-4 -4l8 8m0 -8l-8 8", x, y))
		c.text(x+36, y+4, "bad", "start", e.Reason.String())
	case trace.KindHelper:
		c.path("call", fmt.Sprintf("M%.1f %.1fh14", x, y))
		c.tip("calltip", x+18, y, 1, 0)
		c.text(x+24, y+4, "soft", "start", e.Name)
	case trace.KindTailCall:
		c.arrow(x, end, y, "tailcall", "tip", fmt.Sprintf("tail call %d", e.Taken), "tail")
	case trace.KindReturn:
		c.arrow(x, end, y, "return", "returntip", "", "")
	default:
		c.arrow(x, end, y, "call", "calltip", "", "")
	}
}

// arrow leads from one function to another, or in a loop to the same.
func (c *calls) arrow(from, to, y float64, class, tip, label, text string) {
	if from == to {
		c.path(class, fmt.Sprintf("M%.1f %.1fh24v9h-18", from, y-4))
		c.tip(tip, from+1, y+5, -1, 0)
		c.text(from+30, y+4, text, "start", label)
		return
	}
	dx := 1.0
	if to < from {
		dx = -1
	}
	c.path(class, fmt.Sprintf("M%.1f %.1fH%.1f", from, y, to-4*dx))
	c.tip(tip, to-dx, y, dx, 0)
	c.label((from+to)/2, y, text, label)
}
