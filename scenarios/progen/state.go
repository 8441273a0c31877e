// SPDX-License-Identifier: GPL-2.0-only

package progen

// kind is what a register or a word of the stack holds.
type kind uint8

const (
	none  kind = iota // nothing that may be read
	num               // a number
	frame             // an address on the own stack
	value             // an address in a map value
	data              // an address in the packet
	ctx               // the context
	arena             // an address in the arena
	other             // an address that is only handed on
)

// val is what is known of a register. Of an address, bytes [lo, hi) from it may be accessed.
type val struct {
	kind   kind
	lo, hi int16
	loose  bool // nothing is known of its alignment
	// half says that only the lower half of a number is known: what a 32-bit cmpxchg leaves in R0 has its upper half
	// cleared only if something reads that (opt_subreg_zext_lo32_rnd_hi32, kernel/bpf/verifier.c).
	half bool
}

const words = 64 // of a BPF stack

// state is what is known before an instruction.
type state struct {
	reg [10]val
	// written are the bytes of the stack that hold numbers: bit i of word w is the byte at r10-512+8w+i.
	written [words]uint8
	// spilled are the words that hold an address.
	spilled [words]val
}

// word returns the index of the word of the stack that begins at off from r10.
func word(off int) int { return (off + 8*words) / 8 }

// put says that a number was stored to size bytes at off.
func (s *state) put(off, size int) {
	w := word(off)
	s.spilled[w] = val{}
	s.written[w] |= uint8(1<<size-1) << (off & 7)
}

// spill says that an address was stored at off.
func (s *state) spill(off int, v val) {
	w := word(off)
	s.spilled[w], s.written[w] = v, 0
}

// holds reports whether size bytes at off hold numbers.
func (s *state) holds(off, size int) bool {
	m := uint8(1<<size-1) << (off & 7)
	return s.written[word(off)]&m == m
}

// join leaves what is true of both.
func (s *state) join(o *state) {
	for i := range s.reg {
		a, b := &s.reg[i], &o.reg[i]
		if a.kind != b.kind {
			*a = val{}
			continue
		}
		switch {
		case a.kind == num:
			a.half = a.half || b.half
		case *a != *b:
			*a = val{} // which of two addresses is not known
		}
	}
	for w := range s.written {
		s.written[w] &= o.written[w]
		if s.spilled[w] != o.spilled[w] {
			s.spilled[w], s.written[w] = val{}, 0
		}
	}
}

// numbersOnly forgets all addresses but that of the context.
func (s *state) numbersOnly() {
	for i := range s.reg {
		if k := s.reg[i].kind; k != num && k != ctx {
			s.reg[i] = val{}
		}
	}
	s.spilled = [words]val{}
}

// called forgets what a call does not keep.
func (s *state) called() {
	for r := range 6 {
		s.reg[r] = val{}
	}
}

// halves returns the registers of which only the lower half is known.
func (s *state) halves() (r Regs) {
	for i := range s.reg {
		if s.reg[i].half {
			r |= 1 << i
		}
	}
	return r
}

// regs returns the registers of one of two groups.
func (s *state) regs(numbers bool) (r Regs) {
	for i := range s.reg {
		if k := s.reg[i].kind; k != none && (k == num) == numbers && k != arena {
			r |= 1 << i
		}
	}
	return r
}
