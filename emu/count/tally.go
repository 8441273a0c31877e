// SPDX-License-Identifier: GPL-2.0-only

package count

import (
	"math/big"
	"math/bits"
)

// num is a number without bound: n, or big if that is not nil. What big points to never changes.
type num struct {
	n   uint64
	big *big.Int
}

func (a *num) add(b num) {
	if a.big == nil && b.big == nil {
		if sum, carry := bits.Add64(a.n, b.n, 0); carry == 0 {
			a.n = sum
			return
		}
	}
	sum := a.value()
	a.big = sum.Add(sum, b.value())
}

// inc adds a small number.
func (a *num) inc(n uint64) { a.add(num{n: n}) }

// value returns a copy of the number.
func (a *num) value() *big.Int {
	if a.big != nil {
		return new(big.Int).Set(a.big)
	}
	return new(big.Int).SetUint64(a.n)
}

// tally holds exact numbers of what was done.
type tally struct {
	insns, tails, calls, helpers num
	refused                      [numReasons]num
	starts                       []num // by fn.index
}

func (t *tally) add(o *tally) {
	t.insns.add(o.insns)
	t.tails.add(o.tails)
	t.calls.add(o.calls)
	t.helpers.add(o.helpers)
	for i := range o.refused {
		t.refused[i].add(o.refused[i])
	}
	for i := range o.starts {
		t.starts[i].add(o.starts[i])
	}
}

// reason says why a tail call was refused.
type reason uint8

const (
	byLimit reason = iota
	byBounds
	byEmpty
	numReasons
)
