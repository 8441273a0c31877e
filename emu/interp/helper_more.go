// SPDX-License-Identifier: GPL-2.0-only

package interp

import (
	"bytes"
	"encoding/binary"
	"syscall"

	"github.com/tcsim/tcsim/jit/bpf"
)

// moreHelpers are those that neither the program's maps nor its packet decide alone.
var moreHelpers = map[int32]helperFunc{
	4:   (*Machine).probeRead, // bpf_probe_read
	13:  func(*Machine) (uint64, error) { return 0, nil },
	23:  (*Machine).redirect,
	25:  (*Machine).perfEventOutput,
	45:  (*Machine).probeReadStr,
	51:  (*Machine).redirectMap,
	86:  func(*Machine) (uint64, error) { return 0, nil },
	93:  func(*Machine) (uint64, error) { return 0, nil }, // locks are always free
	94:  func(*Machine) (uint64, error) { return 0, nil },
	112: (*Machine).probeRead, // of user space
	113: (*Machine).probeRead, // of the kernel
	114: (*Machine).probeReadStr,
	115: (*Machine).probeReadStr,
	130: (*Machine).ringbufOutput,
	131: (*Machine).ringbufReserve,
	132: (*Machine).ringbufCommit,
	133: (*Machine).ringbufCommit,
	134: (*Machine).ringbufQuery,
	148: (*Machine).probeRead, // of user space
	152: (*Machine).redirectNeigh,
	155: (*Machine).redirectPeer,
	182: (*Machine).strncmp,
	195: (*Machine).lookupPerCPU,
}

// buffer returns n bytes that register reg points to.
func (m *Machine) buffer(reg int, n uint64, write bool) ([]byte, error) {
	if n == 0 || n > maxPacket {
		return nil, m.fault("a length of %d bytes is not allowed", n)
	}
	b := m.mem.span(m.regs[reg], int(n), write)
	if b == nil {
		return nil, m.fault("the buffer of %d bytes at r%d = %#x (%s) is outside the program's memory", n, reg, m.regs[reg], m.Locate(m.regs[reg]))
	}
	return b, nil
}

// probeRead is bpf_probe_read_kernel: R1 buffer, R2 length, R3 address, which need not be valid.
func (m *Machine) probeRead() (uint64, error) {
	n := uint64(uint32(m.regs[2]))
	if n == 0 {
		return 0, nil
	}
	buf, err := m.buffer(1, n, true)
	if err != nil {
		return 0, err
	}
	from := m.mem.span(m.regs[3], int(n), false)
	if from == nil {
		if m.Locate(m.regs[3]).Place == Nowhere && m.regs[3]>>63 != 0 {
			return 0, m.fault("what the kernel has at %#x is not known", m.regs[3])
		}
		clear(buf)
		return errno(syscall.EFAULT), nil
	}
	copy(buf, from)
	return 0, nil
}

// probeReadStr returns the length of the string with its final zero.
func (m *Machine) probeReadStr() (uint64, error) {
	n := uint64(uint32(m.regs[2]))
	if n == 0 {
		return 0, nil
	}
	buf, err := m.buffer(1, n, true)
	if err != nil {
		return 0, err
	}
	for i := range buf {
		b := m.mem.span(m.regs[3]+uint64(i), 1, false)
		if b == nil {
			return 0, m.fault("what the kernel has at %#x is not known", m.regs[3]+uint64(i))
		}
		if buf[i] = b[0]; b[0] == 0 || i == len(buf)-1 {
			buf[i] = 0
			return uint64(i) + 1, nil
		}
	}
	return 0, nil
}

func (m *Machine) redirect() (uint64, error) {
	flags := m.regs[2]
	if m.ctx.Kind == XDPBuff {
		if flags != 0 {
			return 0, nil // XDP_ABORTED
		}
		return 4, nil // XDP_REDIRECT
	}
	return act(flags > 1), nil // BPF_F_INGRESS
}

// act is TC_ACT_SHOT for a bad argument, else TC_ACT_REDIRECT.
func act(bad bool) uint64 {
	if bad {
		return 2
	}
	return 7
}

