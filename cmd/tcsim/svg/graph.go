// SPDX-License-Identifier: GPL-2.0-only

package svg

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/tcsim/tcsim/scenarios/callgraph"
)

// Layout says who places the nodes of a graph.
type Layout string

// The layouts. Auto is Dot where Graphviz is installed, else BuiltIn, whose pictures are the same on
// every machine.
const (
	Auto    Layout = "auto"
	Dot     Layout = "dot"
	BuiltIn Layout = "built-in"
)

// node is a program, a function of one, or where a tail call leads nowhere.
type node struct {
	label string
	kind  nodeKind
	w, h  float64
	x, y  float64 // of the middle
}

type nodeKind uint8

const (
	program nodeKind = iota
	entry
	function
	nothing
)

// edge is a call or a tail call.
type edge struct {
	from, to int
	label    string
	tail     bool
	ranged   bool // the key is no constant
	// points are those of cubic curves: one, then three for each curve.
	points [][2]float64
	at     [2]float64 // middle of the label
}

type network struct {
	nodes []node
	edges []edge
	index map[string]int
}

func (n *network) node(id, label string, kind nodeKind) int {
	if i, ok := n.index[id]; ok {
		return i
	}
	n.index[id] = len(n.nodes)
	n.nodes = append(n.nodes, node{label: label, kind: kind, w: columns(label) + 22, h: 28})
	return len(n.nodes) - 1
}

// networkOf takes the nodes and edges of a graph, an edge for each way that its text form lists.
func networkOf(g *callgraph.Graph) *network {
	n := &network{index: map[string]int{}}
	for i := range g.Programs {
		kind := program
		if g.Programs[i].Entry {
			kind = entry
		}
		n.node("program "+g.Programs[i].Name, g.Programs[i].Name, kind)
	}
	for i := range g.Programs {
		p := &g.Programs[i]
		at := func(fn string) int {
			if fn == p.Functions[0].Name {
				return n.node("program "+p.Name, p.Name, program)
			}
			return n.node("function "+p.Name+"\x00"+fn, fn+"()", function)
		}
		for k := range p.Functions {
			f := &p.Functions[k]
			from := at(f.Name)
			for _, to := range f.Calls {
				n.edges = append(n.edges, edge{from: from, to: at(to)})
			}
			for _, c := range f.TailCalls {
				e := edge{from: from, label: c.Place(), tail: true, ranged: c.Min != c.Max}
				for _, to := range c.Targets {
					e.to = n.node("program "+to, to, program)
					n.edges = append(n.edges, e)
				}
				if len(c.Targets) == 0 {
					e.to = n.node(fmt.Sprintf("nothing %s\x00%s\x00%d %s", p.Name, f.Name, c.Insn, c.Place()), "nothing", nothing)
					n.edges = append(n.edges, e)
				}
			}
		}
	}
	return n
}

// Graph draws which programs call and tail call which. It fails if the layout needs what is not there.
func Graph(ctx context.Context, w io.Writer, g *callgraph.Graph, by Layout) error {
	n := networkOf(g)
	if err := n.place(ctx, by); err != nil {
		return err
	}
	n.apart()
	n.inside()
	c := &canvas{}
	for i := range n.edges {
		c.edge(n, &n.edges[i])
	}
	for i := range n.nodes {
		c.node(&n.nodes[i])
	}
	for i := range n.edges {
		if e := &n.edges[i]; e.label != "" {
			class := "tail"
			if n.nodes[e.to].kind == nothing {
				class = "bad"
			}
			c.label(e.at[0], e.at[1], class, e.label)
		}
	}
	c.legend(n)
	return c.write(w, "Calls of "+g.Name)
}

// area is a rectangle.
type area struct{ x, y, w, h float64 }

func (a area) meets(b area) bool {
	return a.x < b.x+b.w && b.x < a.x+a.w && a.y < b.y+b.h && b.y < a.y+a.h
}

func (n *node) area() area { return area{n.x - n.w/2, n.y - n.h/2, n.w, n.h} }

// area is where the label is.
func (e *edge) area() area {
	w := columns(e.label) + 6
	return area{e.at[0] - w/2, e.at[1] - 7, w, 14}
}

// apart moves labels up or down, each as little as keeps it from nodes and from the labels before it.
func (n *network) apart() {
	var taken []area
	for i := range n.nodes {
		if n.nodes[i].kind != nothing {
			taken = append(taken, n.nodes[i].area())
		}
	}
	for i := range n.edges {
		e := &n.edges[i]
		if e.label == "" {
			continue
		}
		at := e.at[1]
		for k := 0; slices.ContainsFunc(taken, e.area().meets); k++ {
			e.at[1] = at + float64((k+2)/2*4)*float64(1-2*(k%2))
		}
		taken = append(taken, e.area())
	}
}

// inside moves everything to the right and down as far as something is outside of the picture.
func (n *network) inside() {
	left, top := 0.0, 0.0
	see := func(x, y float64) { left, top = min(left, x-margin), min(top, y-margin) }
	for i := range n.nodes {
		see(n.nodes[i].area().x, n.nodes[i].area().y)
	}
	for i := range n.edges {
		e := &n.edges[i]
		for _, p := range e.points {
			see(p[0], p[1])
		}
		if e.label != "" {
			see(e.area().x, e.area().y)
		}
	}
	for i := range n.nodes {
		n.nodes[i].x, n.nodes[i].y = n.nodes[i].x-left, n.nodes[i].y-top
	}
	for i := range n.edges {
		e := &n.edges[i]
		e.at[0], e.at[1] = e.at[0]-left, e.at[1]-top
		for k := range e.points {
			e.points[k][0], e.points[k][1] = e.points[k][0]-left, e.points[k][1]-top
		}
	}
}

func (c *canvas) node(n *node) {
	x, y := n.x-n.w/2, n.y-n.h/2
	switch n.kind {
	case nothing:
		c.text(n.x, n.y+4, "bad", "middle", n.label)
		c.grow(x+n.w, y+n.h)
		return
	case entry:
		c.rect(x, y, n.w, n.h, "box entry", 2)
	case function:
		c.rect(x, y, n.w, n.h, "box", n.h/2)
	default:
		c.rect(x, y, n.w, n.h, "box", 2)
	}
	c.text(n.x, n.y+4, "mid", "middle", n.label)
}

func (c *canvas) edge(n *network, e *edge) {
	if len(e.points) < 4 {
		return
	}
	class, tip := "call", "calltip"
	switch {
	case n.nodes[e.to].kind == nothing:
		class, tip = "badline", "bad"
	case e.ranged:
		class, tip = "tailcall ranged", "tip"
	case e.tail:
		class, tip = "tailcall", "tip"
	}
	var d strings.Builder
	for i, p := range e.points {
		c.grow(p[0], p[1])
		switch {
		case i == 0:
			d.WriteString("M")
		case i%3 == 1:
			d.WriteString("C")
		default:
			d.WriteString(" ")
		}
		fmt.Fprintf(&d, "%.1f %.1f", p[0], p[1])
	}
	c.path(class, d.String())
	last := e.points[len(e.points)-1]
	dx, dy := direction(e.points)
	c.tip(tip, last[0], last[1], dx, dy)
}

// legend says what the lines mean.
func (c *canvas) legend(n *network) {
	y := c.h + line + 6
	c.text(margin, y, "soft", "start", "box: program (thick: entry), round: function; thin: call, coloured: tail call with its slot")
	for i := range n.edges {
		if n.edges[i].ranged {
			c.text(margin, y+line, "soft", "start", "dashed: the key is no constant")
			break
		}
	}
}
