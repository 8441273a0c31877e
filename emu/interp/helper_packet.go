// SPDX-License-Identifier: GPL-2.0-only

package interp

import (
	"syscall"

	"github.com/tcsim/tcsim/emu/interp/kernlib"
)

// enotsupp is a number that user space does not know (include/linux/errno.h).
const enotsupp syscall.Errno = 524

// packetHelpers work on the packet (net/core/filter.c).
var packetHelpers = map[int32]helperFunc{
	9:   (*Machine).skbStoreBytes,
	10:  (*Machine).l3CsumReplace,
	11:  (*Machine).l4CsumReplace,
	26:  (*Machine).skbLoadBytes,
	28:  (*Machine).csumDiff,
	32:  (*Machine).skbChangeType,
	39:  (*Machine).skbPullData,
	40:  func(*Machine) (uint64, error) { return errno(enotsupp), nil }, // no checksum by hardware
	41:  func(*Machine) (uint64, error) { return 0, nil },
	44:  (*Machine).xdpAdjustHead,
	54:  (*Machine).xdpAdjustMeta,
	65:  (*Machine).xdpAdjustTail,
	188: func(m *Machine) (uint64, error) { return uint64(len(m.ctx.Packet)), nil },
	189: (*Machine).xdpLoadBytes,
	190: (*Machine).xdpStoreBytes,
}

// packetArg checks R1 and returns the bytes of the packet at R2, R4 long, nil if they are not all
// there; and the program's buffer at R3.
func (m *Machine) packetArg(write bool) (packet, buf []byte, err error) {
	off, n := uint64(uint32(m.regs[2])), uint64(uint32(m.regs[4]))
	if m.ctx.Kind == Raw || m.regs[1] != m.cfg.Layout.Ctx {
		return nil, nil, m.fault("r1 = %#x (%s) is not the packet's context", m.regs[1], m.Locate(m.regs[1]))
	}
	if n == 0 || n > maxPacket {
		return nil, nil, m.fault("a length of %d bytes in r4 is not allowed", n)
	}
	if buf = m.mem.span(m.regs[3], int(n), write); buf == nil {
		return nil, nil, m.fault("the buffer of %d bytes at r3 = %#x (%s) is outside the program's memory", n, m.regs[3], m.Locate(m.regs[3]))
	}
	if off+n <= uint64(len(m.ctx.Packet)) {
		packet = m.ctx.Packet[off : off+n]
	}
	return packet, buf, nil
}

// skbLoadBytes is bpf_skb_load_bytes: on failure the buffer is zeroed.
func (m *Machine) skbLoadBytes() (uint64, error) {
	packet, buf, err := m.packetArg(true)
	if err != nil {
		return 0, err
	}
	if packet == nil {
		clear(buf)
		return errno(syscall.EFAULT), nil
	}
	copy(buf, packet)
	return 0, nil
}

// skbStoreBytes is bpf_skb_store_bytes; flags that recompute checksums have nothing to change here.
func (m *Machine) skbStoreBytes() (uint64, error) {
	packet, buf, err := m.packetArg(false)
	switch {
	case err != nil:
		return 0, err
	case m.regs[5] > 3: // BPF_F_RECOMPUTE_CSUM | BPF_F_INVALIDATE_HASH
		return errno(syscall.EINVAL), nil
	case packet == nil:
		return errno(syscall.EFAULT), nil
	}
	copy(packet, buf)
	return 0, nil
}

// xdpLoadBytes and xdpStoreBytes leave everything alone on failure.
func (m *Machine) xdpLoadBytes() (uint64, error) {
	packet, buf, err := m.packetArg(true)
	if err != nil || packet == nil {
		return errno(syscall.EINVAL), err
	}
	copy(buf, packet)
	return 0, nil
}

func (m *Machine) xdpStoreBytes() (uint64, error) {
	packet, buf, err := m.packetArg(false)
	if err != nil || packet == nil {
		return errno(syscall.EINVAL), err
	}
	copy(packet, buf)
	return 0, nil
}

