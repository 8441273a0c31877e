// SPDX-License-Identifier: GPL-2.0-only

package ranges

import (
	"math"
	"math/bits"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/kernels"
)

// Alu makes d dst OP src as adjust_scalar_min_max_vals computes it; wide says that it is a 64-bit
// operation. signed selects sdiv and smod. src is not d, and stays as it is.
func (d *Scalar) Alu(op uint8, src *Scalar, wide, signed bool, r *kernels.RangeRules) {
	width := uint64(32)
	known := src.Bits.low().IsConst()
	if wide {
		width, known = 64, src.IsConst()
	}
	switch op {
	case bpf.ALUAdd, bpf.ALUSub, bpf.ALUAnd:
	case bpf.ALUOr, bpf.ALUXor, bpf.ALUMul:
		if !r.AnyOperand && !known {
			*d = UnknownScalar()
			return
		}
	case bpf.ALULsh, bpf.ALURsh, bpf.ALUArsh:
		if !known || src.shiftMax(wide) >= width {
			d.unknownResult(wide, known && !r.AnyOperand, r)
			return
		}
	default: // division
		if r.DivRange && known {
			*d = d.divide(op, *src, wide, signed, r)
			return
		}
		d.unknownResult(wide, known && !r.AnyOperand, r)
		return
	}
	switch op {
	case bpf.ALUAdd:
		d.Add32(src, r)
		d.Add64(src, r)
		d.Bits = d.Bits.Add(src.Bits)
	case bpf.ALUSub:
		d.sub32(src, r)
		d.sub64(src, r)
		d.Bits = d.Bits.sub(src.Bits)
	case bpf.ALUMul:
		d.Bits = d.Bits.mul(src.Bits)
		d.mul(src, r)
	case bpf.ALUAnd:
		d.Bits = d.Bits.and(src.Bits)
		d.and(src, r)
	case bpf.ALUOr:
		d.Bits = d.Bits.or(src.Bits)
		d.or(src, r)
	case bpf.ALUXor:
		d.Bits = d.Bits.xor(src.Bits)
		d.xor(src, r)
	default:
		d.shift(op, uint(src.shiftMax(wide)), wide, r)
	}
	if !wide {
		d.Zext(r)
		return
	}
	d.Sync(r)
}

// shiftMax is the largest amount by which src shifts.
func (s *Scalar) shiftMax(wide bool) uint64 {
	if wide {
		return s.Umax
	}
	return uint64(s.u32max)
}

// unknownResult is an unknown number; kernels before 6.10 zero extend it in a 32-bit operation by
// a constant.
func (d *Scalar) unknownResult(wide, extend bool, r *kernels.RangeRules) {
	*d = UnknownScalar()
	if !wide && extend {
		d.Zext(r)
	}
}

func (d *Scalar) Add32(s *Scalar, r *kernels.RangeRules) {
	lo, hi := int64(d.s32min)+int64(s.s32min), int64(d.s32max)+int64(s.s32max)
	d.s32min, d.s32max = int32(lo), int32(hi)
	if lo != int64(int32(lo)) || hi != int64(int32(hi)) {
		d.s32min, d.s32max = math.MinInt32, math.MaxInt32
	}
	ulo, uhi := uint64(d.u32min)+uint64(s.u32min), uint64(d.u32max)+uint64(s.u32max)
	d.u32min, d.u32max = uint32(ulo), uint32(uhi)
	if uhi > math.MaxUint32 && (!r.Overflow || ulo <= math.MaxUint32) {
		d.u32min, d.u32max = 0, math.MaxUint32
	}
}

func (d *Scalar) Add64(s *Scalar, r *kernels.RangeRules) {
	lo, hi := d.Smin+s.Smin, d.Smax+s.Smax
	loOver := (lo < d.Smin) != (s.Smin < 0)
	hiOver := (hi < d.Smax) != (s.Smax < 0)
	if loOver || hiOver {
		lo, hi = math.MinInt64, math.MaxInt64
	}
	d.Smin, d.Smax = lo, hi
	ulo, c1 := bits.Add64(d.Umin, s.Umin, 0)
	uhi, c2 := bits.Add64(d.Umax, s.Umax, 0)
	if c1|c2 != 0 && (!r.Overflow || c1 != c2) {
		ulo, uhi = 0, math.MaxUint64
	}
	d.Umin, d.Umax = ulo, uhi
}

