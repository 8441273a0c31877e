// SPDX-License-Identifier: GPL-2.0-only

package explore

import "math/big"

func zeros(n int) []*big.Int {
	w, all := make([]*big.Int, n), make([]big.Int, n)
	for i := range w {
		w[i] = &all[i]
	}
	return w
}

func sum(ways []*big.Int) *big.Int {
	s := new(big.Int)
	for _, w := range ways {
		s.Add(s, w)
	}
	return s
}

// advance is advance of ways, and accounts for what that computes.
func (e *explorer) advance(ways []*big.Int, n uint64) []*big.Int {
	out := advance(ways, n)
	if n > 0 {
		v := uint64(len(ways))
		each := uint64(16) // what an addition takes besides, in words
		for _, w := range out {
			each = max(each, 16+uint64(len(w.Bits())))
		}
		e.work += each * min(n*v, v*v/2+v)
	}
	return out
}

// advance executes n instructions, before each of which any number of steps may be taken: by how
// many ways each version can then be reached. Going up by d in n places has C(n-1+d, d) ways.
func advance(ways []*big.Int, n uint64) []*big.Int {
	if n == 0 {
		return ways
	}
	out := zeros(len(ways))
	if n <= uint64(len(ways))/8 { // one after the other, which is less to compute where versions are many
		for v, w := range ways {
			out[v].Set(w)
		}
		for range n {
			for v := 1; v < len(out); v++ {
				out[v].Add(out[v], out[v-1])
			}
		}
		return out
	}
	place := make([]*big.Int, len(ways))
	for d := range place {
		place[d] = new(big.Int).Binomial(int64(n)-1+int64(d), int64(d))
	}
	var p big.Int
	for v, w := range ways {
		if w.Sign() == 0 {
			continue
		}
		for d := 0; v+d < len(ways); d++ {
			out[v+d].Add(out[v+d], p.Mul(w, place[d]))
		}
	}
	return out
}
