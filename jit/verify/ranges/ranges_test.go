// SPDX-License-Identifier: GPL-2.0-only

package ranges_test

import (
	"math/rand/v2"
	"testing"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/verify/ranges"
)

// TestTrueOfNumbers: what comparisons with constants and with each other, masks and sums tell of two numbers stays true of
// them, and no comparison is decided against them.
func TestTrueOfNumbers(t *testing.T) {
	r := rand.New(rand.NewPCG(14, 7))
	rules := []*kernels.RangeRules{{}, {Mixed: true, EqRange: true}}
	for _, release := range kernels.Releases() {
		rules = append(rules, &release.Kernel.Verifier.Ranges)
	}
	ops := []uint8{bpf.JmpEq, bpf.JmpNe, bpf.JmpGt, bpf.JmpGe, bpf.JmpLt, bpf.JmpLe, bpf.JmpSgt, bpf.JmpSge, bpf.JmpSlt, bpf.JmpSle, bpf.JmpSet}
	pick := func() uint64 { // near powers of two, where widths and signs meet
		v := r.Uint64() >> r.IntN(64)
		if r.IntN(2) == 0 {
			v = uint64(1)<<r.IntN(64) + uint64(r.IntN(64)) - 32
		}
		return v
	}
	for range 200_000 {
		rule := rules[r.IntN(len(rules))]
		v := [2]uint64{pick(), pick()}
		if r.IntN(3) == 0 {
			v[1] = v[0] + uint64(r.IntN(9)) - 4
		}
		s := [2]ranges.Scalar{ranges.UnknownScalar(), ranges.UnknownScalar()}
		for range 8 {
			i := r.IntN(2)
			switch r.IntN(4) {
			case 0, 1: // of one with a number near it, or with the other
				c := ranges.ConstScalar(v[i] + uint64(r.IntN(33)) - 16)
				other, with := &c, c.Umin
				if r.IntN(3) == 0 {
					other, with = &s[1-i], v[1-i]
				}
				op, wide := ops[r.IntN(len(ops))], r.IntN(2) == 0
				taken := holds(op, v[i], with, wide)
				if known := ranges.DecideNumbers(op, &s[i], other, wide, rule); known == ranges.AlwaysTaken && !taken || known == ranges.NeverTaken && taken {
					t.Fatalf("%#x and %#x, wide %t, of which %+v and %+v are known under %+v: %#x is decided as %d", v[i], with, wide, s[i], *other, *rule, op, known)
				}
				if !taken {
					op = ranges.RevJump[op]
				}
				ranges.Refine(op, &s[i], other, wide, rule)
			case 2:
				c := pick()
				op := []uint8{bpf.ALUAnd, bpf.ALUOr, bpf.ALUAdd, bpf.ALUSub, bpf.ALUXor}[r.IntN(5)]
				number := ranges.ConstScalar(c)
				s[i].Alu(op, &number, true, false, rule)
				v[i] = map[uint8]uint64{
					bpf.ALUAnd: v[i] & c, bpf.ALUOr: v[i] | c, bpf.ALUAdd: v[i] + c, bpf.ALUSub: v[i] - c, bpf.ALUXor: v[i] ^ c,
				}[op]
			case 3:
				if r.IntN(4) == 0 {
					s[i].Zext(rule)
					v[i] = uint64(uint32(v[i]))
				}
			}
			for j := range s {
				if n := ranges.ConstScalar(v[j]); !s[j].Contains(&n) {
					t.Fatalf("%#x is not one of %+v under %+v", v[j], s[j], *rule)
				}
			}
		}
	}
}

// holds says whether "a OP b" is true.
func holds(op uint8, a, b uint64, wide bool) bool {
	x, y := int64(a), int64(b)
	if !wide {
		a, b = uint64(uint32(a)), uint64(uint32(b))
		x, y = int64(int32(a)), int64(int32(b))
	}
	switch op {
	case bpf.JmpEq:
		return a == b
	case bpf.JmpNe:
		return a != b
	case bpf.JmpGt:
		return a > b
	case bpf.JmpGe:
		return a >= b
	case bpf.JmpLt:
		return a < b
	case bpf.JmpLe:
		return a <= b
	case bpf.JmpSgt:
		return x > y
	case bpf.JmpSge:
		return x >= y
	case bpf.JmpSlt:
		return x < y
	case bpf.JmpSle:
		return x <= y
	}
	return a&b != 0
}
