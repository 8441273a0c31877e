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
	case jit.PerCPUArrayMap, jit.HashMap:
		return []Span{{g.elems, uint64(g.MaxEntries) * g.size}}
	}
	return nil
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

// SetPacket replaces the packet, between runs. It must not be longer than Setup.Packet was; what
// lay behind it is zero.
func (m *Machine) SetPacket(p []byte) error {
	room := cap(m.setup.Packet)
	if len(p) > room {
		return fmt.Errorf("set packet: %d bytes, room for %d", len(p), room)
	}
	m.setup.Packet = m.setup.Packet[:len(p):room]
	b := make([]byte, room)
	copy(b, p)
	return m.space.write(PacketAddr, b)
}
