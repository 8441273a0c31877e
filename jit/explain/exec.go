// SPDX-License-Identifier: GPL-2.0-only

package explain

import (
	"errors"
	"math/bits"

	"github.com/tcsim/tcsim/jit/x86"
)

// errUnknown says that the abstract machine cannot tell what an instruction does.
var errUnknown = errors.New("it is not known what the instruction does")

func (m *machine) address(in *x86.Inst) uint64 {
	a := uint64(in.Mem.Disp)
	switch {
	case in.Mem.RIPRel:
		a += uint64(in.Next())
	default:
		if in.Mem.Base != x86.RegNone {
			a += m.regs[in.Mem.Base]
		}
		if in.Mem.Index != x86.RegNone {
			a += m.regs[in.Mem.Index] * uint64(in.Mem.Scale)
		}
	}
	if in.Mem.Seg == x86.SegGS {
		a += gsAt
	}
	return a
}

// read reads operand n.
func (m *machine) read(in *x86.Inst, n int) uint64 {
	o := &in.Operands[n]
	switch o.Kind {
	case x86.OpReg:
		v := m.regs[o.Reg]
		if o.High {
			v >>= 8
		}
		return truncate(v, o.Bits)
	case x86.OpMem:
		return m.load(m.address(in), int(in.Mem.Size))
	}
	return uint64(o.Imm)
}

// write writes operand n: half a register clears the rest of it, less keeps it.
func (m *machine) write(in *x86.Inst, n int, v uint64) {
	o := &in.Operands[n]
	switch {
	case o.Kind == x86.OpMem:
		m.store(m.address(in), int(in.Mem.Size), v)
	case o.Kind != x86.OpReg:
	case o.High:
		m.regs[o.Reg] = m.regs[o.Reg]&^0xff00 | v&0xff<<8
	case o.Bits >= 32:
		m.regs[o.Reg] = truncate(v, o.Bits)
	default:
		mask := uint64(1)<<o.Bits - 1
		m.regs[o.Reg] = m.regs[o.Reg]&^mask | v&mask
	}
}

// exec executes an instruction that is no branch.
func (m *machine) exec(in *x86.Inst) error {
	if in.IsNop || in.Fence || in.Op == "endbr64" || in.Op == "pause" {
		return nil
	}
	if !in.Known || in.Trap || in.Mem.Addr32 && in.HasMem || in.HasMem && in.Mem.Seg == x86.SegFS {
		return errUnknown
	}
	w := in.OpBits
	switch in.Op {
	case "mov", "movzx":
		m.write(in, 0, m.read(in, 1))
	case "movsx", "movsxd":
		v, from := m.read(in, 1), in.Operands[1].Bits
		m.write(in, 0, uint64(int64(v<<(64-from))>>(64-from)))
	case "lea":
		m.write(in, 0, m.address(in))
	case "xchg":
		a, b := m.read(in, 0), m.read(in, 1)
		m.exchange(in, a, b)
	case "push":
		v := m.read(in, 0)
		m.regs[x86.RSP] -= 8
		m.store(m.regs[x86.RSP], 8, v)
	case "pop":
		v := m.load(m.regs[x86.RSP], 8)
		m.regs[x86.RSP] += 8
		m.write(in, 0, v)
	case "leave":
		m.regs[x86.RSP] = m.regs[x86.RBP] + 8
		m.regs[x86.RBP] = m.load(m.regs[x86.RBP], 8)
	case "bswap":
		v := bits.ReverseBytes64(m.read(in, 0))
		m.write(in, 0, v>>(64-w))
	case "not":
		m.write(in, 0, ^m.read(in, 0))
	case "cld":
		m.set(x86.FlagDF, false)
	case "std":
		m.set(x86.FlagDF, true)
	default:
		return m.compute(in)
	}
	return nil
}

func (m *machine) exchange(in *x86.Inst, a, b uint64) {
	m.write(in, 0, b)
	m.write(in, 1, a)
}

