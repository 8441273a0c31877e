// SPDX-License-Identifier: GPL-2.0-only

package verify

import (
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/verify/holds"
	"github.com/tcsim/tcsim/jit/verify/ranges"
)

// load is what size bytes at off from r10 hold (check_stack_read_fixed_off).
func (f *frameState) load(off int64, size int, signed bool, r *kernels.Verifier) holds.Value {
	s := f.slotOf(off)
	if s == nil {
		return holds.Of(ranges.LoadedScalar(size, signed))
	}
	if n := s.Spilled(); n > 0 && holds.ByteOf(off) == 0 {
		switch {
		case size == 8 && n == 8:
			return *s.Spill
		case s.Spill.Kind != holds.Number:
		case size == n || r.SpillAny && size < n:
			v := *s.Spill
			if size < 8 {
				v.Narrow(size, signed, &r.Ranges)
			}
			return v
		}
		return holds.Of(ranges.LoadedScalar(size, signed))
	}
	if r.SpillAny && s.Spill.Null() && holds.ByteOf(off)+size <= s.Spilled() {
		return holds.Of(ranges.ConstScalar(0)) // any part of a spilled zero
	}
	if f.allZero(off, off+int64(size)) {
		return holds.Of(ranges.ConstScalar(0))
	}
	return holds.Of(ranges.LoadedScalar(size, signed))
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
		case s != nil && s.Bytes[holds.ByteOf(at)] == holds.ByteZero:
		case s != nil && count && s.Bytes[holds.ByteOf(at)] == holds.ByteSpill && s.Spill.Null():
			spills |= 1 << ((-at - 1) / 8)
		default:
			return 0, false
		}
	}
	return spills, true
}

// store writes v, which is lent, to size bytes at off from r10 (check_stack_write_fixed_off).
func (f *frameState) store(off int64, size int, v *holds.Value, imm bool, r *kernels.Verifier) {
	s := f.ownSlot(off)
	if s == nil {
		return
	}
	if f.keeps(off, size, v, imm, r) {
		old := s.Bytes
		s.Scrub()
		if size < 8 && !v.Num.Fits(size) {
			part := *v
			part.Link, part.Delta, part.Plus = 0, 0, 0
			v = &part
		}
		s.Spill = v
		for i := range s.Bytes {
			switch {
			case i < size:
				s.Bytes[i] = holds.ByteSpill
			case old[i] == holds.ByteNone:
				s.Bytes[i] = holds.ByteNone
			case old[i] == holds.ByteZero && r.SpillAny:
				s.Bytes[i] = holds.ByteZero
			default:
				s.Bytes[i] = holds.ByteMisc
			}
		}
		return
	}
	kind := holds.ByteMisc
	if v.IsConst() && v.Num.Umin == 0 && (!imm || r.StoreImm) {
		kind = holds.ByteZero
	}
	f.fill(off, off+int64(size), kind)
}

// keeps reports whether the verifier remembers the stored value.
func (f *frameState) keeps(off int64, size int, v *holds.Value, imm bool, r *kernels.Verifier) bool {
	if holds.ByteOf(off) != 0 {
		return false
	}
	switch {
	case v.Kind != holds.Number:
		return size == 8 && v.Kind != holds.None
	case imm && !r.StoreImm:
		return false
	case size < 8 && !r.SpillNarrow:
		return false
	case r.SpillAny:
		return true
	case v.IsConst() && v.Num.Umin == 0:
		return false
	case r.SpillBounded:
		return v.Num.Bounded()
	}
	return v.IsConst()
}

// fill sets what the bytes from and below to hold; spilled values that it touches are forgotten.
func (f *frameState) fill(from, to int64, k holds.Byte) {
	for from, to = max(from, -maxStack), min(to, 0); from < to; from = from&^7 + 8 {
		end := min(from&^7+8, to)
		s := f.slotOf(from)
		if s != nil && s.Spilled() == 0 && s.All(holds.ByteOf(from), int(end-from), k) {
			continue
		}
		if s = f.ownSlot(from); s.Spilled() > 0 {
			s.Scrub()
		}
		for at := from; at < end; at++ {
			s.Bytes[holds.ByteOf(at)] = k
		}
	}
}
