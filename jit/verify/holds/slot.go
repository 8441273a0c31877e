// SPDX-License-Identifier: GPL-2.0-only

package holds

// Byte says what one byte of a stack slot holds.
type Byte uint8

// What bytes hold.
const (
	ByteNone   Byte = iota
	ByteMisc        // anything
	ByteZero        // 0
	ByteSpill       // part of the slot's spilled value
	ByteDynptr      // part of a dynptr, which Slot.Spill describes
	ByteIter        // part of an iterator, likewise
	ByteFlags       // how interrupts were before they were turned off
)

// Slot is 8 bytes of BPF stack. Bytes are counted from the slot's lowest address.
type Slot struct {
	Bytes [8]Byte
	Spill *Value // never changed in place
}

// NoSlot is a slot that was never written to.
var NoSlot = Slot{Spill: &Unwritten}

// Misc reports whether the lower n bytes of a slot may hold anything, written or not.
func (s *Slot) Misc(n int) bool {
	for _, k := range s.Bytes[:n] {
		if k > ByteMisc {
			return false
		}
	}
	return true
}

// Spilled returns how many bytes of the slot are a spilled value, counted from its lowest byte.
func (s *Slot) Spilled() int {
	n := 0
	for n < 8 && s.Bytes[n] == ByteSpill {
		n++
	}
	return n
}

// Scrub forgets the spilled value; all bytes that hold something hold anything then (scrub_spilled_slot).
func (s *Slot) Scrub() {
	for i, k := range s.Bytes {
		if k != ByteNone {
			s.Bytes[i] = ByteMisc
		}
	}
	s.Spill = &Unwritten
}

// All reports whether n bytes from the first on hold the same.
func (s *Slot) All(first, n int, k Byte) bool {
	for _, b := range s.Bytes[first : first+n] {
		if b != k {
			return false
		}
	}
	return true
}

// ByteOf is the index within its slot of the byte at off from r10.
func ByteOf(off int64) int { return int(off & 7) }
