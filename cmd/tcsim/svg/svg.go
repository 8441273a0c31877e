// SPDX-License-Identifier: GPL-2.0-only

package svg

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/tcsim/tcsim/cmd/tcsim/render"
)

// Sizes in pixels: of a letter of the fixed-width font, of a line of text, of the margin.
const (
	letter = 7.25
	line   = 18
	margin = 14
)

// style has the colours of all pictures. Viewers that know no media queries show the light ones.
const style = `
text { font: 12px "DejaVu Sans Mono", Menlo, Consolas, "Liberation Mono", monospace; fill: #1d2226; white-space: pre; }
.back { fill: #fdfdfc; }
.title { font-weight: bold; font-size: 13px; }
.soft { fill: #59636c; }
.head { font-weight: bold; }
.box { fill: #f1f3f4; stroke: #b9c1c7; }
.frame { stroke: #59636c; stroke-width: 1.5; }
.rule { stroke: #d9dde0; fill: none; }
.counter { fill: #e0f4f6; stroke: #0b6b75; }
.counting, .tail { fill: #0b6b75; }
.lane, .tailcall { stroke: #0b6b75; fill: none; stroke-width: 1.4; }
.tip { fill: #0b6b75; }
.call { stroke: #3d4852; fill: none; }
.calltip { fill: #3d4852; }
.return { stroke: #9aa5ae; fill: none; stroke-dasharray: 3 3; }
.returntip { fill: #9aa5ae; }
.ranged { stroke-dasharray: 5 3; }
.bad { fill: #b3261e; }
.badline { stroke: #b3261e; fill: none; stroke-width: 1.4; }
.live { fill: #dbeafe; stroke: #8fb4ee; }
.entry { stroke-width: 2.2; stroke: #3d4852; }
.register { fill: #8a5a00; font-weight: bold; }
@media (prefers-color-scheme: dark) {
text { fill: #e4e7ea; }
.back { fill: #14171a; }
.soft { fill: #9aa5ae; }
.box { fill: #22272c; stroke: #4a545d; }
.frame { stroke: #9aa5ae; }
.rule { stroke: #343b42; }
.counter { fill: #10343a; stroke: #74d3df; }
.counting, .tail, .tip { fill: #74d3df; }
.lane, .tailcall { stroke: #74d3df; }
.call, .entry { stroke: #c3cbd2; }
.calltip { fill: #c3cbd2; }
.bad { fill: #ff8f86; }
.badline { stroke: #ff8f86; }
.live { fill: #1c3357; stroke: #4a73b0; }
.register { fill: #f2c063; }
}
`

// canvas collects the elements of a picture.
type canvas struct {
	b    strings.Builder
	w, h float64 // so far
}

// escaped is text as XML holds it: what a reader could be misled by is written as an escape.
func escaped(s string) string {
	var b strings.Builder
	xml.EscapeText(&b, []byte(render.Plain(s))) // a Builder never fails
	return b.String()
}

// columns is how wide text is.
func columns(s string) float64 { return letter * float64(utf8.RuneCountInString(render.Plain(s))) }

// grow makes the picture at least so large.
func (c *canvas) grow(x, y float64) { c.w, c.h = max(c.w, x), max(c.h, y) }

// text writes a line whose baseline is at y. anchor is start, middle or end.
func (c *canvas) text(x, y float64, class, anchor, s string) {
	if s == "" {
		return
	}
	width := columns(s)
	switch anchor {
	case "start":
		c.grow(x+width, y)
	case "middle":
		c.grow(x+width/2, y)
	case "end":
		c.grow(x, y)
	}
	fmt.Fprintf(&c.b, `<text x="%.1f" y="%.1f" class="%s" text-anchor="%s">%s</text>`+"\n", x, y, class, anchor, escaped(s))
}

// label writes text in the middle of a line, which it covers.
func (c *canvas) label(x, y float64, class, s string) {
	if s == "" {
		return
	}
	c.rect(x-columns(s)/2-3, y-7, columns(s)+6, 14, "back", 0)
	c.text(x, y+4, class, "middle", s)
}

func (c *canvas) rect(x, y, w, h float64, class string, round float64) {
	c.grow(x+w, y+h)
	fmt.Fprintf(&c.b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="%.1f" class="%s"/>`+"\n", x, y, w, h, round, class)
}

// path draws lines; d is the data of an SVG path, made of numbers alone.
func (c *canvas) path(class, d string) { fmt.Fprintf(&c.b, `<path class="%s" d="%s"/>`+"\n", class, d) }

// tip is an arrow head at a point, directed as (dx, dy), which is of length 1.
func (c *canvas) tip(class string, x, y, dx, dy float64) {
	bx, by := x-7*dx, y-7*dy
	c.path(class, fmt.Sprintf("M%.1f %.1fL%.1f %.1fL%.1f %.1fz", x, y, bx-3.5*dy, by+3.5*dx, bx+3.5*dy, by-3.5*dx))
}

// write writes the whole picture; title is what a screen reader says.
func (c *canvas) write(w io.Writer, title string) error {
	width, height := c.w+margin, c.h+margin
	_, err := fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%.0f" viewBox="0 0 %.0f %.0f" role="img">
<title>%s</title>
<style>%s</style>
<rect class="back" width="100%%" height="100%%"/>
%s</svg>
`, width, height, width, height, escaped(title), style, c.b.String())
	return err
}
