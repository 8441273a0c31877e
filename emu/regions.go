// SPDX-License-Identifier: GPL-2.0-only

package emu

import (
	"fmt"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/x86"
)

// Span is a piece of memory of Size bytes.
type Span struct {
	Addr jit.Addr
	Size uint64
}

// MapMemory returns where the values of a map lie that programs may write. A prog array has none.
func (m *Machine) MapMemory(mp int) []Span {
	g := &m.maps[mp]
	switch g.Type {
	case jit.ArrayMap:
		return []Span{{g.ValueAddr, uint64(g.MaxEntries) * g.size}}
	case jit.RingBuf:
		return []Span{{g.elems, uint64(g.MaxEntries)}}
	}
	if g.elems == 0 || g.Type == jit.HashOfMaps {
		return nil
	}
	return []Span{{g.elems, uint64(g.MaxEntries) * g.size}}
}

// Junk returns what caller-saved registers hold after a helper and at the entry of a program: a
// counter with such a value was kept in a register that it must not be kept in.
func Junk() []uint64 {
	out := make([]uint64, 0, 16)
	for r := x86.RAX; r <= x86.R15; r++ {
		out = append(out, clobber+uint64(r))
	}
	return out
}

// SetPacket replaces the packet, between runs; programs see it from byte from on. It must not be
// longer than Setup.Packet was; the room around it is zeroed. xdp says that the context is a struct
// xdp_buff, whose packet helpers move.
func (m *Machine) SetPacket(p []byte, from int, xdp bool) error {
	room := cap(m.setup.Packet)
	if len(p) > room || from > len(p) {
		return fmt.Errorf("set packet: %d bytes from %d, room for %d", len(p), from, room)
	}
	m.setup.Packet = m.setup.Packet[:len(p):room]
	m.packetFrom, m.packetXDP = from, xdp
	if room == 0 {
		return nil
	}
	b := make([]byte, packetMemory(room))
	copy(b[PacketHeadroom:], p)
	return m.space.write(PacketAddr-PacketHeadroom, b)
}

// packetMemory is the size of the memory for a packet with the room around it.
func packetMemory(packet int) int { return max(PacketFrame, PacketHeadroom+packet) }