// skbPullData is bpf_skb_pull_data: all of the packet is linear already.
func (m *Machine) skbPullData() (uint64, error) {
	if uint64(uint32(m.regs[2])) > uint64(len(m.ctx.Packet)) {
		return errno(syscall.ENOMEM), nil
	}
	return 0, nil
}

func (m *Machine) skbChangeType() (uint64, error) {
	if m.ctx.Kind != SKBuff {
		return 0, m.fault("r1 is no socket buffer")
	}
	if uint32(m.regs[2]) > 3 || m.ctx.Data[skbPktType] > 3 { // PACKET_OTHERHOST
		return errno(syscall.EINVAL), nil
	}
	m.ctx.Data[skbPktType] = byte(m.regs[2])
	return 0, nil
}

func (m *Machine) l3CsumReplace() (uint64, error) { return m.csumReplace(0xf, false) }

func (m *Machine) l4CsumReplace() (uint64, error) { return m.csumReplace(0xff, true) }

// csumReplace: R2 offset of the checksum, R3 what was replaced by R4, R5 flags.
func (m *Machine) csumReplace(known uint64, l4 bool) (uint64, error) {
	if m.regs[5]&^known != 0 {
		return errno(syscall.EINVAL), nil
	}
	return errno(kernlib.ReplaceSum(m.ctx.Packet, uint64(uint32(m.regs[2])), m.regs[3], m.regs[4], m.regs[5], l4)), nil
}

// csumDiff sums up what is at R3 and takes away what is at R1, beginning with R5. Kernels before 6.13
// return more bits of the same sum.
func (m *Machine) csumDiff() (uint64, error) {
	from, to := uint32(m.regs[2]), uint32(m.regs[4])
	if from%4 != 0 || to%4 != 0 || from+to > 512 {
		return errno(syscall.EINVAL), nil
	}
	var old, new []byte
	if from > 0 {
		old = m.mem.span(m.regs[1], int(from), false)
	}
	if to > 0 {
		new = m.mem.span(m.regs[3], int(to), false)
	}
	if from > 0 && old == nil || to > 0 && new == nil {
		return 0, m.fault("a buffer is outside the program's memory")
	}
	return uint64(kernlib.DiffSum(old, new, uint32(m.regs[5]))), nil
}

// move makes the packet begin and end elsewhere in its frame.
func (m *Machine) move(start, end int) {
	m.ctx.start = start
	m.ctx.Packet = m.ctx.room[start:end]
}

func (c *Ctx) end() int { return c.start + len(c.Packet) }

func (m *Machine) xdpAdjustHead() (uint64, error) {
	const frame, ethernet = 40, 14 // struct xdp_frame, ETH_HLEN
	c := &m.ctx
	if c.room == nil {
		return 0, m.fault("r1 is no XDP packet")
	}
	to, meta := c.start+int(int32(m.regs[2])), max(0, c.start-c.meta)
	if to < frame+meta || to > c.end()-ethernet {
		return errno(syscall.EINVAL), nil
	}
	copy(c.room[to-meta:to], c.room[c.start-meta:c.start])
	m.move(to, c.end())
	c.meta = to - meta
	return 0, nil
}

func (m *Machine) xdpAdjustTail() (uint64, error) {
	const ethernet = 14
	c := &m.ctx
	if c.room == nil {
		return 0, m.fault("r1 is no XDP packet")
	}
	old := c.end()
	to := old + int(int32(m.regs[2]))
	if to > frameRoom || to < c.start+ethernet {
		return errno(syscall.EINVAL), nil
	}
	if to > old {
		clear(c.room[old:to])
	}
	m.move(c.start, to)
	return 0, nil
}

func (m *Machine) xdpAdjustMeta() (uint64, error) {
	const frame = 40
	c := &m.ctx
	if c.room == nil {
		return 0, m.fault("r1 is no XDP packet")
	}
	to := c.meta + int(int32(m.regs[2]))
	switch n := c.start - to; {
	case to < frame || n < 0:
		return errno(syscall.EINVAL), nil
	case n%4 != 0 || n > 255:
		return errno(syscall.EACCES), nil
	}
	c.meta = to
	return 0, nil
}
