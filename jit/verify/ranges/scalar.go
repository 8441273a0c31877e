// SPDX-License-Identifier: GPL-2.0-only

package ranges

import (
	"math"

	"github.com/tcsim/tcsim/jit/kernels"
)

// scalar is what the verifier knows of a number: its bits and its bounds as 64-bit and as 32-bit,
// unsigned and signed number (struct bpf_reg_state).
type Scalar struct {
	Bits           Tnum
	Smin, Smax     int64
	Umin, Umax     uint64
	s32min, s32max int32
	u32min, u32max uint32
}

// Bounds32 are the signed bounds of the lower half.
func (s *Scalar) Bounds32() (lo, hi int64) { return int64(s.s32min), int64(s.s32max) }

func UnknownScalar() Scalar {
	s := Scalar{Bits: tnumUnknown}
	s.unbound64()
	s.Unbound32()
	return s
}

func ConstScalar(v uint64) Scalar {
	return Scalar{
		Bits: tnumConst(v), Smin: int64(v), Smax: int64(v), Umin: v, Umax: v,
		s32min: int32(v), s32max: int32(v), u32min: uint32(v), u32max: uint32(v),
	}
}

// loadedScalar is a value of size bytes, zero or sign extended.
func LoadedScalar(size int, signed bool) Scalar {
	s := UnknownScalar()
	if size == 8 {
		return s
	}
	n := uint(size * 8)
	if !signed {
		s.Bits = Tnum{0, 1<<n - 1}
		s.Umax, s.Smin, s.Smax = 1<<n-1, 0, 1<<n-1
		if size < 4 {
			s.u32max, s.s32min, s.s32max = 1<<n-1, 0, 1<<n-1
		}
		return s
	}
	s.Smin, s.Smax = -1<<(n-1), 1<<(n-1)-1
	s.s32min, s.s32max = int32(s.Smin), int32(s.Smax)
	return s
}

func (s *Scalar) unbound64() {
	s.Smin, s.Smax, s.Umin, s.Umax = math.MinInt64, math.MaxInt64, 0, math.MaxUint64
}

func (s *Scalar) Unbound32() {
	s.s32min, s.s32max, s.u32min, s.u32max = math.MinInt32, math.MaxInt32, 0, math.MaxUint32
}

func (s *Scalar) IsConst() bool { return s.Bits.IsConst() }

// contains reports whether every value of t is one of s as far as s and t know.
func (s *Scalar) Contains(t *Scalar) bool {
	return s.Umin <= t.Umin && s.Umax >= t.Umax && s.Smin <= t.Smin && s.Smax >= t.Smax &&
		s.u32min <= t.u32min && s.u32max >= t.u32max && s.s32min <= t.s32min && s.s32max >= t.s32max &&
		s.Bits.contains(t.Bits)
}

// update learns bounds from bits (__update_reg_bounds).
func (s *Scalar) update(r *kernels.RangeRules) {
	s.update32()
	v, m := s.Bits.Val, s.Bits.Mask
	const sign = uint64(1) << 63
	s.Smin, s.Smax = max(s.Smin, int64(v|m&sign)), min(s.Smax, int64(v|m&^sign))
	s.Umin, s.Umax = max(s.Umin, v), min(s.Umax, v|m)
	if r.SingleBits && m != 0 && s.Umin <= s.Umax {
		s.single()
	}
}

// single finds out whether one number only is within the unsigned bounds and has the bits.
func (s *Scalar) single() {
	first := s.Umin
	if first&^s.Bits.Mask != s.Bits.Val {
		first = s.Bits.above(first)
	}
	if first >= s.Umin && first <= s.Umax && (first == s.Bits.Val|s.Bits.Mask || s.Bits.above(first) > s.Umax) {
		*s = ConstScalar(first)
	}
}

func (s *Scalar) update32() {
	v, m := uint32(s.Bits.Val), uint32(s.Bits.Mask)
	const sign = uint32(1) << 31
	s.s32min, s.s32max = max(s.s32min, int32(v|m&sign)), min(s.s32max, int32(v|m&^sign))
	s.u32min, s.u32max = max(s.u32min, v), min(s.u32max, v|m)
}

// sync makes bits and bounds learn from each other (reg_bounds_sync).
func (s *Scalar) Sync(r *kernels.RangeRules) {
	if r.DeadBranches && s.empty() || s.known() {
		return
	}
	s.update(r)
	times := 2
	if r.Crossing {
		times = 3
	}
	if !r.Mixed && !r.Crossing {
		s.deduceOld()
		times = 0
	}
	for range times {
		before := *s
		if s.deduce(r); *s == before {
			break
		}
	}
	low := s.Bits.intersect(tnumRange(s.Umin, s.Umax))
	s.Bits = low.high().or(low.low().intersect(tnumRange(uint64(s.u32min), uint64(s.u32max))))
	s.update(r)
}

