// SPDX-License-Identifier: GPL-2.0-only

package explain

import (
	"maps"
	"math/bits"

	"github.com/tcsim/tcsim/jit/x86"
)

// machine is what code computes with: registers, flags, and memory that holds something everywhere.
type machine struct {
	regs  [16]uint64
	flags x86.Flags
	seed  uint64 // of memory
	mem   map[uint64]byte
	loads map[uint64]bool // addresses that were read, outside of the stack
	calls []uint64        // what was called, with everything that the callee can see
	own   []uint64        // numbers that the code itself uses, in some states those that lead to them
	often uint64          // one word in so many plus one is one of them; a power of two less one
	seen  *outcomes       // what of the code was seen both ways, nil if that is not needed
	// faults is how many divisions the processor would refuse: by 0, or with a quotient that does not fit.
	faults int
}

// Where the stack is; what programs point at lies elsewhere.
const (
	stackTop  = 0xffffc90000100000
	stackSize = 1 << 16
	gsAt      = 0xffff888000000000
)

// hash mixes numbers (splitmix64).
func hash(vs ...uint64) uint64 {
	h := uint64(0x9e3779b97f4a7c15)
	for _, v := range vs {
		h ^= v
		h += 0x9e3779b97f4a7c15
		h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
		h = (h ^ h>>27) * 0x94d049bb133111eb
		h ^= h >> 31
	}
	return h
}

// edges are numbers at which instructions change what they do.
var edges = [...]uint64{
	0, 1, 2, 31, 32, 33, 34, 63, 64, 0x7f, 0x80, 0xff, 0x7fffffff, 0x80000000, 0xffffffff, 1 << 32,
	^uint64(0), ^uint64(0) - 1, 1<<63 - 1, 1 << 63, 0xffffffff80000000,
}

// number turns a hash into a number: at an edge half of the time, and 0 in an eighth.
func number(h uint64) uint64 {
	switch h >> 60 & 3 {
	case 0:
		return edges[h%uint64(len(edges))]
	case 1:
		if h>>59&1 == 0 {
			return 0
		}
		return edges[h%uint64(len(edges))]
	case 2:
		return h & 0xff
	}
	return h
}

// newMachine is the state number n; each has registers and memory of its own. Numbers that the code itself
// uses are among them.
func newMachine(n uint64, use numbers) *machine {
	own, often := use.own, uint64(3)
	if n >= trials && n%2 == 1 && len(use.sums) > 0 {
		own, often = use.sums, 1
	}
	m := &machine{often: often, seed: hash(n, 1), own: own, mem: map[uint64]byte{}, loads: map[uint64]bool{}, flags: x86.Flags(hash(n, 2)) & x86.FlagsStatus}
	for r := range m.regs {
		h := hash(n, 3, uint64(r))
		m.regs[r] = number(h)
		if n%4 != 0 {
			m.regs[r] = m.ownOr(h, m.regs[r])
		}
		if n%4 == 3 && often > 1 {
			m.regs[r] = h // nothing is at an edge
		}
	}
	if n%8 == 5 { // operands that are equal
		same := m.regs[0]
		for r := range m.regs {
			if hash(n, 4, uint64(r))&1 == 0 {
				m.regs[r] = same
			}
		}
	}
	if n%4 == 2 { // what memory holds is compared with rax
		m.regs[x86.RAX] = m.load(m.regs[hash(n, 5)%16], 4) | hash(n, 6)<<32
	}
	clear(m.loads)
	m.regs[x86.RBP] = stackTop - 0x1000
	m.regs[x86.RSP] = stackTop - 0x1000 - 0x400
	return m
}

// ownOr is one of the code's own numbers, or one next to it, where a hash says so, else v.
func (m *machine) ownOr(h, v uint64) uint64 {
	switch {
	case len(m.own) == 0 || h>>40&m.often != 0:
		return v
	case m.often == 1:
		return m.own[h>>8%uint64(len(m.own))]
	}
	return m.own[h>>8%uint64(len(m.own))] + h>>50%3 - 1
}

func onStack(a uint64) bool { return a < stackTop && a >= stackTop-stackSize }