func (d *Scalar) sub32(s *Scalar, r *kernels.RangeRules) {
	lo, hi := int64(d.s32min)-int64(s.s32max), int64(d.s32max)-int64(s.s32min)
	d.s32min, d.s32max = int32(lo), int32(hi)
	if lo != int64(int32(lo)) || hi != int64(int32(hi)) {
		d.s32min, d.s32max = math.MinInt32, math.MaxInt32
	}
	loUnder, hiUnder := d.u32min < s.u32max, d.u32max < s.u32min
	ulo, uhi := d.u32min-s.u32max, d.u32max-s.u32min
	if r.Overflow && loUnder != hiUnder || !r.Overflow && loUnder {
		ulo, uhi = 0, math.MaxUint32
	}
	d.u32min, d.u32max = ulo, uhi
}

func (d *Scalar) sub64(s *Scalar, r *kernels.RangeRules) {
	lo, hi := d.Smin-s.Smax, d.Smax-s.Smin
	loOver := (lo > d.Smin) != (s.Smax < 0)
	hiOver := (hi > d.Smax) != (s.Smin < 0)
	if loOver || hiOver {
		lo, hi = math.MinInt64, math.MaxInt64
	}
	d.Smin, d.Smax = lo, hi
	loUnder, hiUnder := d.Umin < s.Umax, d.Umax < s.Umin
	ulo, uhi := d.Umin-s.Umax, d.Umax-s.Umin
	if r.Overflow && loUnder != hiUnder || !r.Overflow && loUnder {
		ulo, uhi = 0, math.MaxUint64
	}
	d.Umin, d.Umax = ulo, uhi
}

func (d *Scalar) mul(s *Scalar, r *kernels.RangeRules) {
	if r.WideMul {
		d.mulWide(s)
		return
	}
	switch {
	case s.s32min < 0 || d.s32min < 0 || d.u32max > math.MaxUint16 || s.u32max > math.MaxUint16:
		d.Unbound32()
	default:
		d.u32min, d.u32max = d.u32min*s.u32min, d.u32max*s.u32max
		if d.u32max > math.MaxInt32 {
			d.s32min, d.s32max = math.MinInt32, math.MaxInt32
		} else {
			d.s32min, d.s32max = int32(d.u32min), int32(d.u32max)
		}
	}
	switch {
	case s.Smin < 0 || d.Smin < 0 || d.Umax > math.MaxUint32 || s.Umax > math.MaxUint32:
		d.unbound64()
	default:
		d.Umin, d.Umax = d.Umin*s.Umin, d.Umax*s.Umax
		if d.Umax > math.MaxInt64 {
			d.Smin, d.Smax = math.MinInt64, math.MaxInt64
		} else {
			d.Smin, d.Smax = int64(d.Umin), int64(d.Umax)
		}
	}
}

func (d *Scalar) mulWide(s *Scalar) {
	if uint64(d.u32max)*uint64(s.u32max) > math.MaxUint32 || uint64(d.u32min)*uint64(s.u32min) > math.MaxUint32 {
		d.u32min, d.u32max = 0, math.MaxUint32
	} else {
		d.u32min, d.u32max = d.u32min*s.u32min, d.u32max*s.u32max
	}
	lo32, hi32 := int64(math.MaxInt64), int64(math.MinInt64)
	for _, a := range [2]int32{d.s32min, d.s32max} {
		for _, b := range [2]int32{s.s32min, s.s32max} {
			lo32, hi32 = min(lo32, int64(a)*int64(b)), max(hi32, int64(a)*int64(b))
		}
	}
	if lo32 < math.MinInt32 || hi32 > math.MaxInt32 {
		lo32, hi32 = math.MinInt32, math.MaxInt32
	}
	d.s32min, d.s32max = int32(lo32), int32(hi32)

	over1, ulo := bits.Mul64(d.Umin, s.Umin)
	over2, uhi := bits.Mul64(d.Umax, s.Umax)
	if over1|over2 != 0 {
		ulo, uhi = 0, math.MaxUint64
	}
	d.Umin, d.Umax = ulo, uhi
	lo, hi := int64(math.MaxInt64), int64(math.MinInt64)
	for _, a := range [2]int64{d.Smin, d.Smax} {
		for _, b := range [2]int64{s.Smin, s.Smax} {
			p := a * b
			if a != 0 && (p/a != b || a == -1 && b == math.MinInt64) {
				d.Smin, d.Smax = math.MinInt64, math.MaxInt64
				return
			}
			lo, hi = min(lo, p), max(hi, p)
		}
	}
	d.Smin, d.Smax = lo, hi
}

// signFromUnsigned sets the signed bounds after and, or and xor.
func (d *Scalar) signFromUnsigned(neg32, neg64 bool, r *kernels.RangeRules) {
	if r.Mixed {
		neg32, neg64 = int32(d.u32min) > int32(d.u32max), int64(d.Umin) > int64(d.Umax)
	}
	if neg32 {
		d.s32min, d.s32max = math.MinInt32, math.MaxInt32
	} else {
		d.s32min, d.s32max = int32(d.u32min), int32(d.u32max)
	}
	if neg64 {
		d.Smin, d.Smax = math.MinInt64, math.MaxInt64
	} else {
		d.Smin, d.Smax = int64(d.Umin), int64(d.Umax)
	}
}

