// SPDX-License-Identifier: GPL-2.0-only

package verify

import (
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/verify/ranges"
)

// spilled returns how many bytes of the slot are a spilled value, counted from its lowest byte.
func (s *slot) spilled() int {
	n := 0
	for n < 8 && s.bytes[n] == byteSpill {
		n++
	}
	return n
}

// scrub forgets the spilled value; all bytes that hold something hold anything then (scrub_spilled_slot).
func (s *slot) scrub() {
	for i, k := range s.bytes {
		if k != byteNone {
			s.bytes[i] = byteMisc
		}
	}
	s.spill = &nothing
}

// load is what size bytes at off from r10 hold (check_stack_read_fixed_off).
func (f *frameState) load(off int64, size int, signed bool, r *kernels.Verifier) value {
	s := f.slotOf(off)
	if s == nil {
		return number(ranges.LoadedScalar(size, signed))
	}
	if n := s.spilled(); n > 0 && byteOf(off) == 0 {
		switch {
		case size == 8 && n == 8:
			return *s.spill
		case s.spill.kind != kindNumber:
		case size == n || r.SpillAny && size < n:
			v := *s.spill
			if size < 8 {
				v.narrow(size, signed, &r.Ranges)
			}
			return v
		}
		return number(ranges.LoadedScalar(size, signed))
	}
	if r.SpillAny && s.spill.null() && byteOf(off)+size <= s.spilled() {
		return number(ranges.ConstScalar(0)) // any part of a spilled zero
	}
	if f.allZero(off, off+int64(size)) {
		return number(ranges.ConstScalar(0))
	}
	return number(ranges.LoadedScalar(size, signed))
}

func (f *frameState) allZero(from, to int64) bool {
	_, zero := f.zeros(from, to, false)
	return zero
}

// zeros reports whether all bytes from and below to are known to be 0, spilled ones included if they count; spills are the
// slots of these, by bit.
func (f *frameState) zeros(from, to int64, count bool) (spills uint64, all bool) {
	for at := from; at < to; at++ {
		s := f.slotOf(at)
		switch {
		case s != nil && s.bytes[byteOf(at)] == byteZero:
		case s != nil && count && s.bytes[byteOf(at)] == byteSpill && s.spill.null():
			spills |= 1 << ((-at - 1) / 8)
		default:
			return 0, false
		}
	}
	return spills, true
}

// narrow cuts a number to size bytes, as a load of a wider one does (coerce_reg_to_size).
func (v *value) narrow(size int, signed bool, r *kernels.RangeRules) {
	if !v.num.Fits(size) || signed && r.SignedFills && v.num.Umax >= 1<<(size*8-1) {
		v.link, v.delta, v.plus = 0, 0, 0
	}
	if signed {
		v.num = v.num.SignExtend(size, true, r)
		return
	}
	v.num.Narrow(size, r)
}

// store writes v, which is lent, to size bytes at off from r10 (check_stack_write_fixed_off).
func (f *frameState) store(off int64, size int, v *value, imm bool, r *kernels.Verifier) {
	s := f.ownSlot(off)
	if s == nil {
		return
	}
	if f.keeps(off, size, v, imm, r) {
		old := s.bytes
		s.scrub()
		if size < 8 && !v.num.Fits(size) {
			part := *v
			part.link, part.delta, part.plus = 0, 0, 0
			v = &part
		}
		s.spill = v
		for i := range s.bytes {
			switch {
			case i < size:
				s.bytes[i] = byteSpill
			case old[i] == byteNone:
				s.bytes[i] = byteNone
			case old[i] == byteZero && r.SpillAny:
				s.bytes[i] = byteZero
			default:
				s.bytes[i] = byteMisc
			}
		}
		return
	}
	kind := byteMisc
	if v.isConst() && v.num.Umin == 0 && (!imm || r.StoreImm) {
		kind = byteZero
	}
	f.fill(off, off+int64(size), kind)
}

// keeps reports whether the verifier remembers the stored value.
func (f *frameState) keeps(off int64, size int, v *value, imm bool, r *kernels.Verifier) bool {
	if byteOf(off) != 0 {
		return false
	}
	switch {
	case v.kind != kindNumber:
		return size == 8 && v.kind != kindNone
	case imm && !r.StoreImm:
		return false
	case size < 8 && !r.SpillNarrow:
		return false
	case r.SpillAny:
		return true
	case v.isConst() && v.num.Umin == 0:
		return false
	case r.SpillBounded:
		return v.num.Bounded()
	}
	return v.isConst()
}

// fill sets what the bytes from and below to hold; spilled values that it touches are forgotten.
func (f *frameState) fill(from, to int64, k byteKind) {
	for from, to = max(from, -maxStack), min(to, 0); from < to; from = from&^7 + 8 {
		end := min(from&^7+8, to)
		s := f.slotOf(from)
		if s != nil && s.spilled() == 0 && s.all(byteOf(from), int(end-from), k) {
			continue
		}
		if s = f.ownSlot(from); s.spilled() > 0 {
			s.scrub()
		}
		for at := from; at < end; at++ {
			s.bytes[byteOf(at)] = k
		}
	}
}

// all reports whether n bytes from the first on hold the same.
func (s *slot) all(first, n int, k byteKind) bool {
	for _, b := range s.bytes[first : first+n] {
		if b != k {
			return false
		}
	}
	return true
}

// swap is a byte swap, or the truncation that is left of one on a little-endian machine
// (scalar_byte_swap).
func (v *value) swap(in bpf.Insn, r *kernels.RangeRules) {
	size := int(in.Imm) / 8
	swaps := in.Class() == bpf.ClassALU64 || in.Op&bpf.SrcReg != 0
	if swaps || size < 8 {
		v.link, v.delta, v.plus = 0, 0, 0
	}
	if swaps {
		v.num.Swap(size)
	}
	if size < 8 {
		v.narrow(size, false, r)
	}
	v.num.Sync(r)
}
