// SPDX-License-Identifier: GPL-2.0-only

package verify

import (
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/verify/holds"
)

// load is what size bytes at off from r10 hold (check_stack_read_fixed_off). It is lent, or made in room.
func (f *frameState) load(off int64, size int, signed bool, r *kernels.Verifier, room *holds.Value) *holds.Value {
	s := f.slotOf(off)
	if s == nil {
		return holds.Loaded(size, signed)
	}
	if n := s.Spilled(); n > 0 && holds.ByteOf(off) == 0 {
		switch {
		case size == 8 && n == 8:
			return s.Spill
		case s.Spill.Kind != holds.Number:
		case size == n || r.SpillAny && size < n:
			if *room = *s.Spill; size < 8 {
				room.Narrow(size, signed, &r.Ranges)
			}
			return room
		}
		return holds.Loaded(size, signed)
	}
	if r.SpillAny && s.Spill.Null() && holds.ByteOf(off)+size <= s.Spilled() || f.allZero(off, off+int64(size)) {
		return &holds.Zero // any part of a spilled zero is one
	}
	return holds.Loaded(size, signed)
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
			v = f.stack.mem.value(v)
			v.Link, v.Delta, v.Plus = 0, 0, 0
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
