// SPDX-License-Identifier: GPL-2.0-only

package ranges

import (
	"math"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/kernels"
)

// RevJump gives the condition of the fall through, FlipJump the same comparison with the operands
// exchanged.
var (
	RevJump = [256]uint8{
		bpf.JmpEq: bpf.JmpNe, bpf.JmpNe: bpf.JmpEq, bpf.JmpGt: bpf.JmpLe, bpf.JmpLe: bpf.JmpGt, bpf.JmpGe: bpf.JmpLt, bpf.JmpLt: bpf.JmpGe,
		bpf.JmpSgt: bpf.JmpSle, bpf.JmpSle: bpf.JmpSgt, bpf.JmpSge: bpf.JmpSlt, bpf.JmpSlt: bpf.JmpSge, bpf.JmpSet: bpf.JmpClear,
	}
	FlipJump = [256]uint8{
		bpf.JmpEq: bpf.JmpEq, bpf.JmpNe: bpf.JmpNe, bpf.JmpSet: bpf.JmpSet, bpf.JmpGt: bpf.JmpLt, bpf.JmpLt: bpf.JmpGt, bpf.JmpGe: bpf.JmpLe, bpf.JmpLe: bpf.JmpGe,
		bpf.JmpSgt: bpf.JmpSlt, bpf.JmpSlt: bpf.JmpSgt, bpf.JmpSge: bpf.JmpSle, bpf.JmpSle: bpf.JmpSge,
	}
)

// outcome is what is known of a conditional jump.
type Outcome int8

const (
	MayBranch Outcome = iota
	AlwaysTaken
	NeverTaken
)

func decided(taken bool) Outcome {
	if taken {
		return AlwaysTaken
	}
	return NeverTaken
}

// span is a pair of bounds in one width.
type span struct {
	umin, umax uint64
	Smin, Smax int64
	Bits       Tnum
}

func (s *Scalar) Span(wide bool) span {
	if wide {
		return span{s.Umin, s.Umax, s.Smin, s.Smax, s.Bits}
	}
	return span{uint64(s.u32min), uint64(s.u32max), int64(s.s32min), int64(s.s32max), s.Bits.low()}
}

// DecideNumbers says whether "if a OP b" is decided (is_scalar_branch_taken).
func DecideNumbers(op uint8, a, b *Scalar, wide bool, r *kernels.RangeRules) Outcome {
	known := decideBounds(op, a, b, wide, r)
	if known != MayBranch || !r.DeadBranches {
		return known
	}
	x, y := *a, *b
	if Refine(RevJump[op], &x, &y, wide, r); x.empty() || y.empty() {
		return AlwaysTaken
	}
	x, y = *a, *b
	if Refine(op, &x, &y, wide, r); x.empty() || y.empty() {
		return NeverTaken
	}
	return MayBranch
}

// decideBounds is DecideNumbers by what is known of the two numbers.
func decideBounds(op uint8, a, b *Scalar, wide bool, r *kernels.RangeRules) Outcome {
	x, y := a.Span(wide), b.Span(wide)
	if !r.Mixed && !y.Bits.IsConst() {
		return MayBranch
	}
	switch op {
	case bpf.JmpEq, bpf.JmpNe:
		eq := equal(a, b, wide, r)
		if eq == MayBranch || op == bpf.JmpEq {
			return eq
		}
		return decided(eq == NeverTaken)
	case bpf.JmpSet:
		if !y.Bits.IsConst() {
			x, y = y, x
		}
		if !y.Bits.IsConst() {
			return MayBranch
		}
		if x.Bits.Val&y.Bits.Val != 0 {
			return AlwaysTaken
		}
		if (x.Bits.Val|x.Bits.Mask)&y.Bits.Val == 0 {
			return NeverTaken
		}
		return MayBranch
	case bpf.JmpGt:
		return order(x.umin > y.umax, x.umax <= y.umin)
	case bpf.JmpGe:
		return order(x.umin >= y.umax, x.umax < y.umin)
	case bpf.JmpLt:
		return order(x.umax < y.umin, x.umin >= y.umax)
	case bpf.JmpLe:
		return order(x.umax <= y.umin, x.umin > y.umax)
	case bpf.JmpSgt:
		return order(x.Smin > y.Smax, x.Smax <= y.Smin)
	case bpf.JmpSge:
		return order(x.Smin >= y.Smax, x.Smax < y.Smin)
	case bpf.JmpSlt:
		return order(x.Smax < y.Smin, x.Smin >= y.Smax)
	case bpf.JmpSle:
		return order(x.Smax <= y.Smin, x.Smin > y.Smax)
	}
	return MayBranch
}

