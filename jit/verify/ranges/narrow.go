// SPDX-License-Identifier: GPL-2.0-only

package ranges

import "github.com/tcsim/tcsim/jit/kernels"

// Narrow cuts the number to its lowest size bytes, as a load of a wider one does (coerce_reg_to_size).
func (s *Scalar) Narrow(size int, r *kernels.RangeRules) {
	mask := uint64(1)<<(size*8) - 1
	s.Bits = Tnum{Val: s.Bits.Val & mask, Mask: s.Bits.Mask & mask}
	if s.Umin&^mask == s.Umax&^mask {
		s.Umin, s.Umax = s.Umin&mask, s.Umax&mask
	} else {
		s.Umin, s.Umax = 0, mask
	}
	s.Smin, s.Smax = int64(s.Umin), int64(s.Umax)
	if size < 4 {
		s.Unbound32()
	}
	s.Sync(r)
}

// Plus is the number and a constant, as one is that is known by another (sync_linked_regs); half cuts it to 32 bits.
func (s Scalar) Plus(n int64, half bool, r *kernels.RangeRules) Scalar {
	d := ConstScalar(uint64(n))
	s.Add32(&d, r)
	s.Add64(&d, r)
	s.Bits = s.Bits.Add(d.Bits)
	if half {
		s.Zext(r)
	}
	return s
}
