// SPDX-License-Identifier: GPL-2.0-only

package explore

import "math/big"

func zeros(n int) []*big.Int {
	w := make([]*big.Int, n)
	for i := range w {
		w[i] = new(big.Int)
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

// advance executes n instructions, before each of which any number of steps may be taken: by how
// many ways each version can then be reached. Going up by d in n places has C(n-1+d, d) ways.
func advance(ways []*big.Int, n uint64) []*big.Int {
	if n == 0 {
		return ways
	}
	place := make([]*big.Int, len(ways))
	for d := range place {
		place[d] = new(big.Int).Binomial(int64(n)-1+int64(d), int64(d))
	}
	out := zeros(len(ways))
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