func order(always, never bool) Outcome {
	switch {
	case always:
		return AlwaysTaken
	case never:
		return NeverTaken
	}
	return MayBranch
}

func equal(a, b *Scalar, wide bool, r *kernels.RangeRules) Outcome {
	x, y := a.Span(wide), b.Span(wide)
	if x.Bits.IsConst() && y.Bits.IsConst() {
		return decided(x.Bits.Val == y.Bits.Val)
	}
	if !r.EqRange {
		return MayBranch
	}
	if x.umin > y.umax || x.umax < y.umin || x.Smin > y.Smax || x.Smax < y.Smin {
		return NeverTaken
	}
	if r.Mixed && wide {
		n, m := a.Span(false), b.Span(false)
		if n.umin > m.umax || n.umax < m.umin || n.Smin > m.Smax || n.Smax < m.Smin {
			return NeverTaken
		}
	}
	if r.EqBits && (x.Bits.Val^y.Bits.Val)&^(x.Bits.Mask|y.Bits.Mask) != 0 {
		return NeverTaken // a bit that both know differs
	}
	return MayBranch
}

// refine makes a and b learn that "a OP b" is true (regs_refine_cond_op, and reg_set_min_max of
// kernels before 6.8, where b is a constant).
func Refine(op uint8, a, b *Scalar, wide bool, r *kernels.RangeRules) {
	if !r.Mixed {
		refineOld(op, a, b, wide, r)
		return
	}
	switch op {
	case bpf.JmpGt, bpf.JmpGe, bpf.JmpSgt, bpf.JmpSge:
		op, a, b = FlipJump[op], b, a
	}
	switch op {
	case bpf.JmpEq:
		meet(a, b, wide)
	case bpf.JmpNe:
		if !b.Span(wide).Bits.IsConst() {
			a, b = b, a
		}
		if v := b.Span(wide).Bits; v.IsConst() {
			a.exclude(v.Val, wide)
		}
	case bpf.JmpSet, bpf.JmpClear:
		if !b.Span(wide).Bits.IsConst() {
			a, b = b, a
		}
		if v := b.Span(wide).Bits; v.IsConst() {
			a.refineBits(op, v.Val, wide)
		}
	default:
		refineOrder(op, a, b, wide)
	}
	a.Sync(r)
	b.Sync(r)
}

func meet(a, b *Scalar, wide bool) {
	if wide {
		a.limitU64(b.Umin, b.Umax)
		a.limitS64(b.Smin, b.Smax)
		a.Bits = a.Bits.intersect(b.Bits)
		b.Umin, b.Umax, b.Smin, b.Smax, b.Bits = a.Umin, a.Umax, a.Smin, a.Smax, a.Bits
		return
	}
	a.limitU32(b.u32min, b.u32max)
	a.limitS32(b.s32min, b.s32max)
	low := a.Bits.low().intersect(b.Bits.low())
	b.u32min, b.u32max, b.s32min, b.s32max = a.u32min, a.u32max, a.s32min, a.s32max
	a.Bits, b.Bits = a.Bits.withLow(low), b.Bits.withLow(low)
}

// exclude learns that the number is not v, where v is a bound.
func (s *Scalar) exclude(v uint64, wide bool) {
	if !wide {
		u := uint32(v)
		switch {
		case s.u32min == u:
			s.u32min++
		case s.u32max == u:
			s.u32max--
		}
		switch {
		case s.s32min == int32(u):
			s.s32min++
		case s.s32max == int32(u):
			s.s32max--
		}
		return
	}
	switch {
	case s.Umin == v:
		s.Umin++
	case s.Umax == v:
		s.Umax--
	}
	switch {
	case s.Smin == int64(v):
		s.Smin++
	case s.Smax == int64(v):
		s.Smax--
	}
}