// initial is the byte that memory holds at an address before anything is written: part of a number, which in a quarter
// of all words is one that the code itself uses or next to one, as a word, as two halves or as eight bytes.
func (m *machine) initial(at uint64) byte {
	h := hash(m.seed, at>>3)
	v := number(h)
	if own := m.ownOr(h, v); own != v {
		v = own
		switch h >> 54 & 3 {
		case 0, 1:
			v = v&(1<<32-1) | v<<32
		case 2:
			v = v & 0xff * 0x0101010101010101
		}
	}
	return byte(v >> (8 * (at & 7)))
}

// load reads n bytes.
func (m *machine) load(a uint64, n int) (v uint64) {
	if !onStack(a) {
		m.loads[hash(a, uint64(n))] = true
	}
	for i := range n {
		at := a + uint64(i)
		b, ok := m.mem[at]
		if !ok {
			b = m.initial(at)
		}
		v |= uint64(b) << (8 * i)
	}
	return v
}

func (m *machine) store(a uint64, n int, v uint64) {
	for i := range n {
		m.mem[a+uint64(i)] = byte(v >> (8 * i))
	}
}

// written sums up what memory holds that was written; what lies below rsp is nothing's.
func (m *machine) written() (sum uint64) {
	for a, b := range m.mem {
		if onStack(a) && a < m.regs[x86.RSP] {
			continue
		}
		if b != m.initial(a) {
			sum += hash(a, uint64(b))
		}
	}
	return sum
}

// call leaves what a callee may leave.
func (m *machine) call(target uint64, counts bool) {
	seen := []uint64{target, m.regs[x86.RDI], m.regs[x86.RSI], m.regs[x86.RDX], m.regs[x86.RCX], m.regs[x86.R8], m.regs[x86.R9],
		m.regs[x86.RSP], m.regs[x86.RBP], m.written()}
	if counts {
		seen = append(seen, m.regs[x86.RAX])
	}
	m.calls = append(m.calls, hash(seen...))
	n := uint64(len(m.calls))
	m.seed = hash(m.seed, n)
	maps.DeleteFunc(m.mem, func(a uint64, _ byte) bool { return !onStack(a) || a < m.regs[x86.RSP] })
	for r := range clobbered.All {
		h := hash(m.seed, n, uint64(r))
		m.regs[r] = m.ownOr(h, number(h))
	}
	m.flags = m.flags&x86.FlagDF | x86.Flags(hash(m.seed, n))&x86.FlagsStatus
}

// callAX leaves what a callee may leave that takes r10 and changes no other register.
func (m *machine) callAX(target uint64) {
	m.calls = append(m.calls, hash(target, m.regs[x86.R10], m.regs[x86.RSP], m.regs[x86.RBP], m.written()))
	n := uint64(len(m.calls))
	m.regs[x86.R10] = number(hash(m.seed, n, uint64(x86.R10)))
	m.flags = m.flags&x86.FlagDF | x86.Flags(hash(m.seed, n))&x86.FlagsStatus
}

// truncate is the low w bits of v.
func truncate(v uint64, w uint16) uint64 {
	if w >= 64 {
		return v
	}
	return v & (1<<w - 1)
}

// parity is PF of a result.
func parity(v uint64) bool { return bits.OnesCount8(uint8(v))%2 == 0 }

func (m *machine) set(f x86.Flags, on bool) {
	if m.flags &^= f; on {
		m.flags |= f
	}
}

// cond reports whether a condition holds (Intel SDM vol. 1, appendix B).
func (m *machine) cond(c x86.Cond) bool {
	is := func(f x86.Flags) bool { return m.flags&f != 0 }
	var v bool
	switch c &^ 1 {
	case x86.CondO:
		v = is(x86.FlagOF)
	case x86.CondB:
		v = is(x86.FlagCF)
	case x86.CondE:
		v = is(x86.FlagZF)
	case x86.CondBE:
		v = is(x86.FlagCF) || is(x86.FlagZF)
	case x86.CondS:
		v = is(x86.FlagSF)
	case x86.CondP:
		v = is(x86.FlagPF)
	case x86.CondL:
		v = is(x86.FlagSF) != is(x86.FlagOF)
	case x86.CondLE:
		v = is(x86.FlagZF) || is(x86.FlagSF) != is(x86.FlagOF)
	}
	return v != (c&1 == 1)
}
