// SPDX-License-Identifier: GPL-2.0-only

package interp

import (
	"bytes"
	"syscall"

	"github.com/tcsim/tcsim/emu/interp/kernlib"
	"github.com/tcsim/tcsim/jit/bpf"
)

// bareHelpers are queues, stacks, and helpers that find nothing of what they ask for: no cgroup in a map, no socket, no namespace,
// no way out of the machine.
var bareHelpers = map[int32]helperFunc{
	33:  func(m *Machine) (uint64, error) { return m.underCgroup(2) },
	37:  func(m *Machine) (uint64, error) { return m.underCgroup(1) },
	52:  func(*Machine) (uint64, error) { return 0, nil }, // SK_DROP
	60:  func(*Machine) (uint64, error) { return 0, nil },
	61:  func(*Machine) (uint64, error) { return 0, nil },
	62:  func(*Machine) (uint64, error) { return 0, nil },
	69:  (*Machine).fibLookup,
	71:  func(*Machine) (uint64, error) { return 0, nil },
	72:  func(*Machine) (uint64, error) { return 0, nil },
	87:  (*Machine).mapPush,
	88:  func(m *Machine) (uint64, error) { return m.mapPop(true) },
	89:  func(m *Machine) (uint64, error) { return m.mapPop(false) },
	111: (*Machine).perfEventOutput,
	120: (*Machine).namespacePID,
	126: func(*Machine) (uint64, error) { return 0, nil },
	127: func(*Machine) (uint64, error) { return 0, nil },
}

// underCgroup: the map of cgroups in register array has none, and the index is in the next.
func (m *Machine) underCgroup(array int) (uint64, error) {
	s := m.mapByHandle(m.regs[array])
	if s == nil {
		return 0, m.fault("r%d = %#x (%s) is no map", array, m.regs[array], m.Locate(m.regs[array]))
	}
	if i := uint32(m.regs[array+1]); i >= s.def.MaxEntries {
		return errno(syscall.E2BIG), nil
	}
	return errno(syscall.EAGAIN), nil
}

func (m *Machine) namespacePID() (uint64, error) {
	buf, err := m.buffer(3, m.regs[4]&0xffff_ffff, true)
	clear(buf)
	return errno(syscall.EINVAL), err
}

// fibLookup: R2 is struct bpf_fib_lookup, R3 its size.
func (m *Machine) fibLookup() (uint64, error) {
	p, err := m.buffer(2, m.regs[3]&0xffff_ffff, true)
	if err != nil {
		return 0, err
	}
	found, e := kernlib.Route(p)
	if e != 0 {
		return errno(e), nil
	}
	return found, nil
}

// fifo returns the queue or stack in R1 and the value at R2.
func (m *Machine) fifo(write bool) (*mapState, []byte, error) {
	s := m.mapByHandle(m.regs[1])
	if s == nil || s.def.Type != bpf.QueueMap && s.def.Type != bpf.StackMap {
		return nil, nil, m.fault("r1 = %#x (%s) is no queue and no stack", m.regs[1], m.Locate(m.regs[1]))
	}
	v, err := m.buffer(2, uint64(s.def.ValueSize), write)
	return s, v, err
}

func (m *Machine) mapPush() (uint64, error) {
	s, v, err := m.fifo(false)
	full := err == nil && len(s.fifo) == int(s.def.MaxEntries)
	switch {
	case err != nil:
		return 0, err
	case m.regs[3] != 0 && m.regs[3] != 2: // BPF_ANY, BPF_EXIST
		return errno(syscall.EINVAL), nil
	case full && m.regs[3] == 0:
		return errno(syscall.E2BIG), nil
	case full:
		s.fifo = s.fifo[1:]
	}
	s.fifo = append(s.fifo, bytes.Clone(v))
	return 0, nil
}

func (m *Machine) mapPop(take bool) (uint64, error) {
	s, v, err := m.fifo(true)
	if err != nil {
		return 0, err
	}
	n := len(s.fifo)
	if n == 0 {
		clear(v)
		return errno(syscall.ENOENT), nil
	}
	at, rest := 0, s.fifo[1:]
	if s.def.Type == bpf.StackMap {
		at, rest = n-1, s.fifo[:n-1]
	}
	copy(v, s.fifo[at])
	if take {
		s.fifo = rest
	}
	return 0, nil
}
