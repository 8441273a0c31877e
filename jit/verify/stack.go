// SPDX-License-Identifier: GPL-2.0-only

package verify

import "github.com/tcsim/tcsim/jit/kernels"

// spilled returns how many bytes of the slot are a spilled value, counted from its lowest byte.
func (s *slot) spilled() int {
	n := 0
	for n < 8 && s.bytes[n] == byteSpill {
		n++
	}
	return n
}

// scrub forgets the spilled value; its bytes hold anything.
func (s *slot) scrub() {
	for i, k := range s.bytes {
		if k == byteSpill {
			s.bytes[i] = byteMisc
		}
	}
	s.spill = value{}
}

// load is what size bytes at off from r10 hold (check_stack_read_fixed_off).
func (f *frameState) load(off int64, size int, signed bool, r *kernels.Verifier) value {
	s := f.slotOf(off, false)
	if s == nil {
		return number(loadedScalar(size, signed))
	}
	if n := s.spilled(); n > 0 && byteOf(off) == 0 {
		switch {
		case size == 8 && n == 8:
			return s.spill
		case s.spill.kind != kindNumber:
		case size == n || r.SpillAny && size < n:
			v := s.spill
			if size < 8 {
				v.narrow(size, signed, &r.Ranges)
			}
			return v
		}
		return number(loadedScalar(size, signed))
	}
	if f.allZero(off, off+int64(size)) {
		return number(constScalar(0))
	}
	return number(loadedScalar(size, signed))
}

func (f *frameState) allZero(from, to int64) bool {
	for at := from; at < to; at++ {
		if s := f.slotOf(at, false); s == nil || s.bytes[byteOf(at)] != byteZero {
			return false
		}
	}
	return true
}

// narrow cuts a number to size bytes, as a load of a wider one does (coerce_reg_to_size).
func (v *value) narrow(size int, signed bool, r *kernels.RangeRules) {
	if !v.num.fits(size) {
		v.link, v.delta, v.plus = 0, 0, false
	}
	if signed {
		v.num = v.num.signExtend(size, true, r)
		return
	}
	mask := uint64(1)<<(size*8) - 1
	s := &v.num
	s.bits = tnum{s.bits.val & mask, s.bits.mask & mask}
	if s.umin&^mask == s.umax&^mask {
		s.umin, s.umax = s.umin&mask, s.umax&mask
	} else {
		s.umin, s.umax = 0, mask
	}
	s.smin, s.smax = int64(s.umin), int64(s.umax)
	if size < 4 {
		s.unbound32()
	}
	s.sync(r)
}

// fits reports whether the number has at most size bytes.
func (s *scalar) fits(size int) bool { return size == 8 || s.umax < 1<<(size*8) }

// bounded reports whether anything is known of the number.
func (s *scalar) bounded() bool {
	u := unknownScalar()
	return s.smin != u.smin || s.smax != u.smax || s.umin != u.umin || s.umax != u.umax
}

// store writes v to size bytes at off from r10 (check_stack_write_fixed_off).
func (f *frameState) store(off int64, size int, v value, imm bool, r *kernels.Verifier) {
	s := f.slotOf(off, true)
	if s == nil {
		return
	}
	if f.keeps(off, size, &v, imm, r) {
		old := s.bytes
		s.scrub()
		if size < 8 && !v.num.fits(size) {
			v.link, v.delta, v.plus = 0, 0, false
		}
		s.spill = v
		for i := range s.bytes {
			switch {
			case i < size:
				s.bytes[i] = byteSpill
			case old[i] == byteNone:
				s.bytes[i] = byteNone
			case s.bytes[i] == byteZero && r.SpillAny:
			default:
				s.bytes[i] = byteMisc
			}
		}
		return
	}
	kind := byteMisc
	if v.isConst() && v.num.umin == 0 && (!imm || r.StoreImm) {
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
	case v.isConst() && v.num.umin == 0:
		return false
	case r.SpillBounded:
		return v.num.bounded()
	}
	return v.isConst()
}

// fill sets what the bytes from and below to hold; spilled values that it touches are forgotten.
func (f *frameState) fill(from, to int64, k byteKind) {
	for at := from; at < to; at++ {
		s := f.slotOf(at, true)
		if s == nil {
			continue
		}
		if s.spilled() > 0 {
			s.scrub()
		}
		s.bytes[byteOf(at)] = k
	}
}
