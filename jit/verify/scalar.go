// SPDX-License-Identifier: GPL-2.0-only

package verify

import (
	"github.com/tcsim/tcsim/jit/kernels"
	"math"
)

// scalar is what the verifier knows of a number: its bits and its bounds as 64-bit and as 32-bit,
// unsigned and signed number (struct bpf_reg_state).
type scalar struct {
	bits           tnum
	smin, smax     int64
	umin, umax     uint64
	s32min, s32max int32
	u32min, u32max uint32
}

func unknownScalar() scalar {
	s := scalar{bits: tnumUnknown}
	s.unbound64()
	s.unbound32()
	return s
}

func constScalar(v uint64) scalar {
	return scalar{
		bits: tnumConst(v), smin: int64(v), smax: int64(v), umin: v, umax: v,
		s32min: int32(v), s32max: int32(v), u32min: uint32(v), u32max: uint32(v),
	}
}

// loadedScalar is a value of size bytes, zero or sign extended.
func loadedScalar(size int, signed bool) scalar {
	s := unknownScalar()
	if size == 8 {
		return s
	}
	n := uint(size * 8)
	if !signed {
		s.bits = tnum{0, 1<<n - 1}
		s.umax, s.smin, s.smax = 1<<n-1, 0, 1<<n-1
		if size < 4 {
			s.u32max, s.s32min, s.s32max = 1<<n-1, 0, 1<<n-1
		}
		return s
	}
	s.smin, s.smax = -1<<(n-1), 1<<(n-1)-1
	s.s32min, s.s32max = int32(s.smin), int32(s.smax)
	return s
}

func (s *scalar) unbound64() {
	s.smin, s.smax, s.umin, s.umax = math.MinInt64, math.MaxInt64, 0, math.MaxUint64
}

func (s *scalar) unbound32() {
	s.s32min, s.s32max, s.u32min, s.u32max = math.MinInt32, math.MaxInt32, 0, math.MaxUint32
}

func (s *scalar) isConst() bool { return s.bits.isConst() }

// contains reports whether every value of t is one of s as far as s and t know.
func (s *scalar) contains(t *scalar) bool {
	return s.umin <= t.umin && s.umax >= t.umax && s.smin <= t.smin && s.smax >= t.smax &&
		s.u32min <= t.u32min && s.u32max >= t.u32max && s.s32min <= t.s32min && s.s32max >= t.s32max &&
		s.bits.contains(t.bits)
}

// update learns bounds from bits (__update_reg_bounds).
func (s *scalar) update() {
	s.update32()
	v, m := s.bits.val, s.bits.mask
	const sign = uint64(1) << 63
	s.smin, s.smax = max(s.smin, int64(v|m&sign)), min(s.smax, int64(v|m&^sign))
	s.umin, s.umax = max(s.umin, v), min(s.umax, v|m)
}

func (s *scalar) update32() {
	v, m := uint32(s.bits.val), uint32(s.bits.mask)
	const sign = uint32(1) << 31
	s.s32min, s.s32max = max(s.s32min, int32(v|m&sign)), min(s.s32max, int32(v|m&^sign))
	s.u32min, s.u32max = max(s.u32min, v), min(s.u32max, v|m)
}

// sync makes bits and bounds learn from each other (reg_bounds_sync).
func (s *scalar) sync(r *kernels.RangeRules) {
	s.update()
	switch {
	case r.Overflow:
		s.deduce(r)
		s.deduce(r)
		s.deduce(r)
	case r.Mixed:
		s.deduce(r)
		s.deduce(r)
	default:
		s.deduceOld()
	}
	low := s.bits.intersect(tnumRange(s.umin, s.umax))
	s.bits = low.high().or(low.low().intersect(tnumRange(uint64(s.u32min), uint64(s.u32max))))
	s.update()
}

// deduceOld is __reg_deduce_bounds until 6.7: signs only, each width for itself.
func (s *scalar) deduceOld() {
	switch {
	case s.s32min >= 0 || s.s32max < 0:
		s.u32min = max(uint32(s.s32min), s.u32min)
		s.u32max = min(uint32(s.s32max), s.u32max)
		s.s32min, s.s32max = int32(s.u32min), int32(s.u32max)
	case int32(s.u32max) >= 0:
		s.s32min = int32(s.u32min)
		s.u32max = min(uint32(s.s32max), s.u32max)
		s.s32max = int32(s.u32max)
	case int32(s.u32min) < 0:
		s.u32min = max(uint32(s.s32min), s.u32min)
		s.s32min = int32(s.u32min)
		s.s32max = int32(s.u32max)
	}
	switch {
	case s.smin >= 0 || s.smax < 0:
		s.umin = max(uint64(s.smin), s.umin)
		s.umax = min(uint64(s.smax), s.umax)
		s.smin, s.smax = int64(s.umin), int64(s.umax)
	case int64(s.umax) >= 0:
		s.smin = int64(s.umin)
		s.umax = min(uint64(s.smax), s.umax)
		s.smax = int64(s.umax)
	case int64(s.umin) < 0:
		s.umin = max(uint64(s.smin), s.umin)
		s.smin = int64(s.umin)
		s.smax = int64(s.umax)
	}
}

// deduce is __reg_deduce_bounds since 6.8.
func (s *scalar) deduce(r *kernels.RangeRules) {
	s.deduce32(r)
	s.deduce64(r)
	s.deduceMixed()
}

