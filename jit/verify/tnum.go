// SPDX-License-Identifier: GPL-2.0-only

package verify

import "math/bits"

// tnum is a number of which some bits are unknown: those set in mask, which are 0 in val
// (kernel/bpf/tnum.c).
type tnum struct{ val, mask uint64 }

var tnumUnknown = tnum{0, ^uint64(0)}

func tnumConst(v uint64) tnum { return tnum{v, 0} }

// tnumRange returns the smallest tnum that contains all values from lo to hi.
func tnumRange(lo, hi uint64) tnum {
	n := bits.Len64(lo ^ hi)
	if n > 63 {
		return tnumUnknown
	}
	delta := uint64(1)<<n - 1
	return tnum{lo &^ delta, delta}
}

func (t tnum) isConst() bool { return t.mask == 0 }

func (t tnum) shl(n uint) tnum { return tnum{t.val << n, t.mask << n} }
func (t tnum) shr(n uint) tnum { return tnum{t.val >> n, t.mask >> n} }

// sar shifts arithmetically in a register of 32 or 64 bits.
func (t tnum) sar(n uint, width int) tnum {
	if width == 32 {
		return tnum{uint64(uint32(int32(t.val) >> n)), uint64(uint32(int32(t.mask) >> n))}
	}
	return tnum{uint64(int64(t.val) >> n), uint64(int64(t.mask) >> n)}
}

func (t tnum) add(u tnum) tnum {
	sm, sv := t.mask+u.mask, t.val+u.val
	mu := (sm + sv) ^ sv | t.mask | u.mask
	return tnum{sv &^ mu, mu}
}

func (t tnum) sub(u tnum) tnum {
	dv := t.val - u.val
	mu := (dv + t.mask) ^ (dv - u.mask) | t.mask | u.mask
	return tnum{dv &^ mu, mu}
}

func (t tnum) and(u tnum) tnum {
	v := t.val & u.val
	return tnum{v, (t.val | t.mask) & (u.val | u.mask) &^ v}
}

func (t tnum) or(u tnum) tnum {
	v := t.val | u.val
	return tnum{v, (t.mask | u.mask) &^ v}
}

func (t tnum) xor(u tnum) tnum {
	mu := t.mask | u.mask
	return tnum{(t.val ^ u.val) &^ mu, mu}
}

// mul is the kernel's product since 5.14: partial sums for each bit of t.
func (t tnum) mul(u tnum) tnum {
	acc, accM := t.val*u.val, tnum{}
	for t.val|t.mask != 0 {
		switch {
		case t.val&1 != 0:
			accM = accM.add(tnum{0, u.mask})
		case t.mask&1 != 0:
			accM = accM.add(tnum{0, u.val | u.mask})
		}
		t, u = t.shr(1), u.shl(1)
	}
	return tnumConst(acc).add(accM)
}

// intersect returns what is known if both are true of one value.
func (t tnum) intersect(u tnum) tnum {
	v, mu := t.val|u.val, t.mask&u.mask
	return tnum{v &^ mu, mu}
}

// low is the value's lower half, zero extended; high clears the lower half.
func (t tnum) low() tnum  { return tnum{uint64(uint32(t.val)), uint64(uint32(t.mask))} }
func (t tnum) high() tnum { return t.shr(32).shl(32) }

// withLow replaces the lower half.
func (t tnum) withLow(u tnum) tnum { return t.high().or(u.low()) }

// contains reports whether every value of u is one of t.
func (t tnum) contains(u tnum) bool {
	return u.mask&^t.mask == 0 && t.val == u.val&^t.mask
}
