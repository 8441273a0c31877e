// SPDX-License-Identifier: GPL-2.0-only

package interp

import (
	"errors"

	"github.com/tcsim/tcsim/jit/bpf"
)

// Atomic operations: the values of imm (RFC 9669, section 5.3), and for load-acquire and
// store-release (include/uapi/linux/bpf.h, BPF_LOAD_ACQ, BPF_STORE_REL) codes of our own.
const (
	atomicAdd          = bpf.ALUAdd
	atomicOr           = bpf.ALUOr
	atomicAnd          = bpf.ALUAnd
	atomicXor          = bpf.ALUXor
	atomicLoadAcquire  = 0x02
	atomicStoreRelease = 0x03
)

func decodeAtomic(in bpf.Insn, o *op) error {
	switch in.Imm {
	case bpf.AtomicLoadAcq:
		o.code = atomicLoadAcquire
		return nil
	case bpf.AtomicStRel:
		o.code = atomicStoreRelease
		return nil
	case atomicAdd, atomicOr, atomicAnd, atomicXor, bpf.AtomicXchg, bpf.AtomicCmpXchg,
		atomicAdd | bpf.AtomicFetch, atomicOr | bpf.AtomicFetch, atomicAnd | bpf.AtomicFetch, atomicXor | bpf.AtomicFetch:
		o.code = uint8(in.Imm)
	default:
		return errors.New("no such atomic operation")
	}
	if o.size < 4 {
		return errors.New("atomic operations other than load-acquire and store-release take 4 or 8 bytes")
	}
	if in.Src == 10 && o.code&bpf.AtomicFetch != 0 && o.code != bpf.AtomicCmpXchg {
		return errors.New("r10 is read-only")
	}
	return nil
}

// atomic executes an atomic operation. What is fetched is zero-extended: R0 of a cmpxchg, else src.
func (m *Machine) atomic(o *op) error {
	r := &m.regs
	switch o.code {
	case atomicLoadAcquire:
		return m.load(o)
	case atomicStoreRelease:
		return m.storeTo(r[o.dst]+uint64(int64(o.off)), o.size, r[o.src])
	}
	addr := r[o.dst] + uint64(int64(o.off))
	b := m.mem.span(addr, int(o.size), false)
	if b == nil {
		if m.mem.inArena(addr) {
			m.fetched(o, 0)
			return nil
		}
		return m.badAccess("atomic", addr, o.size)
	}
	m.mem.span(addr, int(o.size), true)
	old := get(b)
	put(b, m.combine(o, old))
	m.fetched(o, old)
	return nil
}

// combine returns what an atomic operation stores.
func (m *Machine) combine(o *op, old uint64) uint64 {
	v := m.regs[o.src]
	switch o.code {
	case bpf.AtomicXchg:
		return v
	case bpf.AtomicCmpXchg:
		expected := m.regs[0]
		if o.size == 4 {
			expected = uint64(uint32(expected))
		}
		if old == expected {
			return v
		}
		return old
	}
	switch o.code &^ bpf.AtomicFetch {
	case atomicOr:
		return old | v
	case atomicAnd:
		return old & v
	case atomicXor:
		return old ^ v
	}
	return old + v
}

func (m *Machine) fetched(o *op, old uint64) {
	switch {
	case o.code == bpf.AtomicCmpXchg:
		m.regs[0] = old
	case o.code&bpf.AtomicFetch != 0:
		m.regs[o.src] = old
	}
}
