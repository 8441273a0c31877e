// SPDX-License-Identifier: GPL-2.0-only

package callgraph

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/emicklei/dot"
)

// Text draws the graph as text: a program with what it calls, then the prog arrays.
func (g *Graph) Text() string { return g.TextIn(Width) }

// TextIn is Text in lines of at most width columns, if no single word is longer.
func (g *Graph) TextIn(width int) string {
	var b strings.Builder
	for i := range g.Programs {
		p := &g.Programs[i]
		b.WriteString("program " + p.Name)
		if p.Entry {
			b.WriteString(" (entry)")
		}
		b.WriteByte('\n')
		for j := range p.Functions {
			p.Functions[j].text(&b, width, j != 0)
		}
	}
	for _, a := range g.Arrays {
		fmt.Fprintf(&b, "prog array %s, %d of %d slots filled\n", a.Name, len(a.Slots), a.Entries)
		for _, s := range a.Slots {
			b.WriteString(FoldIn(width, fmt.Sprintf("  %d: %s", s.Key, strings.Join(s.Programs, ", "))))
		}
	}
	return b.String()
}

func (f *Func) text(b *strings.Builder, width int, named bool) {
	indent := "  "
	if named {
		fmt.Fprintf(b, "  function %s\n", f.Name)
		indent = "    "
	}
	if len(f.Calls) > 0 {
		folded(b, width, indent, "calls "+strings.Join(f.Calls, ", "))
	}
	for i := range f.TailCalls {
		c := &f.TailCalls[i]
		to := strings.Join(c.Targets, ", ")
		if to == "" {
			to = "nothing"
		}
		folded(b, width, indent, fmt.Sprintf("tail call %s → %s (instruction %d)", c.Place(), to, c.Insn))
	}
}

// folded writes a line, broken at blanks where it would have more columns than width.
func folded(b *strings.Builder, width int, indent, text string) {
	line := indent
	for i, word := range strings.Fields(text) {
		if i > 0 && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
			fmt.Fprintln(b, line)
			line = indent + "    " + word
			continue
		}
		if i > 0 {
			line += " "
		}
		line += word
	}
	fmt.Fprintln(b, line)
}

// Width is how many columns a line of text takes, if it has blanks to be broken at.
const Width = 100

// Fold breaks a line at blanks; what follows is indented by four more. It ends with a newline.
func Fold(line string) string { return FoldIn(Width, line) }

// FoldIn is Fold for lines of another width.
func FoldIn(width int, line string) string {
	var b strings.Builder
	indent := line[:len(line)-len(strings.TrimLeft(line, " "))]
	col := 0
	for i, word := range strings.Fields(line) {
		n := utf8.RuneCountInString(word)
		switch {
		case i == 0:
			b.WriteString(indent)
			col = len(indent)
		case col+1+n > width:
			b.WriteString("\n    " + indent)
			col = len(indent) + 4
		default:
			b.WriteByte(' ')
			col++
		}
		b.WriteString(word)
		col += n
	}
	return b.String() + "\n"
}

// Place is the array with the key.
func (c *TailCall) Place() string {
	if c.Array == "" {
		return "through an unknown array"
	}
	return fmt.Sprintf("%s[%s]", c.Array, c.keyText())
}

// DOT draws the graph for Graphviz: programs are boxes, functions ellipses; tail calls are bold,
// dashed where the key is no constant, red where they lead nowhere.
func (g *Graph) DOT() string {
	d := dot.NewGraph(dot.Directed)
	d.ID(g.Name)
	d.Attr("rankdir", "LR")
	for i := range g.Programs {
		p := &g.Programs[i]
		n := d.Node("program " + p.Name).Label(p.Name).Box()
		if p.Entry {
			n.Attr("penwidth", "2")
		}
	}
	for i := range g.Programs {
		p := &g.Programs[i]
		for j := range p.Functions {
			g.function(d, p, &p.Functions[j])
		}
	}
	return d.String() + "\n"
}

// node returns the node of a function, that of the program for its entry.
func node(d *dot.Graph, p *Program, fn string) dot.Node {
	if fn == p.Functions[0].Name {
		return d.Node("program " + p.Name)
	}
	return d.Node("function " + p.Name + " " + fn).Label(fn)
}

func (g *Graph) function(d *dot.Graph, p *Program, f *Func) {
	from := node(d, p, f.Name)
	for _, to := range f.Calls {
		d.Edge(from, node(d, p, to))
	}
	for i := range f.TailCalls {
		c := &f.TailCalls[i]
		edge := func(to dot.Node) dot.Edge {
			e := d.Edge(from, to, c.Place())
			if c.Min != c.Max {
				return e.Dashed()
			}
			return e.Bold()
		}
		for _, t := range c.Targets {
			edge(d.Node("program " + t))
		}
		if len(c.Targets) == 0 {
			id := fmt.Sprintf("nothing %s %d %s", p.Name, c.Insn, c.keyText())
			edge(d.Node(id).Label("nothing").Attr("shape", "plaintext").Attr("fontcolor", "red")).Attr("color", "red")
		}
	}
}
