// SPDX-License-Identifier: GPL-2.0-only

package explain

import "github.com/tcsim/tcsim/jit/x86"

// alignLimit bounds the table of a longest common subsequence. Beyond it everything between what both begin
// and end with differs.
const alignLimit = 1 << 22

// align pairs the instructions that are the same, branches to the same place included.
func (c *comparison) align() {
	numbers := map[x86.Inst]int32{}
	number := func(l *listing) []int32 {
		out := make([]int32, len(l.insns))
		for i := range l.insns {
			k := l.key(&l.insns[i])
			if _, ok := numbers[k]; !ok {
				numbers[k] = int32(len(numbers))
			}
			out[i] = numbers[k]
		}
		return out
	}
	a, b := number(c.w), number(c.g)
	c.pair, c.back = filled(len(a)), filled(len(b))
	lo := 0
	for lo < len(a) && lo < len(b) && a[lo] == b[lo] {
		c.pair[lo], c.back[lo] = lo, lo
		lo++
	}
	ea, eb := len(a), len(b)
	for ea > lo && eb > lo && a[ea-1] == b[eb-1] {
		ea, eb = ea-1, eb-1
		c.pair[ea], c.back[eb] = eb, ea
	}
	if (ea-lo)*(eb-lo) <= alignLimit {
		c.common(a[lo:ea], b[lo:eb], lo)
	}
	for c.unpairBranches() {
	}
}

func filled(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = -1
	}
	return out
}

// common pairs a longest common subsequence; both begin at position lo.
func (c *comparison) common(a, b []int32, lo int) {
	n, m := len(a), len(b)
	best := make([]uint16, (n+1)*(m+1))
	for i := n - 1; i >= 0; i-- {
		for j := m - 1; j >= 0; j-- {
			v := max(best[(i+1)*(m+1)+j], best[i*(m+1)+j+1])
			if a[i] == b[j] {
				v = max(v, best[(i+1)*(m+1)+j+1]+1)
			}
			best[i*(m+1)+j] = v
		}
	}
	for i, j := 0, 0; i < n && j < m; {
		switch at := best[i*(m+1)+j]; {
		case a[i] == b[j] && at == best[(i+1)*(m+1)+j+1]+1:
			c.pair[lo+i], c.back[lo+j] = lo+j, lo+i
			i, j = i+1, j+1
		case at == best[(i+1)*(m+1)+j]:
			i++
		default:
			j++
		}
	}
}

// unpairBranches takes branches apart that go to different places. It reports whether there were any.
func (c *comparison) unpairBranches() (changed bool) {
	c.starts = map[int]int{}
	for _, p := range c.gaps() {
		c.starts[p.w0] = p.g0
	}
	for i, j := range c.pair {
		if j < 0 {
			continue
		}
		wp, inside := c.w.target(&c.w.insns[i])
		if !inside {
			continue
		}
		if gp, _ := c.g.target(&c.g.insns[j]); !c.samePlace(wp, gp) {
			c.pair[i], c.back[j] = -1, -1
			changed = true
		}
	}
	return changed
}

// samePlace reports whether two positions are the same place: of instructions that are paired, or where the
// same piece begins that differs.
func (c *comparison) samePlace(w, g int) bool {
	switch {
	case w < 0 || g < 0:
		return false
	case w == len(c.pair) || g == len(c.back):
		if w == len(c.pair) && g == len(c.back) {
			return true
		}
	case c.pair[w] == g:
		return true
	}
	at, ok := c.starts[w]
	return ok && at == g
}
