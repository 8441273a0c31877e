// SPDX-License-Identifier: GPL-2.0-only

package ranges

import "math/bits"

// tnum is a number of which some bits are unknown: those set in mask, which are 0 in val
// (kernel/bpf/tnum.c).
type Tnum struct{ Val, Mask uint64 }

var tnumUnknown = Tnum{0, ^uint64(0)}

func tnumConst(v uint64) Tnum { return Tnum{v, 0} }

// tnumRange returns the smallest tnum that contains all values from lo to hi.
func tnumRange(lo, hi uint64) Tnum {
	n := bits.Len64(lo ^ hi)
	if n > 63 {
		return tnumUnknown
	}
	delta := uint64(1)<<n - 1
	return Tnum{lo &^ delta, delta}
}

func (t Tnum) IsConst() bool { return t.Mask == 0 }

func (t Tnum) shl(n uint) Tnum { return Tnum{t.Val << n, t.Mask << n} }
func (t Tnum) shr(n uint) Tnum { return Tnum{t.Val >> n, t.Mask >> n} }

// sar shifts arithmetically in a register of 32 or 64 bits.
func (t Tnum) sar(n uint, width int) Tnum {
	if width == 32 {
		return Tnum{uint64(uint32(int32(t.Val) >> n)), uint64(uint32(int32(t.Mask) >> n))}
	}
	return Tnum{uint64(int64(t.Val) >> n), uint64(int64(t.Mask) >> n)}
}

func (t Tnum) Add(u Tnum) Tnum {
	sm, sv := t.Mask+u.Mask, t.Val+u.Val
	mu := (sm + sv) ^ sv | t.Mask | u.Mask
	return Tnum{sv &^ mu, mu}
}

func (t Tnum) sub(u Tnum) Tnum {
	dv := t.Val - u.Val
	mu := (dv + t.Mask) ^ (dv - u.Mask) | t.Mask | u.Mask
	return Tnum{dv &^ mu, mu}
}

func (t Tnum) and(u Tnum) Tnum {
	v := t.Val & u.Val
	return Tnum{v, (t.Val | t.Mask) & (u.Val | u.Mask) &^ v}
}

func (t Tnum) or(u Tnum) Tnum {
	v := t.Val | u.Val
	return Tnum{v, (t.Mask | u.Mask) &^ v}
}

func (t Tnum) xor(u Tnum) Tnum {
	mu := t.Mask | u.Mask
	return Tnum{(t.Val ^ u.Val) &^ mu, mu}
}

// mul is the kernel's product since 5.14: partial sums for each bit of t.
func (t Tnum) mul(u Tnum) Tnum {
	acc, accM := t.Val*u.Val, Tnum{}
	for t.Val|t.Mask != 0 {
		switch {
		case t.Val&1 != 0:
			accM = accM.Add(Tnum{0, u.Mask})
		case t.Mask&1 != 0:
			accM = accM.Add(Tnum{0, u.Val | u.Mask})
		}
		t, u = t.shr(1), u.shl(1)
	}
	return tnumConst(acc).Add(accM)
}

// intersect returns what is known if both are true of one value.
func (t Tnum) intersect(u Tnum) Tnum {
	v, mu := t.Val|u.Val, t.Mask&u.Mask
	return Tnum{v &^ mu, mu}
}

// low is the value's lower half, zero extended; high clears the lower half.
func (t Tnum) low() Tnum  { return Tnum{uint64(uint32(t.Val)), uint64(uint32(t.Mask))} }
func (t Tnum) high() Tnum { return t.shr(32).shl(32) }

// withLow replaces the lower half.
func (t Tnum) withLow(u Tnum) Tnum { return t.high().or(u.low()) }

// contains reports whether every value of u is one of t.
func (t Tnum) contains(u Tnum) bool {
	return u.Mask&^t.Mask == 0 && t.Val == u.Val&^t.Mask
}

// above returns the smallest value above v, which is not below the smallest and not the largest or above it; else the nearest of
// those (tnum_step).
func (t Tnum) above(v uint64) uint64 {
	switch {
	case v < t.Val:
		return t.Val
	case v >= t.Val|t.Mask:
		return t.Val | t.Mask
	}
	low := uint64(0) // bits from the highest on that v has and no value
	if differ := v&^t.Mask ^ t.Val; differ != 0 {
		if low = 1<<bits.Len64(differ) - 1; t.Val>>(bits.Len64(differ)-1)&1 != 0 {
			return v&^low&t.Mask | t.Val
		}
	}
	return ((v|^t.Mask|low)+1)&t.Mask&^low | t.Val
}
