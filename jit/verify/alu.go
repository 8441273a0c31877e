// SPDX-License-Identifier: GPL-2.0-only

package verify

import (
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/kernels"
	"math"
	"math/bits"
)

// alu returns dst OP src as adjust_scalar_min_max_vals computes it; wide says that it is a 64-bit
// operation. signed selects sdiv and smod.
func (d scalar) alu(op uint8, src scalar, wide, signed bool, r *kernels.RangeRules) scalar {
	width := uint64(32)
	known := src.bits.low().isConst()
	if wide {
		width, known = 64, src.isConst()
	}
	switch op {
	case bpf.ALUAdd, bpf.ALUSub, bpf.ALUAnd:
	case bpf.ALUOr, bpf.ALUXor, bpf.ALUMul:
		if !r.AnyOperand && !known {
			return unknownScalar()
		}
	case bpf.ALULsh, bpf.ALURsh, bpf.ALUArsh:
		if !known || src.shiftMax(wide) >= width {
			return d.unknownResult(wide, known && !r.AnyOperand, r)
		}
	default: // division
		if r.DivRange && known {
			return d.divide(op, src, wide, signed, r)
		}
		return d.unknownResult(wide, known && !r.AnyOperand, r)
	}
	switch op {
	case bpf.ALUAdd:
		d.add32(&src, r)
		d.add64(&src, r)
		d.bits = d.bits.add(src.bits)
	case bpf.ALUSub:
		d.sub32(&src, r)
		d.sub64(&src, r)
		d.bits = d.bits.sub(src.bits)
	case bpf.ALUMul:
		d.bits = d.bits.mul(src.bits)
		d.mul(&src, r)
	case bpf.ALUAnd:
		d.bits = d.bits.and(src.bits)
		d.and(&src, r)
	case bpf.ALUOr:
		d.bits = d.bits.or(src.bits)
		d.or(&src, r)
	case bpf.ALUXor:
		d.bits = d.bits.xor(src.bits)
		d.xor(&src, r)
	default:
		d.shift(op, uint(src.shiftMax(wide)), wide)
	}
	if !wide {
		d.zext(r)
		return d
	}
	d.sync(r)
	return d
}

// shiftMax is the largest amount by which src shifts.
func (s *scalar) shiftMax(wide bool) uint64 {
	if wide {
		return s.umax
	}
	return uint64(s.u32max)
}

// unknownResult is an unknown number; kernels before 6.10 zero extend it in a 32-bit operation by
// a constant.
func (d scalar) unknownResult(wide, extend bool, r *kernels.RangeRules) scalar {
	d = unknownScalar()
	if !wide && extend {
		d.zext(r)
	}
	return d
}