// compute executes what sets flags or depends on them.
func (m *machine) compute(in *x86.Inst) error {
	if in.Cond != x86.CondNone {
		m.conditional(in)
		return nil
	}
	w := in.OpBits
	switch in.Op {
	case "add", "xadd":
		a, b := m.read(in, 0), truncate(m.read(in, 1), w)
		r := m.sum(a, b, w)
		if in.Op == "xadd" {
			m.write(in, 1, a)
		}
		m.write(in, 0, r)
	case "sub":
		m.write(in, 0, m.difference(m.read(in, 0), truncate(m.read(in, 1), w), w))
	case "cmp":
		m.difference(m.read(in, 0), truncate(m.read(in, 1), w), w)
	case "and", "test":
		r := m.logic(m.read(in, 0)&m.read(in, 1), w)
		if in.Op == "and" {
			m.write(in, 0, r)
		}
	case "or":
		m.write(in, 0, m.logic(m.read(in, 0)|m.read(in, 1), w))
	case "xor":
		m.write(in, 0, m.logic(m.read(in, 0)^m.read(in, 1), w))
	case "inc", "dec":
		cf := m.flags & x86.FlagCF
		a := m.read(in, 0)
		if in.Op == "inc" {
			a = m.sum(a, 1, w)
		} else {
			a = m.difference(a, 1, w)
		}
		m.flags = m.flags&^x86.FlagCF | cf
		m.write(in, 0, a)
	case "neg":
		m.write(in, 0, m.difference(0, m.read(in, 0), w))
	case "imul":
		if in.N == 1 {
			return m.opaque(in)
		}
		n := int(in.N)
		a, b := m.read(in, n-2), truncate(m.read(in, n-1), w)
		h := hash(a, b, uint64(w))
		m.write(in, 0, truncate(a*b, w))
		m.flags = m.flags&x86.FlagDF | x86.Flags(h)&x86.FlagsStatus
	case "shl", "shr", "sar", "rol", "ror":
		m.shift(in, w)
	case "cmpxchg":
		m.compareExchange(in, w)
	default:
		return m.opaque(in)
	}
	return nil
}

// conditional executes setcc and cmovcc.
func (m *machine) conditional(in *x86.Inst) {
	yes, no := uint64(1), uint64(0)
	if in.N > 1 {
		yes, no = m.read(in, 1), m.read(in, 0)
	}
	is := m.cond(in.Cond)
	m.seen.decided(in, is)
	if !is {
		yes = no
	}
	m.write(in, 0, yes)
}

func (m *machine) result(r uint64, w uint16) uint64 {
	r = truncate(r, w)
	m.set(x86.FlagZF, r == 0)
	m.set(x86.FlagSF, r>>(w-1)&1 == 1)
	m.set(x86.FlagPF, parity(r))
	return r
}

func (m *machine) sum(a, b uint64, w uint16) uint64 {
	r := m.result(a+b, w)
	m.set(x86.FlagCF, r < a)
	m.set(x86.FlagOF, (a^r)&(b^r)>>(w-1)&1 == 1)
	m.set(x86.FlagAF, (a^b^r)&0x10 != 0)
	return r
}

func (m *machine) difference(a, b uint64, w uint16) uint64 {
	r := m.result(a-b, w)
	m.set(x86.FlagCF, a < b)
	m.set(x86.FlagOF, (a^b)&(a^r)>>(w-1)&1 == 1)
	m.set(x86.FlagAF, (a^b^r)&0x10 != 0)
	return r
}

func (m *machine) logic(r uint64, w uint16) uint64 {
	m.set(x86.FlagCF|x86.FlagOF|x86.FlagAF, false)
	return m.result(r, w)
}

// compareExchange leaves all of rax as it is where it succeeds; where it fails, 32 bits clear the upper half.
func (m *machine) compareExchange(in *x86.Inst, w uint16) {
	held, rax := m.read(in, 0), truncate(m.regs[x86.RAX], w)
	if m.difference(rax, held, w); rax == held {
		m.write(in, 0, m.read(in, 1))
		return
	}
	m.write(in, 0, held)
	if w >= 32 {
		m.regs[x86.RAX] = held
		return
	}
	mask := uint64(1)<<w - 1
	m.regs[x86.RAX] = m.regs[x86.RAX]&^mask | held
}

