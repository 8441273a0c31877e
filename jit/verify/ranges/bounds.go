// SPDX-License-Identifier: GPL-2.0-only

package ranges

import "fmt"

// MaxVarOff is how far from an address a variable offset leads at most (BPF_MAX_VAR_OFF, BPF_MAX_VAR_SIZ).
const MaxVarOff = 1 << 29

// Within refuses an access of size bytes at off plus the number, through a register, outside of total bytes
// (check_mem_region_access); what they are and what total is called is for the message.
func (s *Scalar) Within(reg uint8, off, size, total int64, what, sizeOf string) error {
	switch {
	case s.Smin < 0 && (s.Smin == -1<<63 || off+s.Smin < 0 || s.Smin <= -MaxVarOff):
		return fmt.Errorf("r%d min value is negative, either use unsigned index or do a if (index >=0) check", reg)
	case off+s.Smin < 0 || off+s.Smin+size > total:
		return fmt.Errorf("r%d min value is outside of the allowed memory range: invalid access to %s, %s=%d off=%d size=%d", reg, what, sizeOf, total, off+s.Smin, size)
	case s.Umax >= MaxVarOff:
		return fmt.Errorf("r%d unbounded memory access, make sure to bounds check any such access", reg)
	case off+int64(s.Umax)+size > total:
		return fmt.Errorf("r%d max value is outside of the allowed memory range: invalid access to %s, %s=%d off=%d size=%d", reg, what, sizeOf, total, off+int64(s.Umax), size)
	}
	return nil
}

// Sizes refuses the number as the size of memory, in a register.
func (s *Scalar) Sizes(reg uint8) error {
	switch {
	case s.Smin < 0:
		return fmt.Errorf("r%d min value is negative, either use unsigned or 'var &= const'", reg)
	case s.Umax >= MaxVarOff:
		return fmt.Errorf("r%d unbounded memory access, use 'var &= const' or 'if (var < const)'", reg)
	}
	return nil
}

// Among refuses a number that is not from least to most, where it is to be; narrow looks at its lower half.
func (s *Scalar) Among(where string, reg uint8, least, most int64, narrow bool) error {
	lo, hi := s.Smin, s.Smax
	if narrow {
		lo, hi = s.Bounds32()
	}
	if lo < least || hi > most {
		return fmt.Errorf("at %s the register r%d has smin=%d smax=%d should have been in [%d, %d]", where, reg, lo, hi, least, most)
	}
	return nil
}

// Moves refuses the number as what is added to an address of a kind (check_reg_sane_offset_scalar).
func (s *Scalar) Moves(kind string) error {
	switch {
	case s.IsConst() && (int64(s.Umin) >= MaxVarOff || int64(s.Umin) <= -MaxVarOff):
		return fmt.Errorf("math between %s pointer and %d is not allowed", kind, int64(s.Umin))
	case s.Smin == -1<<63:
		return fmt.Errorf("math between %s pointer and register with unbounded min value is not allowed", kind)
	case s.Smin >= MaxVarOff || s.Smin <= -MaxVarOff:
		return fmt.Errorf("value %d makes %s pointer be out of bounds", s.Smin, kind)
	}
	return nil
}