func (d *scalar) add32(s *scalar, r *kernels.RangeRules) {
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

func (d *scalar) add64(s *scalar, r *kernels.RangeRules) {
	lo, hi := d.smin+s.smin, d.smax+s.smax
	loOver := (lo < d.smin) != (s.smin < 0)
	hiOver := (hi < d.smax) != (s.smax < 0)
	if loOver || hiOver {
		lo, hi = math.MinInt64, math.MaxInt64
	}
	d.smin, d.smax = lo, hi
	ulo, c1 := bits.Add64(d.umin, s.umin, 0)
	uhi, c2 := bits.Add64(d.umax, s.umax, 0)
	if c1|c2 != 0 && (!r.Overflow || c1 != c2) {
		ulo, uhi = 0, math.MaxUint64
	}
	d.umin, d.umax = ulo, uhi
}

func (d *scalar) sub32(s *scalar, r *kernels.RangeRules) {
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

func (d *scalar) sub64(s *scalar, r *kernels.RangeRules) {
	lo, hi := d.smin-s.smax, d.smax-s.smin
	loOver := (lo > d.smin) != (s.smax < 0)
	hiOver := (hi > d.smax) != (s.smin < 0)
	if loOver || hiOver {
		lo, hi = math.MinInt64, math.MaxInt64
	}
	d.smin, d.smax = lo, hi
	loUnder, hiUnder := d.umin < s.umax, d.umax < s.umin
	ulo, uhi := d.umin-s.umax, d.umax-s.umin
	if r.Overflow && loUnder != hiUnder || !r.Overflow && loUnder {
		ulo, uhi = 0, math.MaxUint64
	}
	d.umin, d.umax = ulo, uhi
}

func (d *scalar) mul(s *scalar, r *kernels.RangeRules) {
	if r.WideMul {
		d.mulWide(s)
		return
	}
	switch {
	case s.s32min < 0 || d.s32min < 0 || d.u32max > math.MaxUint16 || s.u32max > math.MaxUint16:
		d.unbound32()
	default:
		d.u32min, d.u32max = d.u32min*s.u32min, d.u32max*s.u32max
		if d.u32max > math.MaxInt32 {
			d.s32min, d.s32max = math.MinInt32, math.MaxInt32
		} else {
			d.s32min, d.s32max = int32(d.u32min), int32(d.u32max)
		}
	}
	switch {
	case s.smin < 0 || d.smin < 0 || d.umax > math.MaxUint32 || s.umax > math.MaxUint32:
		d.unbound64()
	default:
		d.umin, d.umax = d.umin*s.umin, d.umax*s.umax
		if d.umax > math.MaxInt64 {
			d.smin, d.smax = math.MinInt64, math.MaxInt64
		} else {
			d.smin, d.smax = int64(d.umin), int64(d.umax)
		}
	}
}

func (d *scalar) mulWide(s *scalar) {
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

	over1, ulo := bits.Mul64(d.umin, s.umin)
	over2, uhi := bits.Mul64(d.umax, s.umax)
	if over1|over2 != 0 {
		ulo, uhi = 0, math.MaxUint64
	}
	d.umin, d.umax = ulo, uhi
	lo, hi := int64(math.MaxInt64), int64(math.MinInt64)
	for _, a := range [2]int64{d.smin, d.smax} {
		for _, b := range [2]int64{s.smin, s.smax} {
			p := a * b
			if a != 0 && (p/a != b || a == -1 && b == math.MinInt64) {
				d.smin, d.smax = math.MinInt64, math.MaxInt64
				return
			}
			lo, hi = min(lo, p), max(hi, p)
		}
	}
	d.smin, d.smax = lo, hi
}

// signFromUnsigned sets the signed bounds after and, or and xor.
func (d *scalar) signFromUnsigned(neg32, neg64 bool, r *kernels.RangeRules) {
	if r.Mixed {
		neg32, neg64 = int32(d.u32min) > int32(d.u32max), int64(d.umin) > int64(d.umax)
	}
	if neg32 {
		d.s32min, d.s32max = math.MinInt32, math.MaxInt32
	} else {
		d.s32min, d.s32max = int32(d.u32min), int32(d.u32max)
	}
	if neg64 {
		d.smin, d.smax = math.MinInt64, math.MaxInt64
	} else {
		d.smin, d.smax = int64(d.umin), int64(d.umax)
	}
}

// settle gives the bounds of and, or and xor: exact where the bits are.
func (d *scalar) settle(neg32, neg64, known32, known64 bool, r *kernels.RangeRules) {
	d.signFromUnsigned(neg32, neg64, r)
	if known32 {
		c := constScalar(d.bits.val)
		d.s32min, d.s32max, d.u32min, d.u32max = c.s32min, c.s32max, c.u32min, c.u32max
	}
	if known64 {
		*d = constScalar(d.bits.val)
		return
	}
	d.update()
}

func (d *scalar) and(s *scalar, r *kernels.RangeRules) {
	k32, k64 := d.bits.low().isConst() && s.bits.low().isConst(), d.isConst() && s.isConst()
	n32, n64 := d.s32min < 0 || s.s32min < 0, d.smin < 0 || s.smin < 0
	d.u32min, d.u32max = uint32(d.bits.val), min(d.u32max, s.u32max)
	d.umin, d.umax = d.bits.val, min(d.umax, s.umax)
	d.settle(n32, n64, k32, k64, r)
}

func (d *scalar) or(s *scalar, r *kernels.RangeRules) {
	k32, k64 := d.bits.low().isConst() && s.bits.low().isConst(), d.isConst() && s.isConst()
	n32, n64 := d.s32min < 0 || s.s32min < 0, d.smin < 0 || s.smin < 0
	d.u32min, d.u32max = max(d.u32min, s.u32min), uint32(d.bits.val|d.bits.mask)
	d.umin, d.umax = max(d.umin, s.umin), d.bits.val|d.bits.mask
	d.settle(n32, n64, k32, k64, r)
}

func (d *scalar) xor(s *scalar, r *kernels.RangeRules) {
	k32, k64 := d.bits.low().isConst() && s.bits.low().isConst(), d.isConst() && s.isConst()
	n32, n64 := d.s32min < 0 || s.s32min < 0, d.smin < 0 || s.smin < 0
	d.u32min, d.u32max = uint32(d.bits.val), uint32(d.bits.val|d.bits.mask)
	d.umin, d.umax = d.bits.val, d.bits.val|d.bits.mask
	d.settle(n32, n64, k32, k64, r)
}

// shift shifts by a constant smaller than the width.
func (d *scalar) shift(op uint8, n uint, wide bool) {
	if !wide {
		d.shift32(op, n)
		return
	}
	switch op {
	case bpf.ALULsh:
		d.shl64bounds(n)
		d.shl32bounds(n)
		d.bits = d.bits.shl(n)
	case bpf.ALURsh:
		d.smin, d.smax = math.MinInt64, math.MaxInt64
		d.bits = d.bits.shr(n)
		d.umin, d.umax = d.umin>>n, d.umax>>n
		d.unbound32()
	default:
		d.smin, d.smax = d.smin>>n, d.smax>>n
		d.bits = d.bits.sar(n, 64)
		d.umin, d.umax = 0, math.MaxUint64
		d.unbound32()
	}
	d.update()
}

func (d *scalar) shl64bounds(n uint) {
	smin, smax := int64(math.MinInt64), int64(math.MaxInt64)
	if n == 32 && d.s32max >= 0 {
		smax = int64(d.s32max) << 32
	}
	if n == 32 && d.s32min >= 0 {
		smin = int64(d.s32min) << 32
	}
	d.smin, d.smax = smin, smax
	if d.umax > 1<<(63-n) {
		d.umin, d.umax = 0, math.MaxUint64
	} else {
		d.umin, d.umax = d.umin<<n, d.umax<<n
	}
}

func (d *scalar) shl32bounds(n uint) {
	d.s32min, d.s32max = math.MinInt32, math.MaxInt32
	if n > 31 || d.u32max > 1<<(31-n) {
		d.u32min, d.u32max = 0, math.MaxUint32
	} else {
		d.u32min, d.u32max = d.u32min<<n, d.u32max<<n
	}
}

func (d *scalar) shift32(op uint8, n uint) {
	low := d.bits.low()
	switch op {
	case bpf.ALULsh:
		d.shl32bounds(n)
		d.bits = low.shl(n).low()
	case bpf.ALURsh:
		d.s32min, d.s32max = math.MinInt32, math.MaxInt32
		d.bits = low.shr(n)
		d.u32min, d.u32max = d.u32min>>n, d.u32max>>n
	default:
		d.s32min, d.s32max = d.s32min>>n, d.s32max>>n
		d.bits = low.sar(n, 32)
		d.u32min, d.u32max = 0, math.MaxUint32
	}
	d.unbound64()
	d.update32()
}

// divide is the quotient or remainder by a constant where the kernel tracks it
// (scalar_min_max_udiv and its relatives).
func (d scalar) divide(op uint8, src scalar, wide, signed bool, r *kernels.RangeRules) scalar {
	v := src.bits.val
	if !wide {
		v = uint64(uint32(v))
	}
	switch {
	case v == 0 && op == bpf.ALUDiv:
		d = constScalar(0)
	case v == 0:
	case wide && signed:
		lo, hi, same := dividedSigned(op, d.smin, d.smax, int64(v), math.MinInt64)
		if !same {
			d = unknownScalar()
			d.smin, d.smax = lo, hi
		}
	case wide:
		lo, hi, same := divided(op, d.umin, d.umax, v)
		if !same {
			d = unknownScalar()
			d.umin, d.umax = lo, hi
		}
	case signed:
		lo, hi, same := dividedSigned(op, int64(d.s32min), int64(d.s32max), int64(int32(v)), math.MinInt32)
		if !same {
			d = unknownScalar()
			d.s32min, d.s32max = int32(lo), int32(hi)
		}
	default:
		lo, hi, same := divided(op, uint64(d.u32min), uint64(d.u32max), v)
		if !same {
			d = unknownScalar()
			d.u32min, d.u32max = uint32(lo), uint32(hi)
		}
	}
	if !wide {
		d.zext(r)
		return d
	}
	d.sync(r)
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

// dividedSigned is divided for signed numbers of which least is the smallest.
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
func (d scalar) signExtend(size int, wide bool, r *kernels.RangeRules) scalar {
	n := uint(64 - size*8)
	if d.isConst() {
		v := uint64(int64(d.bits.val<<n) >> n)
		if !wide {
			v = uint64(uint32(v))
		}
		return constScalar(v)
	}
	lo, hi := int64(-1)<<(63-n), int64(1)<<(63-n)-1
	keep := d.smin >= lo && d.smax <= hi
	res := loadedScalar(size, true)
	if size == 8 || keep {
		res = d
	}
	if !wide {
		res.zext(r)
		return res
	}
	res.sync(r)
	return res
}

// swap is a byte swap, or the truncation that is left of one on a little-endian machine
// (scalar_byte_swap).
func (v *value) swap(in bpf.Insn, r *kernels.RangeRules) {
	size := int(in.Imm) / 8
	swaps := in.Class() == bpf.ClassALU64 || in.Op&bpf.SrcReg != 0
	if swaps || size < 8 {
		v.link, v.delta, v.plus = 0, 0, false
	}
	if swaps {
		n := 64 - in.Imm
		b := v.num.bits
		v.num = unknownScalar()
		v.num.bits = tnum{bits.ReverseBytes64(b.val << n), bits.ReverseBytes64(b.mask << n)}
	}
	if size < 8 {
		v.narrow(size, false, r)
	}
	v.num.sync(r)
}