func (s *scalar) limitS32(lo, hi int32)  { s.s32min, s.s32max = max(s.s32min, lo), min(s.s32max, hi) }
func (s *scalar) limitU32(lo, hi uint32) { s.u32min, s.u32max = max(s.u32min, lo), min(s.u32max, hi) }
func (s *scalar) limitS64(lo, hi int64)  { s.smin, s.smax = max(s.smin, lo), min(s.smax, hi) }
func (s *scalar) limitU64(lo, hi uint64) { s.umin, s.umax = max(s.umin, lo), min(s.umax, hi) }

func (s *scalar) deduce32(r *kernels.RangeRules) {
	if s.umin>>32 == s.umax>>32 {
		s.limitU32(uint32(s.umin), uint32(s.umax))
		if int32(s.umin) <= int32(s.umax) {
			s.limitS32(int32(s.umin), int32(s.umax))
		}
	}
	if s.smin>>32 == s.smax>>32 {
		if uint32(s.smin) <= uint32(s.smax) {
			s.limitU32(uint32(s.smin), uint32(s.smax))
		}
		if int32(s.smin) <= int32(s.smax) {
			s.limitS32(int32(s.smin), int32(s.smax))
		}
	}
	if uint32(s.umin>>32)+1 == uint32(s.umax>>32) && int32(s.umin) < 0 && int32(s.umax) >= 0 {
		s.limitS32(int32(s.umin), int32(s.umax))
	}
	if uint32(s.smin>>32)+1 == uint32(s.smax>>32) && int32(s.smin) < 0 && int32(s.smax) >= 0 {
		s.limitS32(int32(s.smin), int32(s.smax))
	}
	if int32(s.u32min) <= int32(s.u32max) {
		s.limitS32(int32(s.u32min), int32(s.u32max))
	}
	if uint32(s.s32min) <= uint32(s.s32max) {
		s.limitU32(uint32(s.s32min), uint32(s.s32max))
	} else if r.Overflow {
		// One of the two halves of the signed range lies outside the unsigned range.
		if s.u32max < uint32(s.s32min) {
			s.s32min = int32(s.u32min)
			s.u32max = min(s.u32max, uint32(s.s32max))
		} else if uint32(s.s32max) < s.u32min {
			s.s32max = int32(s.u32max)
			s.u32min = max(s.u32min, uint32(s.s32min))
		}
	}
}

func (s *scalar) deduce64(r *kernels.RangeRules) {
	if int64(s.umin) <= int64(s.umax) {
		s.limitS64(int64(s.umin), int64(s.umax))
	}
	if uint64(s.smin) <= uint64(s.smax) {
		s.limitU64(uint64(s.smin), uint64(s.smax))
	} else if r.Overflow {
		if s.umax < uint64(s.smin) {
			s.smin = int64(s.umin)
			s.umax = min(s.umax, uint64(s.smax))
		} else if uint64(s.smax) < s.umin {
			s.smax = int64(s.umax)
			s.umin = max(s.umin, uint64(s.smin))
		}
	}
}

func (s *scalar) deduceMixed() {
	const high = ^uint64(math.MaxUint32)
	s.limitU64(s.umin&high|uint64(s.u32min), s.umax&high|uint64(s.u32max))
	s.limitS64(int64(uint64(s.smin)&high|uint64(s.u32min)), int64(uint64(s.smax)&high|uint64(s.u32max)))
	// After a sign extending load the upper half is all ones or all zeros; a lower half that is
	// not negative leaves the zeros.
	if s.s32min >= 0 && s.smin >= math.MinInt32 && s.smax <= math.MaxInt32 {
		s.smin, s.smax = int64(s.s32min), int64(s.s32max)
		s.umin, s.umax = uint64(s.s32min), uint64(s.s32max)
		s.bits = s.bits.intersect(tnumRange(s.umin, s.umax))
	}
}

// assign32 sets the 64-bit bounds from the 32-bit ones of a zero extended number
// (__reg_assign_32_into_64).
func (s *scalar) assign32() {
	s.umin, s.umax = uint64(s.u32min), uint64(s.u32max)
	if s.s32min >= 0 && s.s32max >= 0 {
		s.smin, s.smax = int64(s.s32min), int64(s.s32max)
	} else {
		s.smin, s.smax = 0, math.MaxUint32
	}
}

// zext makes the number its lower half (zext_32_to_64).
func (s *scalar) zext(r *kernels.RangeRules) {
	s.bits = s.bits.low()
	s.assign32()
	s.sync(r)
}

// combine64into32 forgets the 32-bit bounds but for what the others say (until 6.7).
func (s *scalar) combine64into32(r *kernels.RangeRules) {
	s.unbound32()
	if s.smin >= math.MinInt32 && s.smin <= math.MaxInt32 && s.smax >= math.MinInt32 && s.smax <= math.MaxInt32 {
		s.s32min, s.s32max = int32(s.smin), int32(s.smax)
	}
	if s.umin <= math.MaxUint32 && s.umax <= math.MaxUint32 {
		s.u32min, s.u32max = uint32(s.umin), uint32(s.umax)
	}
	s.sync(r)
}

// combine32into64 is its counterpart after a 32-bit comparison (until 6.7).
func (s *scalar) combine32into64(r *kernels.RangeRules) {
	if s.bits.high() == (tnum{}) {
		s.assign32()
	} else {
		s.unbound64()
	}
	s.sync(r)
}
