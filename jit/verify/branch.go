// SPDX-License-Identifier: GPL-2.0-only

package verify

import (
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/kernels"
	"math"
)

// revJump gives the condition of the fall through, flipJump the same comparison with the operands
// exchanged.
var (
	revJump = map[uint8]uint8{
		bpf.JmpEq: bpf.JmpNe, bpf.JmpNe: bpf.JmpEq, bpf.JmpGt: bpf.JmpLe, bpf.JmpLe: bpf.JmpGt, bpf.JmpGe: bpf.JmpLt, bpf.JmpLt: bpf.JmpGe,
		bpf.JmpSgt: bpf.JmpSle, bpf.JmpSle: bpf.JmpSgt, bpf.JmpSge: bpf.JmpSlt, bpf.JmpSlt: bpf.JmpSge, bpf.JmpSet: bpf.JmpClear,
	}
	flipJump = map[uint8]uint8{
		bpf.JmpEq: bpf.JmpEq, bpf.JmpNe: bpf.JmpNe, bpf.JmpSet: bpf.JmpSet, bpf.JmpGt: bpf.JmpLt, bpf.JmpLt: bpf.JmpGt, bpf.JmpGe: bpf.JmpLe, bpf.JmpLe: bpf.JmpGe,
		bpf.JmpSgt: bpf.JmpSlt, bpf.JmpSlt: bpf.JmpSgt, bpf.JmpSge: bpf.JmpSle, bpf.JmpSle: bpf.JmpSge,
	}
)

// outcome is what is known of a conditional jump.
type outcome int8

const (
	mayBranch outcome = iota
	alwaysTaken
	neverTaken
)

func decided(taken bool) outcome {
	if taken {
		return alwaysTaken
	}
	return neverTaken
}

// span is a pair of bounds in one width.
type span struct {
	umin, umax uint64
	smin, smax int64
	bits       tnum
}

func (s *scalar) span(wide bool) span {
	if wide {
		return span{s.umin, s.umax, s.smin, s.smax, s.bits}
	}
	return span{uint64(s.u32min), uint64(s.u32max), int64(s.s32min), int64(s.s32max), s.bits.low()}
}

// decideNumbers says whether "if a OP b" is decided (is_scalar_branch_taken).
func decideNumbers(op uint8, a, b *scalar, wide bool, r *kernels.RangeRules) outcome {
	x, y := a.span(wide), b.span(wide)
	if !r.Mixed && !y.bits.isConst() {
		return mayBranch
	}
	switch op {
	case bpf.JmpEq, bpf.JmpNe:
		eq := equal(a, b, wide, r)
		if eq == mayBranch || op == bpf.JmpEq {
			return eq
		}
		return decided(eq == neverTaken)
	case bpf.JmpSet:
		if !y.bits.isConst() {
			x, y = y, x
		}
		if !y.bits.isConst() {
			return mayBranch
		}
		if x.bits.val&y.bits.val != 0 {
			return alwaysTaken
		}
		if (x.bits.val|x.bits.mask)&y.bits.val == 0 {
			return neverTaken
		}
		return mayBranch
	case bpf.JmpGt:
		return order(x.umin > y.umax, x.umax <= y.umin)
	case bpf.JmpGe:
		return order(x.umin >= y.umax, x.umax < y.umin)
	case bpf.JmpLt:
		return order(x.umax < y.umin, x.umin >= y.umax)
	case bpf.JmpLe:
		return order(x.umax <= y.umin, x.umin > y.umax)
	case bpf.JmpSgt:
		return order(x.smin > y.smax, x.smax <= y.smin)
	case bpf.JmpSge:
		return order(x.smin >= y.smax, x.smax < y.smin)
	case bpf.JmpSlt:
		return order(x.smax < y.smin, x.smin >= y.smax)
	case bpf.JmpSle:
		return order(x.smax <= y.smin, x.smin > y.smax)
	}
	return mayBranch
}

func order(always, never bool) outcome {
	switch {
	case always:
		return alwaysTaken
	case never:
		return neverTaken
	}
	return mayBranch
}

func equal(a, b *scalar, wide bool, r *kernels.RangeRules) outcome {
	x, y := a.span(wide), b.span(wide)
	if x.bits.isConst() && y.bits.isConst() {
		return decided(x.bits.val == y.bits.val)
	}
	if !r.EqRange {
		return mayBranch
	}
	if x.umin > y.umax || x.umax < y.umin || x.smin > y.smax || x.smax < y.smin {
		return neverTaken
	}
	if r.Mixed && wide {
		n, m := a.span(false), b.span(false)
		if n.umin > m.umax || n.umax < m.umin || n.smin > m.smax || n.smax < m.smin {
			return neverTaken
		}
	}
	if r.EqBits && (x.bits.val^y.bits.val)&^(x.bits.mask|y.bits.mask) != 0 {
		return neverTaken // a bit that both know differs
	}
	return mayBranch
}

