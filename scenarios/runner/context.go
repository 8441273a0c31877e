// SPDX-License-Identifier: GPL-2.0-only

package runner

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/scenarios"
)

// Fields of the contexts that programs see (include/uapi/linux/bpf.h, struct __sk_buff and struct
// xdp_md), in bytes.
const (
	skbLen, skbPktType                = 0, 4
	skbProtocol, skbIfindex           = 16, 40
	skbData, skbDataEnd, skbDataMeta  = 76, 80, 140
	xdpData, xdpDataEnd, xdpDataMeta  = 0, 4, 8
	xdpIngressIfindex, xdpRxQueueIndx = 12, 16
	xdpHardStart                      = 24 // of struct xdp_buff

	ethHeader = 14 // bytes
	// loopback is the interface of a test run (net/bpf/test_run.c).
	loopback = 1
)

// deviceStep is the distance in which the structures that a context points to are placed.
const (
	deviceStep  = 0x400
	deviceCount = 8
)

// ContextSpace is the memory for a context and for what it points to, all of it zero.
func ContextSpace() []guest.Region {
	out := slices.Clone(contextSpace)
	for i := range out {
		out[i].Bytes = slices.Clone(out[i].Bytes)
	}
	return out
}

// contextSpace is what ContextSpace returns a copy of.
var contextSpace = []guest.Region{
	{Addr: guest.ContextAddr, Bytes: make([]byte, 0x1000)},
	{Addr: guest.DeviceAddr, Bytes: make([]byte, deviceStep*deviceCount)},
}

// contextWriter fills a context as the kernel lays it out: struct sk_buff or struct xdp_buff.
type contextWriter struct {
	m     *Machine
	table map[int64]kernels.ContextField
	next  image.Addr            // where the next structure that is pointed to goes
	ptrs  map[ptrKey]image.Addr // structures by the place of the pointer to them
}

type ptrKey struct {
	at  image.Addr
	off int16
}

// PlaceContext makes the context of a test run on packet (net/bpf/test_run.c) and returns its
// address: length, protocol, interface and packet pointers as the kernel sets them, other fields
// zero unless given. Programs of other types get zeroed memory.
func PlaceContext(m *Machine, t *jit.Target, p bpf.ProgType, packet []byte, given []scenarios.ContextField) (image.Addr, error) {
	for _, r := range contextSpace {
		if err := m.WriteMemory(r.Addr, r.Bytes); err != nil {
			return 0, err
		}
	}
	from := 0
	if p.SKB() && !p.LinkLayer() { // sees the packet after its Ethernet header
		from = min(ethHeader, len(packet))
	}
	if err := m.SetPacket(packet, from, p == bpf.XDP); err != nil {
		return 0, err
	}
	w := &contextWriter{m: m, next: guest.DeviceAddr, ptrs: map[ptrKey]image.Addr{}}
	start, end := guest.PacketAddr+image.Addr(from), guest.PacketAddr+image.Addr(len(packet))
	values := map[int64]uint64{}
	switch {
	case p.SKB():
		w.table = t.Context.SKB
		for off := range w.table {
			values[off] = 0 // to have all structures that pointers lead to
		}
		values[skbLen] = uint64(end - start)
		values[skbPktType], values[skbProtocol] = ethernet(packet)
		values[skbIfindex] = loopback
		socketOf(packet, values)
		values[skbData], values[skbDataEnd], values[skbDataMeta] = uint64(start), uint64(end), uint64(start)
	case p == bpf.XDP:
		w.table = t.Context.XDP
		if err := w.word(guest.ContextAddr+xdpHardStart, uint64(guest.PacketAddr-guest.PacketHeadroom)); err != nil {
			return 0, err
		}
		values[xdpData], values[xdpDataEnd], values[xdpDataMeta] = uint64(start), uint64(end), uint64(start)
		values[xdpIngressIfindex], values[xdpRxQueueIndx] = loopback, 0
	default:
		return guest.ContextAddr, nil
	}
	for _, f := range given {
		values[int64(f.Off)] = uint64(f.Value)
	}
	for _, off := range sortedOffsets(values) {
		if err := w.put(off, values[off]); err != nil {
			return 0, err
		}
	}
	return guest.ContextAddr, nil
}

// ethernet returns pkt_type and protocol as eth_type_trans (net/ethernet/eth.c) sets them for the
// loopback device, whose address is zero.
func ethernet(packet []byte) (kind, protocol uint64) {
	const broadcast, multicast, otherhost = 1, 2, 3
	if len(packet) < ethHeader {
		return 0, 0
	}
	switch to := [6]byte(packet); {
	case to == [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}:
		kind = broadcast
	case to[0]&1 != 0:
		kind = multicast
	case to != [6]byte{}:
		kind = otherhost
	}
	proto := packet[12:14]
	const least, raw8023, llc = 0x600, 1, 4 // ETH_P_802_3_MIN, ETH_P_802_3, ETH_P_802_2
	if binary.BigEndian.Uint16(proto) < least {
		proto = []byte{0, llc}
		if len(packet) >= ethHeader+2 && packet[14] == 0xff && packet[15] == 0xff {
			proto = []byte{0, raw8023}
		}
	}
	return kind, uint64(binary.LittleEndian.Uint16(proto))
}

// socketOf sets the fields of the socket that a test run gives an IP packet: its own is the source.
func socketOf(packet []byte, values map[int64]uint64) {
	const (
		family, remote4, local4, remote6, local6 = 88, 92, 96, 100, 116
		inet, inet6                              = 2, 10
		ip4, ip6                                 = 0x0008, 0xdd86
		ip4Header, ip6Header                     = 20, 40
	)
	le := binary.LittleEndian
	switch ip := packet[min(ethHeader, len(packet)):]; values[skbProtocol] {
	case ip4:
		values[family] = inet
		if len(ip) >= ip4Header {
			values[local4], values[remote4] = uint64(le.Uint32(ip[12:])), uint64(le.Uint32(ip[16:]))
		}
	case ip6:
		values[family] = inet6
		for word := 0; word < 16 && len(ip) >= ip6Header; word += 4 {
			values[local6+int64(word)] = uint64(le.Uint32(ip[8+word:]))
			values[remote6+int64(word)] = uint64(le.Uint32(ip[24+word:]))
		}
	}
}

func sortedOffsets(values map[int64]uint64) []int64 {
	var offs []int64
	for off := range values {
		offs = append(offs, off)
	}
	slices.Sort(offs)
	return offs
}

// put stores a field where the program's loads will find it, following the chain of pointers.
func (w *contextWriter) put(off int64, v uint64) error {
	f, ok := w.table[off]
	if !ok {
		return fmt.Errorf("context field at offset %d: not known for this target", off)
	}
	at, way := guest.ContextAddr, f.Loads[:len(f.Loads)-1]
	if f.Shared {
		way = way[1:] // the first of the two is an offset, 0
	}
	for _, l := range way {
		k := ptrKey{at, l.Off}
		to, ok := w.ptrs[k]
		if !ok {
			to = w.next
			w.next += deviceStep
			w.ptrs[k] = to
			if err := w.word(at+image.Addr(l.Off), uint64(to)); err != nil {
				return err
			}
		}
		at = to
	}
	last := f.Loads[len(f.Loads)-1]
	if f.Mask != 0 { // shares its byte with others, which are 0
		v &= uint64(f.Mask)
	}
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], v)
	return w.m.WriteMemory(at+image.Addr(last.Off), b[:last.Size])
}

func (w *contextWriter) word(at image.Addr, v uint64) error {
	return w.m.WriteMemory(at, binary.LittleEndian.AppendUint64(nil, v))
}
