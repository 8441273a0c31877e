// SPDX-License-Identifier: GPL-2.0-only

package svg

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os/exec"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// place gives nodes and edges their places.
func (n *network) place(ctx context.Context, by Layout) error {
	path, err := exec.LookPath("dot")
	switch by {
	case BuiltIn:
		n.layered()
		return nil
	case Auto:
		if err != nil {
			n.layered()
			return nil
		}
	case Dot:
		if err != nil {
			return fmt.Errorf("layout dot needs Graphviz: %w", err)
		}
	default:
		return fmt.Errorf("no layout %q: expected %s, %s or %s", by, Auto, Dot, BuiltIn)
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "-Tplain")
	cmd.Stdin = strings.NewReader(n.dot())
	out, err := cmd.Output()
	if err == nil {
		err = n.read(out)
	}
	if err != nil {
		return fmt.Errorf("dot: %w", err)
	}
	return nil
}

const inch = 72 // points of Graphviz, which are our pixels

// dot is the graph with numbers in place of names, so that no name can be anything but a name.
func (n *network) dot() string {
	var b strings.Builder
	b.WriteString("digraph g {\nrankdir=LR\nnodesep=0.3\nranksep=0.5\nnode [shape=box fixedsize=true label=\"\"]\nedge [fontname=\"Courier\" fontsize=12]\n")
	for i, v := range n.nodes {
		fmt.Fprintf(&b, "n%d [width=%.4f height=%.4f]\n", i, v.w/inch, v.h/inch)
	}
	for i, e := range n.edges {
		fmt.Fprintf(&b, "n%d -> n%d [label=\"%s\"]\n", e.from, e.to, mark(i, e.label))
	}
	b.WriteString("}\n")
	return b.String()
}

// mark is a word as wide as a label, from which the edge is known again.
func mark(i int, label string) string {
	s := fmt.Sprintf("e%d_", i)
	return s + strings.Repeat("x", max(0, utf8.RuneCountInString(label)-len(s)))
}

// read takes the places from the plain output of dot.
func (n *network) read(out []byte) error {
	height := 0.0
	for text := range bytes.Lines(out) {
		words := strings.Fields(string(text))
		if len(words) == 0 {
			continue
		}
		nums := func(from, count int) ([]float64, error) {
			if len(words) < from+count {
				return nil, errors.New("a line is too short")
			}
			v := make([]float64, count)
			for i := range v {
				var err error
				if v[i], err = strconv.ParseFloat(words[from+i], 64); err != nil {
					return nil, err
				}
			}
			return v, nil
		}
		point := func(v []float64) [2]float64 { return [2]float64{margin + v[0]*inch, margin + (height-v[1])*inch} }
		switch words[0] {
		case "graph":
			v, err := nums(1, 3)
			if err != nil {
				return err
			}
			height = v[2]
		case "node":
			v, err := nums(2, 2)
			i, bad := strconv.Atoi(strings.TrimPrefix(words[1], "n"))
			if err = errors.Join(err, bad); err != nil || i < 0 || i >= len(n.nodes) {
				return fmt.Errorf("node %s: %w", words[1], err)
			}
			p := point(v)
			n.nodes[i].x, n.nodes[i].y = p[0], p[1]
		case "edge":
			if err := n.readEdge(words, nums, point); err != nil {
				return err
			}
		}
	}
	return nil
}

func (n *network) readEdge(words []string, nums func(int, int) ([]float64, error), point func([]float64) [2]float64) error {
	count, err := nums(3, 1)
	if err != nil {
		return err
	}
	k := int(count[0])
	v, err := nums(4, 2*k)
	if err != nil {
		return err
	}
	rest := 4 + 2*k
	at, err := nums(rest+1, 2)
	if err != nil {
		return err
	}
	digits, _, _ := strings.Cut(strings.Trim(words[rest], `"`), "_")
	i, err := strconv.Atoi(strings.TrimPrefix(digits, "e"))
	if err != nil || i < 0 || i >= len(n.edges) {
		return fmt.Errorf("edge %s is unknown", words[rest])
	}
	e := &n.edges[i]
	e.points, e.at = nil, point(at)
	for p := 0; p < len(v); p += 2 {
		e.points = append(e.points, point(v[p:]))
	}
	// dot ends before the arrow head, which is ours.
	last := len(e.points) - 1
	dx, dy := direction(e.points)
	e.points[last][0] += 6 * dx
	e.points[last][1] += 6 * dy
	return nil
}

// direction is in which curves end.
func direction(points [][2]float64) (dx, dy float64) {
	last := points[len(points)-1]
	for i := len(points) - 2; i >= 0; i-- {
		dx, dy = last[0]-points[i][0], last[1]-points[i][1]
		if length := math.Hypot(dx, dy); length > 0.5 {
			return dx / length, dy / length
		}
	}
	return 1, 0
}