// refine makes a and b learn that "a OP b" is true (regs_refine_cond_op, and reg_set_min_max of
// kernels before 6.8, where b is a constant).
func refine(op uint8, a, b *scalar, wide bool, r *kernels.RangeRules) {
	if !r.Mixed {
		refineOld(op, a, b, wide, r)
		return
	}
	switch op {
	case bpf.JmpGt, bpf.JmpGe, bpf.JmpSgt, bpf.JmpSge:
		op, a, b = flipJump[op], b, a
	}
	switch op {
	case bpf.JmpEq:
		meet(a, b, wide)
	case bpf.JmpNe:
		if !b.span(wide).bits.isConst() {
			a, b = b, a
		}
		if v := b.span(wide).bits; v.isConst() {
			a.exclude(v.val, wide)
		}
	case bpf.JmpSet, bpf.JmpClear:
		if !b.span(wide).bits.isConst() {
			a, b = b, a
		}
		if v := b.span(wide).bits; v.isConst() {
			a.refineBits(op, v.val, wide)
		}
	default:
		refineOrder(op, a, b, wide)
	}
	a.sync(r)
	b.sync(r)
}

func meet(a, b *scalar, wide bool) {
	if wide {
		a.limitU64(b.umin, b.umax)
		a.limitS64(b.smin, b.smax)
		a.bits = a.bits.intersect(b.bits)
		b.umin, b.umax, b.smin, b.smax, b.bits = a.umin, a.umax, a.smin, a.smax, a.bits
		return
	}
	a.limitU32(b.u32min, b.u32max)
	a.limitS32(b.s32min, b.s32max)
	low := a.bits.low().intersect(b.bits.low())
	b.u32min, b.u32max, b.s32min, b.s32max = a.u32min, a.u32max, a.s32min, a.s32max
	a.bits, b.bits = a.bits.withLow(low), b.bits.withLow(low)
}

// exclude learns that the number is not v, where v is a bound.
func (s *scalar) exclude(v uint64, wide bool) {
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
	case s.umin == v:
		s.umin++
	case s.umax == v:
		s.umax--
	}
	switch {
	case s.smin == int64(v):
		s.smin++
	case s.smax == int64(v):
		s.smax--
	}
}

func (s *scalar) refineBits(op uint8, v uint64, wide bool) {
	low := s.bits
	if !wide {
		low = low.low()
	}
	switch {
	case op == bpf.JmpClear && wide:
		s.bits = low.and(tnumConst(^v))
		return
	case op == bpf.JmpClear:
		low = low.and(tnumConst(uint64(^uint32(v))))
	case v == 0 || v&(v-1) != 0:
		return // several bits: which one is set is unknown
	case wide:
		s.bits = low.or(tnumConst(v))
		return
	default:
		low = low.or(tnumConst(v))
	}
	s.bits = s.bits.withLow(low)
}

func refineOrder(op uint8, a, b *scalar, wide bool) {
	var d uint64 // 1 for strict comparisons
	if op == bpf.JmpLt || op == bpf.JmpSlt {
		d = 1
	}
	switch {
	case (op == bpf.JmpLe || op == bpf.JmpLt) && wide:
		a.umax, b.umin = min(a.umax, b.umax-d), max(a.umin+d, b.umin)
	case op == bpf.JmpLe || op == bpf.JmpLt:
		a.u32max, b.u32min = min(a.u32max, b.u32max-uint32(d)), max(a.u32min+uint32(d), b.u32min)
	case wide:
		a.smax, b.smin = min(a.smax, b.smax-int64(d)), max(a.smin+int64(d), b.smin)
	default:
		a.s32max, b.s32min = min(a.s32max, b.s32max-int32(d)), max(a.s32min+int32(d), b.s32min)
	}
}

// refineOld learns from a comparison with a constant on either side, as kernels before 6.8 did.
func refineOld(op uint8, a, b *scalar, wide bool, r *kernels.RangeRules) {
	if !b.span(wide).bits.isConst() {
		if f, ok := flipJump[op]; ok && a.span(wide).bits.isConst() {
			refineOld(f, b, a, wide, r)
		}
		return
	}
	v := b.span(wide).bits.val
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

func (s *scalar) becomes(v uint64, wide bool) {
	c := constScalar(v)
	if wide {
		*s = c
		return
	}
	s.bits = s.bits.withLow(c.bits)
	s.u32min, s.u32max, s.s32min, s.s32max = c.u32min, c.u32max, c.s32min, c.s32max
}

func (s *scalar) limitOld(op uint8, v uint64, wide bool) {
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