// shift shifts or rotates; its flags are a number of their own.
func (m *machine) shift(in *x86.Inst, w uint16) {
	n := uint64(1)
	if in.N > 1 {
		n = m.read(in, int(in.N)-1)
	}
	if n &= 31; w == 64 {
		n = m.count(in)
	}
	a := m.read(in, 0)
	var r uint64
	switch in.Op {
	case "shl":
		r = a << n
	case "shr":
		r = a >> n
	case "sar":
		r = uint64(int64(a<<(64-w)) >> (64 - w) >> n)
	case "rol", "ror":
		k := n % uint64(w)
		if in.Op == "ror" {
			k = (uint64(w) - k) % uint64(w)
		}
		r = a<<k | a>>(uint64(w)-k)
	}
	m.write(in, 0, truncate(r, w))
	if n != 0 {
		m.flags = m.flags&x86.FlagDF | x86.Flags(hash(a, n, uint64(w), uint64(in.Op[0]), uint64(in.Op[2])))&x86.FlagsStatus
	}
}

// count is by how much a shift of 64 bits shifts.
func (m *machine) count(in *x86.Inst) uint64 {
	if in.N < 2 {
		return 1
	}
	return m.read(in, int(in.N)-1) & 63
}

// divide notes whether a division faults. A signed one is taken to if its upper half is not the sign of the lower.
func (m *machine) divide(in *x86.Inst) {
	w := in.Operands[0].Bits
	if in.Operands[0].Kind == x86.OpMem {
		w = uint16(in.Mem.Size) * 8
	}
	by, lo, hi := m.read(in, 0), truncate(m.regs[x86.RAX], w), truncate(m.regs[x86.RDX], w)
	if w == 8 {
		hi = m.regs[x86.RAX] >> 8 & 0xff
	}
	sign := uint64(0)
	if lo>>(w-1)&1 == 1 {
		sign = truncate(^sign, w)
	}
	if by == 0 || in.Op == "div" && hi >= by || in.Op == "idiv" && hi != sign {
		m.faults++
	}
}

// opaque stands for an instruction of which only is known what it reads and writes: its results are numbers
// that follow from what it reads.
func (m *machine) opaque(in *x86.Inst) error {
	seen := []uint64{uint64(in.OpBits), uint64(in.N)}
	for _, b := range []byte(in.Op) {
		seen = append(seen, uint64(b))
	}
	var explicit x86.RegSet
	for n := range int(in.N) {
		o := &in.Operands[n]
		if o.Kind == x86.OpOther {
			return errUnknown
		}
		if o.Kind == x86.OpReg && n == 0 && !in.Reads.Has(o.Reg) {
			explicit = explicit.With(o.Reg)
			continue
		}
		if o.Kind == x86.OpMem && !in.Load {
			continue
		}
		seen = append(seen, m.read(in, n))
		if o.Kind == x86.OpReg {
			explicit = explicit.With(o.Reg)
		}
	}
	for r := range (in.Reads &^ explicit).All {
		if !in.HasMem || r != in.Mem.Base && r != in.Mem.Index {
			seen = append(seen, m.regs[r])
		}
	}
	seen = append(seen, uint64(m.flags&in.ReadsFlags))
	if in.Op == "div" || in.Op == "idiv" {
		m.divide(in)
	}
	h := hash(seen...)
	named := x86.RegSet(0)
	for n := range int(in.N) {
		if o := &in.Operands[n]; o.Kind == x86.OpReg && in.Writes.Has(o.Reg) || o.Kind == x86.OpMem && in.Store {
			m.write(in, n, hash(h, 1, uint64(n)))
			if o.Kind == x86.OpReg {
				named = named.With(o.Reg)
			}
		}
	}
	for r := range (in.Writes &^ named).All {
		if r == x86.RSP {
			return errUnknown
		}
		if m.regs[r] = hash(h, 2, uint64(r)); in.OpBits == 32 {
			m.regs[r] = truncate(m.regs[r], 32)
		}
	}
	m.flags = m.flags&^in.WritesFlags | x86.Flags(h>>8)&in.WritesFlags
	return nil
}