// settle gives the bounds of and, or and xor: exact where the bits are.
func (d *Scalar) settle(neg32, neg64, known32, known64 bool, r *kernels.RangeRules) {
	d.signFromUnsigned(neg32, neg64, r)
	if known32 {
		c := ConstScalar(d.Bits.Val)
		d.s32min, d.s32max, d.u32min, d.u32max = c.s32min, c.s32max, c.u32min, c.u32max
	}
	if known64 {
		*d = ConstScalar(d.Bits.Val)
		return
	}
	d.update(r)
}

func (d *Scalar) and(s *Scalar, r *kernels.RangeRules) {
	k32, k64 := d.Bits.low().IsConst() && s.Bits.low().IsConst(), d.IsConst() && s.IsConst()
	n32, n64 := d.s32min < 0 || s.s32min < 0, d.Smin < 0 || s.Smin < 0
	d.u32min, d.u32max = uint32(d.Bits.Val), min(d.u32max, s.u32max)
	d.Umin, d.Umax = d.Bits.Val, min(d.Umax, s.Umax)
	d.settle(n32, n64, k32, k64, r)
}

func (d *Scalar) or(s *Scalar, r *kernels.RangeRules) {
	k32, k64 := d.Bits.low().IsConst() && s.Bits.low().IsConst(), d.IsConst() && s.IsConst()
	n32, n64 := d.s32min < 0 || s.s32min < 0, d.Smin < 0 || s.Smin < 0
	d.u32min, d.u32max = max(d.u32min, s.u32min), uint32(d.Bits.Val|d.Bits.Mask)
	d.Umin, d.Umax = max(d.Umin, s.Umin), d.Bits.Val|d.Bits.Mask
	d.settle(n32, n64, k32, k64, r)
}

func (d *Scalar) xor(s *Scalar, r *kernels.RangeRules) {
	k32, k64 := d.Bits.low().IsConst() && s.Bits.low().IsConst(), d.IsConst() && s.IsConst()
	n32, n64 := d.s32min < 0 || s.s32min < 0, d.Smin < 0 || s.Smin < 0
	d.u32min, d.u32max = uint32(d.Bits.Val), uint32(d.Bits.Val|d.Bits.Mask)
	d.Umin, d.Umax = d.Bits.Val, d.Bits.Val|d.Bits.Mask
	d.settle(n32, n64, k32, k64, r)
}

// shift shifts by a constant smaller than the width.
func (d *Scalar) shift(op uint8, n uint, wide bool, r *kernels.RangeRules) {
	if !wide {
		d.shift32(op, n)
		return
	}
	switch op {
	case bpf.ALULsh:
		d.shl64bounds(n)
		d.shl32bounds(n)
		d.Bits = d.Bits.shl(n)
	case bpf.ALURsh:
		d.Smin, d.Smax = math.MinInt64, math.MaxInt64
		d.Bits = d.Bits.shr(n)
		d.Umin, d.Umax = d.Umin>>n, d.Umax>>n
		d.Unbound32()
	default:
		d.Smin, d.Smax = d.Smin>>n, d.Smax>>n
		d.Bits = d.Bits.sar(n, 64)
		d.Umin, d.Umax = 0, math.MaxUint64
		d.Unbound32()
	}
	d.update(r)
}

func (d *Scalar) shl64bounds(n uint) {
	smin, smax := int64(math.MinInt64), int64(math.MaxInt64)
	if n == 32 && d.s32max >= 0 {
		smax = int64(d.s32max) << 32
	}
	if n == 32 && d.s32min >= 0 {
		smin = int64(d.s32min) << 32
	}
	d.Smin, d.Smax = smin, smax
	if d.Umax > 1<<(63-n) {
		d.Umin, d.Umax = 0, math.MaxUint64
	} else {
		d.Umin, d.Umax = d.Umin<<n, d.Umax<<n
	}
}

func (d *Scalar) shl32bounds(n uint) {
	d.s32min, d.s32max = math.MinInt32, math.MaxInt32
	if n > 31 || d.u32max > 1<<(31-n) {
		d.u32min, d.u32max = 0, math.MaxUint32
	} else {
		d.u32min, d.u32max = d.u32min<<n, d.u32max<<n
	}
}