// known reports whether the number is known, by its bits and by its bounds of either width.
func (s *Scalar) known() bool {
	v := s.Bits.Val
	return s.Bits.Mask == 0 && s.Umin == v && s.Umax == v && s.Smin == int64(v) && s.Smax == int64(v) &&
		s.u32min == uint32(v) && s.u32max == uint32(v) && s.s32min == int32(v) && s.s32max == int32(v)
}

// empty reports whether no number is within the bounds (range_bounds_violation).
func (s *Scalar) empty() bool {
	return s.Umin > s.Umax || s.Smin > s.Smax || s.u32min > s.u32max || s.s32min > s.s32max
}

// deduceOld is __reg_deduce_bounds until 6.7: signs only, each width for itself.
func (s *Scalar) deduceOld() {
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
	case s.Smin >= 0 || s.Smax < 0:
		s.Umin = max(uint64(s.Smin), s.Umin)
		s.Umax = min(uint64(s.Smax), s.Umax)
		s.Smin, s.Smax = int64(s.Umin), int64(s.Umax)
	case int64(s.Umax) >= 0:
		s.Smin = int64(s.Umin)
		s.Umax = min(uint64(s.Smax), s.Umax)
		s.Smax = int64(s.Umax)
	case int64(s.Umin) < 0:
		s.Umin = max(uint64(s.Smin), s.Umin)
		s.Smin = int64(s.Umin)
		s.Smax = int64(s.Umax)
	}
}

// deduce is __reg_deduce_bounds since 6.8.
func (s *Scalar) deduce(r *kernels.RangeRules) {
	s.deduce32(r)
	s.deduce64(r)
	if r.HalfRanges {
		s.deduceHalves()
	} else {
		s.deduceMixed()
	}
}

func (s *Scalar) limitS32(lo, hi int32)  { s.s32min, s.s32max = max(s.s32min, lo), min(s.s32max, hi) }
func (s *Scalar) limitU32(lo, hi uint32) { s.u32min, s.u32max = max(s.u32min, lo), min(s.u32max, hi) }
func (s *Scalar) limitS64(lo, hi int64)  { s.Smin, s.Smax = max(s.Smin, lo), min(s.Smax, hi) }
func (s *Scalar) limitU64(lo, hi uint64) { s.Umin, s.Umax = max(s.Umin, lo), min(s.Umax, hi) }

