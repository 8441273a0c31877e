// SPDX-License-Identifier: GPL-2.0-only

package interp

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/tcsim/tcsim/emu/interp/kernlib"
	"github.com/tcsim/tcsim/jit/bpf"
)

// CtxKind says how accesses through R1 are to be understood.
type CtxKind uint8

// The context kinds.
const (
	Raw    CtxKind = iota // plain memory; R2 is its length at the start, R1 is 0 if there is none
	SKBuff                // struct __sk_buff
	XDPBuff
)

// Sizes and offsets in include/uapi/linux/bpf.h, struct __sk_buff and struct xdp_md.
const (
	SKBSize = 192
	XDPSize = 24

	skbLen, skbPktType, skbQueue = 0, 4, 12
	skbProtocol, skbIfindex      = 16, 40
	skbTCIndex, skbTCClassID     = 44, 72
	skbData, skbDataEnd          = 76, 80
	skbDataMeta                  = 140
	xdpData, xdpDataEnd          = 0, 4
	xdpDataMeta                  = 8
	xdpIngressIfindex            = 12
)

// maxCtx and maxPacket keep the default layout free of overlaps.
const (
	maxCtx    = 0xf000
	maxPacket = 1 << 20
)

// Ctx is what a program is run on.
type Ctx struct {
	Kind CtxKind
	// Data is the structure as user space sees it (SKBSize or XDPSize bytes), or any memory for
	// Raw. The pointers to the packet are made on access; what Data has there does not count.
	Data []byte
	// Packet is what the data pointer of the structure points to; data_end is its end.
	Packet []byte

	room  []byte // XDP, during a run: the packet with what is in front of it and after it
	start int    // where in room the packet begins
	meta  int    // where in room its metadata begins
}

// Room around the packet of an XDP program (net/bpf/test_run.c): XDP_PACKET_HEADROOM, and the page
// without struct skb_shared_info.
const (
	headroom  = 256
	frameRoom = 4096 - 320
)

// makeRoom puts the packet of an XDP program into a frame.
func (c *Ctx) makeRoom() {
	if c.Kind != XDPBuff {
		return
	}
	c.room = make([]byte, max(frameRoom, headroom+len(c.Packet)))
	c.start, c.meta = headroom, headroom
	n := copy(c.room[headroom:], c.Packet)
	c.Packet = c.room[headroom : headroom+n]
}

// SKB is the context of a test run of a socket buffer program on packet: length, protocol as the
// Ethernet header has it, interface 1, everything else zero.
func SKB(packet []byte) Ctx {
	c := Ctx{Kind: SKBuff, Data: make([]byte, SKBSize), Packet: packet}
	binary.LittleEndian.PutUint32(c.Data[skbLen:], uint32(len(packet)))
	if len(packet) >= 14 {
		c.Data[skbPktType] = kernlib.PacketType(packet)
		copy(c.Data[skbProtocol:], packet[12:14])
		if binary.BigEndian.Uint16(packet[12:]) < 0x600 { // a length: IEEE 802.3
			copy(c.Data[skbProtocol:], []byte{0, 4})
			if len(packet) >= 16 && packet[14] == 0xff && packet[15] == 0xff {
				c.Data[skbProtocol+1] = 1
			}
		}
	}
	c.Data[skbIfindex] = 1
	c.socket()
	return c
}

// socket fills in the fields of the socket that a test run makes for IP packets: family, remote_ip4,
// local_ip4, remote_ip6 and local_ip6.
func (c *Ctx) socket() {
	p := c.Packet
	switch {
	case len(p) < 14:
	case p[12] == 8 && p[13] == 0:
		c.Data[88] = 2
		if len(p) >= 34 {
			copy(c.Data[92:], p[30:34])
			copy(c.Data[96:], p[26:30])
		}
	case p[12] == 0x86 && p[13] == 0xdd:
		c.Data[88] = 10
		if len(p) >= 54 {
			copy(c.Data[100:], p[38:54])
			copy(c.Data[116:], p[22:38])
		}
	}
}

// XDP is the context of a test run of an XDP program on packet: interface 1, queue 0.
func XDP(packet []byte) Ctx {
	c := Ctx{Kind: XDPBuff, Data: make([]byte, XDPSize), Packet: packet}
	c.Data[xdpIngressIfindex] = 1
	return c
}

// ForType makes the context of a test run of a program of type t on packet, as
// BPF_PROG_TEST_RUN does: socket filters see the packet after its Ethernet header, tracing
// programs and kprobes get zeroed memory.
func ForType(t bpf.ProgType, packet []byte) Ctx {
	switch {
	case t.LinkLayer():
		return SKB(packet)
	case t.SKB():
		c := SKB(packet)
		c.Packet = c.Packet[min(14, len(packet)):]
		binary.LittleEndian.PutUint32(c.Data[skbLen:], uint32(len(c.Packet)))
		return c
	case t == bpf.XDP:
		return XDP(packet)
	}
	return Ctx{Data: make([]byte, SKBSize)}
}