func (s *Scalar) refineBits(op uint8, v uint64, wide bool) {
	low := s.Bits
	if !wide {
		low = low.low()
	}
	switch {
	case op == bpf.JmpClear && wide:
		s.Bits = low.and(tnumConst(^v))
		return
	case op == bpf.JmpClear:
		low = low.and(tnumConst(uint64(^uint32(v))))
	case v == 0 || v&(v-1) != 0:
		return // several bits: which one is set is unknown
	case wide:
		s.Bits = low.or(tnumConst(v))
		return
	default:
		low = low.or(tnumConst(v))
	}
	s.Bits = s.Bits.withLow(low)
}

func refineOrder(op uint8, a, b *Scalar, wide bool) {
	var d uint64 // 1 for strict comparisons
	if op == bpf.JmpLt || op == bpf.JmpSlt {
		d = 1
	}
	switch {
	case (op == bpf.JmpLe || op == bpf.JmpLt) && wide:
		a.Umax, b.Umin = min(a.Umax, b.Umax-d), max(a.Umin+d, b.Umin)
	case op == bpf.JmpLe || op == bpf.JmpLt:
		a.u32max, b.u32min = min(a.u32max, b.u32max-uint32(d)), max(a.u32min+uint32(d), b.u32min)
	case wide:
		a.Smax, b.Smin = min(a.Smax, b.Smax-int64(d)), max(a.Smin+int64(d), b.Smin)
	default:
		a.s32max, b.s32min = min(a.s32max, b.s32max-int32(d)), max(a.s32min+int32(d), b.s32min)
	}
}

// refineOld learns from a comparison with a constant on either side, as kernels before 6.8 did.
func refineOld(op uint8, a, b *Scalar, wide bool, r *kernels.RangeRules) {
	if !b.Span(wide).Bits.IsConst() {
		if f := FlipJump[op]; f != 0 && a.Span(wide).Bits.IsConst() {
			refineOld(f, b, a, wide, r)
		}
		return
	}
	v := b.Span(wide).Bits.Val
	switch op {
	case bpf.JmpEq:
		a.becomes(v, wide)
	case bpf.JmpNe: // nothing is learnt
	case bpf.JmpSet, bpf.JmpClear:
		a.refineBits(op, v, wide)
	default:
		a.limitOld(op, v, wide)
	}
	if wide {
		a.combine64into32(r)
	} else {
		a.combine32into64(r)
	}
}

func (s *Scalar) becomes(v uint64, wide bool) {
	c := ConstScalar(v)
	if wide {
		*s = c
		return
	}
	s.Bits = s.Bits.withLow(c.Bits)
	s.u32min, s.u32max, s.s32min, s.s32max = c.u32min, c.u32max, c.s32min, c.s32max
}

func (s *Scalar) limitOld(op uint8, v uint64, wide bool) {
	u, w := uint32(v), int32(v)
	switch {
	case wide && op == bpf.JmpGt:
		s.limitU64(v+1, math.MaxUint64)
	case wide && op == bpf.JmpGe:
		s.limitU64(v, math.MaxUint64)
	case wide && op == bpf.JmpLt:
		s.limitU64(0, v-1)
	case wide && op == bpf.JmpLe:
		s.limitU64(0, v)
	case wide && op == bpf.JmpSgt:
		s.limitS64(int64(v)+1, math.MaxInt64)
	case wide && op == bpf.JmpSge:
		s.limitS64(int64(v), math.MaxInt64)
	case wide && op == bpf.JmpSlt:
		s.limitS64(math.MinInt64, int64(v)-1)
	case wide:
		s.limitS64(math.MinInt64, int64(v))
	case op == bpf.JmpGt:
		s.limitU32(u+1, math.MaxUint32)
	case op == bpf.JmpGe:
		s.limitU32(u, math.MaxUint32)
	case op == bpf.JmpLt:
		s.limitU32(0, u-1)
	case op == bpf.JmpLe:
		s.limitU32(0, u)
	case op == bpf.JmpSgt:
		s.limitS32(w+1, math.MaxInt32)
	case op == bpf.JmpSge:
		s.limitS32(w, math.MaxInt32)
	case op == bpf.JmpSlt:
		s.limitS32(math.MinInt32, w-1)
	default:
		s.limitS32(math.MinInt32, w)
	}
}