func (s *Scalar) deduce32(r *kernels.RangeRules) {
	if s.Umin>>32 == s.Umax>>32 {
		s.limitU32(uint32(s.Umin), uint32(s.Umax))
		if int32(s.Umin) <= int32(s.Umax) {
			s.limitS32(int32(s.Umin), int32(s.Umax))
		}
	}
	if s.Smin>>32 == s.Smax>>32 {
		if uint32(s.Smin) <= uint32(s.Smax) {
			s.limitU32(uint32(s.Smin), uint32(s.Smax))
		}
		if int32(s.Smin) <= int32(s.Smax) {
			s.limitS32(int32(s.Smin), int32(s.Smax))
		}
	}
	if uint32(s.Umin>>32)+1 == uint32(s.Umax>>32) && int32(s.Umin) < 0 && int32(s.Umax) >= 0 {
		s.limitS32(int32(s.Umin), int32(s.Umax))
	}
	if uint32(s.Smin>>32)+1 == uint32(s.Smax>>32) && int32(s.Smin) < 0 && int32(s.Smax) >= 0 {
		s.limitS32(int32(s.Smin), int32(s.Smax))
	}
	if int32(s.u32min) <= int32(s.u32max) {
		s.limitS32(int32(s.u32min), int32(s.u32max))
	}
	if uint32(s.s32min) <= uint32(s.s32max) {
		s.limitU32(uint32(s.s32min), uint32(s.s32max))
	} else if r.Crossing32 {
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

func (s *Scalar) deduce64(r *kernels.RangeRules) {
	if int64(s.Umin) <= int64(s.Umax) {
		s.limitS64(int64(s.Umin), int64(s.Umax))
	}
	if uint64(s.Smin) <= uint64(s.Smax) {
		s.limitU64(uint64(s.Smin), uint64(s.Smax))
	} else if r.Crossing {
		if s.Umax < uint64(s.Smin) {
			s.Smin = int64(s.Umin)
			s.Umax = min(s.Umax, uint64(s.Smax))
		} else if uint64(s.Smax) < s.Umin {
			s.Smax = int64(s.Umax)
			s.Umin = max(s.Umin, uint64(s.Smin))
		}
	}
}

func (s *Scalar) deduceMixed() {
	const high = ^uint64(math.MaxUint32)
	s.limitU64(s.Umin&high|uint64(s.u32min), s.Umax&high|uint64(s.u32max))
	s.limitS64(int64(uint64(s.Smin)&high|uint64(s.u32min)), int64(uint64(s.Smax)&high|uint64(s.u32max)))
	// After a sign extending load the upper half is all ones or all zeros; a lower half that is
	// not negative leaves the zeros.
	if s.s32min >= 0 && s.Smin >= math.MinInt32 && s.Smax <= math.MaxInt32 {
		s.Smin, s.Smax = int64(s.s32min), int64(s.s32max)
		s.Umin, s.Umax = uint64(s.s32min), uint64(s.s32max)
		s.Bits = s.Bits.intersect(tnumRange(s.Umin, s.Umax))
	}
}

// deduceHalves moves the bounds of 64 bits to the next numbers whose lower halves are within theirs (cnum64_cnum32_intersect in
// kernel/bpf/cnum.c).
func (s *Scalar) deduceHalves() {
	for _, half := range [2][2]uint32{{s.u32min, s.u32max}, {uint32(s.s32min), uint32(s.s32max)}} {
		lo, size := half[0], half[1]-half[0]
		if up := s.Umin + above(uint32(s.Umin), lo, size); up >= s.Umin {
			s.Umin = up
		}
		if down := s.Umax - below(uint32(s.Umax), lo, size); down <= s.Umax {
			s.Umax = down
		}
		if up := s.Smin + int64(above(uint32(s.Smin), lo, size)); up >= s.Smin {
			s.Smin = up
		}
		if down := s.Smax - int64(below(uint32(s.Smax), lo, size)); down <= s.Smax {
			s.Smax = down
		}
	}
}

// above is how far the next number of those from lo on, size more than one of them, is above v; below is how far it is below.
// They wrap around.
func above(v, lo, size uint32) uint64 {
	if v-lo <= size {
		return 0
	}
	return uint64(lo - v)
}

func below(v, lo, size uint32) uint64 {
	if v-lo <= size {
		return 0
	}
	return uint64(v - (lo + size))
}

// assign32 sets the 64-bit bounds from the 32-bit ones of a zero extended number
// (__reg_assign_32_into_64).
func (s *Scalar) assign32() {
	s.Umin, s.Umax = uint64(s.u32min), uint64(s.u32max)
	if s.s32min >= 0 && s.s32max >= 0 {
		s.Smin, s.Smax = int64(s.s32min), int64(s.s32max)
	} else {
		s.Smin, s.Smax = 0, math.MaxUint32
	}
}

// zext makes the number its lower half (zext_32_to_64).
func (s *Scalar) Zext(r *kernels.RangeRules) {
	s.Bits = s.Bits.low()
	s.assign32()
	s.Sync(r)
}

// combine64into32 forgets the 32-bit bounds but for what the others say (until 6.7).
func (s *Scalar) combine64into32(r *kernels.RangeRules) {
	s.Unbound32()
	if s.Smin >= math.MinInt32 && s.Smin <= math.MaxInt32 && s.Smax >= math.MinInt32 && s.Smax <= math.MaxInt32 {
		s.s32min, s.s32max = int32(s.Smin), int32(s.Smax)
	}
	if s.Umin <= math.MaxUint32 && s.Umax <= math.MaxUint32 {
		s.u32min, s.u32max = uint32(s.Umin), uint32(s.Umax)
	}
	s.Sync(r)
}

// combine32into64 is its counterpart after a 32-bit comparison (until 6.7).
func (s *Scalar) combine32into64(r *kernels.RangeRules) {
	if s.Bits.high() == (Tnum{}) {
		s.assign32()
	} else {
		s.unbound64()
	}
	s.Sync(r)
}

// fits reports whether the number has at most size bytes.
func (s *Scalar) Fits(size int) bool { return size == 8 || s.Umax < 1<<(size*8) }

// bounded reports whether anything is known of the number.
func (s *Scalar) Bounded() bool {
	u := UnknownScalar()
	return s.Smin != u.Smin || s.Smax != u.Smax || s.Umin != u.Umin || s.Umax != u.Umax
}

// LimitResult bounds what a helper returns: an error number or at most most.
func (s *Scalar) LimitResult(most int64, r *kernels.RangeRules) {
	const maxErrno = 4095
	s.limitS64(-maxErrno, most)
	s.limitS32(-maxErrno, int32(min(max(most, math.MinInt32), math.MaxInt32)))
	s.Sync(r)
}
