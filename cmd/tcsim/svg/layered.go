// SPDX-License-Identifier: GPL-2.0-only

package svg

import (
	"cmp"
	"slices"
)

// layered places the graph in layers from left to right: who calls stands left of who is called, but for the edges that
// close a circle, which go back below. Edges over several layers take a place in each.
func (n *network) layered() {
	l := &layers{network: n, back: n.circles()}
	l.assign()
	l.split()
	l.order()
	l.coordinates()
	l.route()
}

// layers is a layout in the making. A spot is a node, or the place of an edge in a layer that it passes.
type layers struct {
	*network
	back  []bool  // by edge
	layer []int   // by node
	spots [][]int // by layer: spots from top to bottom
	size  []float64
	way   [][]int // by edge: its spots, ends included
	x, y  []float64
}

// circles finds edges that lead back to where a search from the entries has come from.
func (n *network) circles() []bool {
	back := make([]bool, len(n.edges))
	state := make([]int, len(n.nodes)) // 1 on the way, 2 done
	var visit func(int)
	visit = func(v int) {
		state[v] = 1
		for i, e := range n.edges {
			switch {
			case e.from != v:
			case state[e.to] == 1:
				back[i] = true
			case state[e.to] == 0:
				visit(e.to)
			}
		}
		state[v] = 2
	}
	for _, first := range []bool{true, false} {
		for v := range n.nodes {
			if state[v] == 0 && (n.nodes[v].kind == entry || !first) {
				visit(v)
			}
		}
	}
	return back
}

// assign puts each node right of all that lead to it.
func (l *layers) assign() {
	l.layer = make([]int, len(l.nodes))
	for changed := true; changed; {
		changed = false
		for i, e := range l.edges {
			if !l.back[i] && l.layer[e.to] <= l.layer[e.from] {
				l.layer[e.to], changed = l.layer[e.from]+1, true
			}
		}
	}
}

// split gives edges a spot in each layer that they pass.
func (l *layers) split() {
	last := 0
	for v := range l.nodes {
		last = max(last, l.layer[v])
	}
	l.spots = make([][]int, last+1)
	for v := range l.nodes {
		l.spots[l.layer[v]] = append(l.spots[l.layer[v]], v)
		l.size = append(l.size, l.nodes[v].h)
	}
	l.way = make([][]int, len(l.edges))
	for i, e := range l.edges {
		if l.back[i] {
			continue
		}
		way := []int{e.from}
		for k := l.layer[e.from] + 1; k < l.layer[e.to]; k++ {
			way = append(way, len(l.size))
			l.spots[k] = append(l.spots[k], len(l.size))
			l.size = append(l.size, line)
		}
		l.way[i] = append(way, e.to)
	}
}

// order sorts each layer by where its neighbours stand, forwards and back a few times.
func (l *layers) order() {
	next, before := make([][]int, len(l.size)), make([][]int, len(l.size))
	for _, way := range l.way {
		for k := 1; k < len(way); k++ {
			next[way[k-1]] = append(next[way[k-1]], way[k])
			before[way[k]] = append(before[way[k]], way[k-1])
		}
	}
	at := make([]float64, len(l.size))
	number := func() {
		for _, layer := range l.spots {
			for i, v := range layer {
				at[v] = float64(i) - float64(len(layer))/2
			}
		}
	}
	sort := func(k int, beside [][]int) {
		mean := func(v int) float64 {
			if len(beside[v]) == 0 {
				return at[v]
			}
			sum := 0.0
			for _, w := range beside[v] {
				sum += at[w]
			}
			return sum / float64(len(beside[v]))
		}
		slices.SortStableFunc(l.spots[k], func(a, b int) int { return cmp.Compare(mean(a), mean(b)) })
		number()
	}
	number()
	for range 6 {
		for k := 1; k < len(l.spots); k++ {
			sort(k, before)
		}
		for k := len(l.spots) - 2; k >= 0; k-- {
			sort(k, next)
		}
	}
}

// gapY is the space between spots of a layer, gapX the least between layers.
const (
	gapY = 26
	gapX = 44
)

// coordinates places layers side by side, with room for the labels between them, and centres each.
func (l *layers) coordinates() {
	l.x, l.y = make([]float64, len(l.size)), make([]float64, len(l.size))
	tallest := 0.0
	height := make([]float64, len(l.spots))
	for k, layer := range l.spots {
		for _, v := range layer {
			height[k] += l.size[v] + gapY
		}
		tallest = max(tallest, height[k])
	}
	x := float64(margin)
	for k, layer := range l.spots {
		width, label := 0.0, 0.0
		for _, v := range layer {
			if v < len(l.nodes) {
				width = max(width, l.nodes[v].w)
			}
		}
		for i, e := range l.edges {
			if l.way[i] != nil && l.layer[e.from] == k {
				label = max(label, columns(e.label))
			}
		}
		y := margin + (tallest-height[k])/2 + loopRoom
		for _, v := range layer {
			l.x[v], l.y[v] = x+width/2, y+l.size[v]/2
			if v < len(l.nodes) {
				l.nodes[v].x, l.nodes[v].y = l.x[v], l.y[v]
			}
			y += l.size[v] + gapY
		}
		x += width + gapX + label
	}
}

// loopRoom is what an edge from a node to itself needs above it.
const loopRoom = 30

// route draws the curves.
func (l *layers) route() {
	low := 0.0
	for v := range l.nodes {
		low = max(low, l.nodes[v].y+l.nodes[v].h/2)
	}
	loops, between := map[int]int{}, map[[2]int]int{}
	for i := range l.edges {
		e := &l.edges[i]
		from, to := &l.nodes[e.from], &l.nodes[e.to]
		switch {
		case e.from == e.to:
			r := 16 + 14*float64(loops[e.from])
			loops[e.from]++
			x, y := from.x, from.y-from.h/2
			e.points = [][2]float64{{x + 12, y}, {x + 12 + r, y - r - 4}, {x - 12 - r, y - r - 4}, {x - 12, y}}
			e.at = [2]float64{x, y - 0.75*(r+4) - 9}
		case l.back[i]:
			low += line + 4
			a, b := [2]float64{from.x, from.y + from.h/2}, [2]float64{to.x, to.y + to.h/2}
			mid := (a[0] + b[0]) / 2
			e.points = [][2]float64{a, {a[0], low}, {a[0], low}, {mid, low}, {b[0], low}, {b[0], low}, b}
			e.at = [2]float64{mid, low}
		default:
			l.forward(e, l.way[i], between)
		}
	}
}

// forward draws an edge through its spots. Edges between the same nodes leave and arrive apart.
func (l *layers) forward(e *edge, way []int, between map[[2]int]int) {
	n := between[[2]int{e.from, e.to}]
	between[[2]int{e.from, e.to}]++
	shift := float64((n+1)/2) * 9 * float64(1-2*(n%2))
	from, to := &l.nodes[e.from], &l.nodes[e.to]
	p := [2]float64{from.x + from.w/2, from.y + shift}
	e.points = [][2]float64{p}
	curve := func(q [2]float64) {
		mid := (p[0] + q[0]) / 2
		e.points = append(e.points, [2]float64{mid, p[1]}, [2]float64{mid, q[1]}, q)
		p = q
	}
	for _, v := range way[1 : len(way)-1] {
		curve([2]float64{l.x[v], l.y[v] + shift})
	}
	curve([2]float64{to.x - to.w/2, to.y + shift})
	a, b := e.points[0], e.points[3]
	e.at = [2]float64{(a[0] + b[0]) / 2, (a[1] + b[1]) / 2}
}