func (c *Ctx) check(*Program) error {
	want := map[CtxKind]int{SKBuff: SKBSize, XDPBuff: XDPSize}[c.Kind]
	if c.Kind > XDPBuff {
		return fmt.Errorf("context kind %d does not exist", c.Kind)
	}
	if c.Kind != Raw && len(c.Data) != want {
		return fmt.Errorf("context of %d bytes, want %d", len(c.Data), want)
	}
	if len(c.Data) > maxCtx || len(c.Packet) > maxPacket {
		return fmt.Errorf("context of %d bytes, packet of %d: more than %d and %d", len(c.Data), len(c.Packet), maxCtx, maxPacket)
	}
	return nil
}

func (c *Ctx) clone() Ctx {
	return Ctx{Kind: c.Kind, Data: slices.Clone(c.Data), Packet: slices.Clone(c.Packet)}
}

// pointer returns the packet pointer that a 4-byte field at off stands for.
func (c *Ctx) pointer(off uint64, l *Layout) (uint64, bool) {
	start := l.Packet
	if c.room != nil {
		start += uint64(c.start) - headroom
	}
	end := start + uint64(len(c.Packet))
	switch {
	case c.Kind == XDPBuff && off == xdpDataMeta && c.room != nil:
		return l.Packet + uint64(c.meta) - headroom, true
	case c.Kind == SKBuff && (off == skbData || off == skbDataMeta),
		c.Kind == XDPBuff && (off == xdpData || off == xdpDataMeta):
		return start, true
	case c.Kind == SKBuff && off == skbDataEnd, c.Kind == XDPBuff && off == xdpDataEnd:
		return end, true
	}
	return 0, false
}

// load reads n bytes at off of a structure; Raw contexts are plain memory and never come here.
func (c *Ctx) load(off uint64, n uint8, l *Layout) (uint64, bool) {
	if c.Kind == Raw || off >= uint64(len(c.Data)) || off+uint64(n) > uint64(len(c.Data)) {
		return 0, false
	}
	if _, ok := c.pointer(off&^3, l); ok {
		if n != 4 {
			return 0, false
		}
		return c.pointer(off, l)
	}
	if w, ok := kernelWidth[off&^3]; ok && c.Kind == SKBuff && n < 4 && n >= w {
		off = off &^ 3
	}
	return get(c.Data[off : off+uint64(n)]), true
}

// kernelWidth are the sizes of fields of which the kernel has less than four bytes. Loads of as many
// bytes or more give the field wherever in the four bytes they are (is_narrower_load and target_size in
// convert_ctx_accesses, kernel/bpf/verifier.c).
var kernelWidth = map[uint64]uint8{
	skbPktType: 1, skbQueue: 2, skbProtocol: 2, 24: 2, 28: 2, skbTCIndex: 2, skbTCClassID: 2, 164: 2, 176: 2,
}

// store writes n bytes at off of a structure. The packet pointers are read-only.
func (c *Ctx) store(off uint64, n uint8, v uint64) bool {
	if c.Kind == Raw || off >= uint64(len(c.Data)) || off+uint64(n) > uint64(len(c.Data)) {
		return false
	}
	for b := off; b < off+uint64(n); b++ {
		if _, ok := c.pointer(b&^3, &Layout{}); ok {
			return false
		}
	}
	switch off {
	case skbQueue: // of 16 bits, as the other two; NO_QUEUE_MAPPING and more are ignored
		if v >= 0xffff {
			return true
		}
	case skbTCIndex, skbTCClassID:
		v &= 0xffff
	}
	put(c.Data[off:off+uint64(n)], v)
	return true
}

// packetLoad executes the legacy packet loads: R6 is the socket buffer, the value is big-endian in
// R0, and a program that reads past the end returns 0 (net/core/filter.c, bpf_gen_ld_abs).
func (m *Machine) packetLoad(o *op, index uint64) error {
	if m.ctx.Kind != SKBuff || m.regs[6] != m.cfg.Layout.Ctx {
		return m.fault("packet load without a socket buffer in r6")
	}
	off := int64(int32(o.imm))
	if o.reg {
		off = int64(int32(o.imm) + int32(index))
	}
	if off < 0 {
		return m.fault("packet load at negative offset %d is not modelled", off)
	}
	m.trash(1)
	if off+int64(o.size) > int64(len(m.ctx.Packet)) {
		m.regs[0] = 0
		return m.exit()
	}
	b := m.ctx.Packet[off:]
	switch o.size {
	case 1:
		m.regs[0] = uint64(b[0])
	case 2:
		m.regs[0] = uint64(binary.BigEndian.Uint16(b))
	default:
		m.regs[0] = uint64(binary.BigEndian.Uint32(b))
	}
	return nil
}