func (m *Machine) redirectNeigh() (uint64, error) {
	n := uint32(m.regs[3])
	return act(m.regs[4] != 0 || n > 0 && n < 20), nil
}

func (m *Machine) redirectPeer() (uint64, error) { return act(m.regs[2] != 0), nil }

// redirectMap finds nothing in the map and returns what the flags say.
func (m *Machine) redirectMap() (uint64, error) {
	if m.regs[3] > 3 {
		return 0, nil
	}
	return m.regs[3], nil
}

// perfEventOutput has no event to write to.
func (m *Machine) perfEventOutput() (uint64, error) {
	s := m.mapByHandle(m.regs[2])
	if s == nil || s.def.Type != bpf.PerfEventArray {
		return 0, m.fault("r2 = %#x (%s) is no array of perf events", m.regs[2], m.Locate(m.regs[2]))
	}
	flags := m.regs[3]
	cpu, packet := uint32(flags), flags>>32&0xfffff
	switch {
	case flags>>52 != 0:
		return errno(syscall.EINVAL), nil
	case packet > uint64(len(m.ctx.Packet)):
		return errno(syscall.EFAULT), nil
	case cpu != 0xffff_ffff && cpu >= s.def.MaxEntries:
		return errno(syscall.E2BIG), nil
	}
	return errno(syscall.ENOENT), nil
}

func (m *Machine) ringbuf() (*mapState, error) {
	s := m.mapByHandle(m.regs[1])
	if s == nil || s.def.Type != bpf.RingBuf {
		return nil, m.fault("r1 = %#x (%s) is no ring buffer", m.regs[1], m.Locate(m.regs[1]))
	}
	return s, nil
}

// record makes room for n bytes after a header; nil if there is none, as nothing reads.
func (s *mapState) record(n uint64) (at uint64, data []byte) {
	total := (n + 15) &^ 7
	if n >= 1<<30 || s.ring+total >= uint64(len(s.data)) {
		return 0, nil
	}
	at = s.ring + 8
	s.ring += total
	binary.LittleEndian.PutUint32(s.data[at-8:], uint32(n))
	return at, s.data[at : at+n]
}

func (m *Machine) ringbufReserve() (uint64, error) {
	s, err := m.ringbuf()
	if err != nil || m.regs[3] != 0 {
		return 0, err
	}
	at, data := s.record(m.regs[2])
	if data == nil {
		return 0, nil
	}
	return s.base + at, nil
}

func (m *Machine) ringbufOutput() (uint64, error) {
	s, err := m.ringbuf()
	if err != nil {
		return 0, err
	}
	from, err := m.buffer(2, m.regs[3], false)
	if err != nil {
		return 0, err
	}
	if m.regs[4] > 3 {
		return errno(syscall.EINVAL), nil
	}
	_, data := s.record(m.regs[3])
	if data == nil {
		return errno(syscall.EAGAIN), nil
	}
	copy(data, from)
	return 0, nil
}

// ringbufCommit has no result that a program may look at.
func (m *Machine) ringbufCommit() (uint64, error) { return 0, nil }

func (m *Machine) ringbufQuery() (uint64, error) {
	s, err := m.ringbuf()
	if err != nil {
		return 0, err
	}
	return []uint64{s.ring, uint64(len(s.data)), 0, s.ring, 0}[min(m.regs[2], 4)], nil
}

// strncmp compares R1, of R2 bytes, with R3.
func (m *Machine) strncmp() (uint64, error) {
	for i := range uint64(uint32(m.regs[2])) {
		a, b := m.mem.span(m.regs[1]+i, 1, false), m.mem.span(m.regs[3]+i, 1, false)
		if a == nil || b == nil {
			return 0, m.fault("a string is outside the program's memory")
		}
		if d := bytes.Compare(a, b); d != 0 || a[0] == 0 {
			return uint64(d), nil
		}
	}
	return 0, nil
}

// lookupPerCPU knows one CPU.
func (m *Machine) lookupPerCPU() (uint64, error) {
	if uint32(m.regs[3]) != m.cfg.CPU {
		return 0, nil
	}
	return m.mapLookup()
}