func (d *Scalar) shift32(op uint8, n uint) {
	low := d.Bits.low()
	switch op {
	case bpf.ALULsh:
		d.shl32bounds(n)
		d.Bits = low.shl(n).low()
	case bpf.ALURsh:
		d.s32min, d.s32max = math.MinInt32, math.MaxInt32
		d.Bits = low.shr(n)
		d.u32min, d.u32max = d.u32min>>n, d.u32max>>n
	default:
		d.s32min, d.s32max = d.s32min>>n, d.s32max>>n
		d.Bits = low.sar(n, 32)
		d.u32min, d.u32max = 0, math.MaxUint32
	}
	d.unbound64()
	d.update32()
}

// divide is the quotient or remainder by a constant where the kernel tracks it
// (scalar_min_max_udiv and its relatives).
func (d Scalar) divide(op uint8, src Scalar, wide, signed bool, r *kernels.RangeRules) Scalar {
	v := src.Bits.Val
	if !wide {
		v = uint64(uint32(v))
	}
	switch {
	case v == 0 && op == bpf.ALUDiv:
		d = ConstScalar(0)
	case v == 0:
	case wide && signed:
		lo, hi, same := dividedSigned(op, d.Smin, d.Smax, int64(v), math.MinInt64)
		if !same {
			d = UnknownScalar()
			d.Smin, d.Smax = lo, hi
		}
	case wide:
		lo, hi, same := divided(op, d.Umin, d.Umax, v)
		if !same {
			d = UnknownScalar()
			d.Umin, d.Umax = lo, hi
		}
	case signed:
		lo, hi, same := dividedSigned(op, int64(d.s32min), int64(d.s32max), int64(int32(v)), math.MinInt32)
		if !same {
			d = UnknownScalar()
			d.s32min, d.s32max = int32(lo), int32(hi)
		}
	default:
		lo, hi, same := divided(op, uint64(d.u32min), uint64(d.u32max), v)
		if !same {
			d = UnknownScalar()
			d.u32min, d.u32max = uint32(lo), uint32(hi)
		}
	}
	if !wide {
		d.Zext(r)
		return d
	}
	d.Sync(r)
	return d
}

// divided returns the bounds of a quotient or remainder by v; same if the remainder is the number
// itself.
func divided(op uint8, lo, hi, v uint64) (rlo, rhi uint64, same bool) {
	switch {
	case op == bpf.ALUDiv:
		return lo / v, hi / v, false
	case hi < v:
		return lo, hi, true
	}
	return 0, v - 1, false
}

// dividedSigned is divided for signed numbers, the smallest of which is least.
func dividedSigned(op uint8, lo, hi, v, least int64) (rlo, rhi int64, same bool) {
	if op == bpf.ALUDiv {
		if lo == least && v == -1 {
			if hi != least {
				hi = -(least + 1)
			}
			return lo, hi, false
		}
		return min(lo/v, hi/v), max(lo/v, hi/v), false
	}
	most := v
	if v < 0 {
		most = -(v + 1) // one less than the absolute value, which may not be representable
	} else {
		most--
	}
	switch {
	case lo >= -most && hi <= most:
		return lo, hi, true
	case lo >= 0:
		return 0, min(hi, most), false
	case hi <= 0:
		return max(lo, -most), 0, false
	}
	return -most, most, false
}

// signExtend is movsx from a number of bytes.
func (d Scalar) SignExtend(size int, wide bool, r *kernels.RangeRules) Scalar {
	n := uint(64 - size*8)
	if d.IsConst() {
		v := uint64(int64(d.Bits.Val<<n) >> n)
		if !wide {
			v = uint64(uint32(v))
		}
		return ConstScalar(v)
	}
	res := LoadedScalar(size, true)
	lo, hi := d.Smin, d.Smax
	if !wide {
		lo, hi = int64(d.s32min), int64(d.s32max)
	}
	// Where the bits above the new sign are the same in the whole range, and so is the sign, the range is kept.
	if a, b := lo<<n>>n, hi<<n>>n; size == 8 {
		res = d
	} else if lo>>(size*8) == hi>>(size*8) && (a < 0) == (b < 0) {
		res.Smin, res.Smax, res.Umin, res.Umax = a, b, uint64(a), uint64(b)
		res.s32min, res.s32max, res.u32min, res.u32max = int32(a), int32(b), uint32(a), uint32(b)
		res.Bits = tnumRange(uint64(a), uint64(b))
	}
	if !wide {
		res.Zext(r)
		return res
	}
	res.Sync(r)
	return res
}

// Swap is a byte swap, or the truncation that is left of one on a little-endian machine, to a number of size
// bytes.
func (s *Scalar) Swap(size int) {
	n := 64 - 8*size
	b := s.Bits
	*s = UnknownScalar()
	s.Bits = Tnum{bits.ReverseBytes64(b.Val << n), bits.ReverseBytes64(b.Mask << n)}
}
