// SPDX-License-Identifier: GPL-2.0-only

package rights

// Pairs pairs the links of two states.
type Pairs [][2]uint32

// Pair reports whether a of one state may be the same link as b of the other.
func (m *Pairs) Pair(a, b uint32) bool {
	for _, p := range *m {
		if p[0] == a || p[1] == b {
			return p[0] == a && p[1] == b
		}
	}
	*m = append(*m, [2]uint32{a, b})
	return true
}

// PairOrNew is Pair where 0 is a link of its own each time (check_scalar_ids).
func (m *Pairs) PairOrNew(a, b uint32) bool {
	if b == 0 {
		b = 1<<31 + uint32(len(*m))
	}
	return m.Pair(a, b)
}

// Same is Pair where 0 means none.
func (m *Pairs) Same(a, b uint32) bool {
	if a == 0 || b == 0 {
		return a == b
	}
	return m.Pair(a, b)
}
