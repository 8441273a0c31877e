// SPDX-License-Identifier: GPL-2.0-only

package interp

import "fmt"

// Place is the kind of memory an address lies in.
type Place uint8

// The places.
const (
	Nowhere Place = iota
	Stack
	MapHandle
	MapValue
	Context
	Packet
	Function
	Arena
	TraceArgs
	Key
)

// Location is an address in terms that do not depend on the layout, so that pointers of two engines
// can be related.
type Location struct {
	Place Place
	// Index is the frame of a Stack (0 is the first), the map of a MapHandle or MapValue, or the
	// program of a Function; else 0.
	Index int
	// Off is in bytes from the start of the region, for Stack from R10 of the frame (negative or
	// 0), for Function the slot. The end of a region counts as part of it.
	Off int64
}

func (l Location) String() string {
	switch l.Place {
	case Stack:
		return fmt.Sprintf("stack of frame %d%+d", l.Index, l.Off)
	case MapHandle:
		return fmt.Sprintf("map %d", l.Index)
	case MapValue:
		return fmt.Sprintf("values of map %d%+d", l.Index, l.Off)
	case Context:
		return fmt.Sprintf("context%+d", l.Off)
	case Packet:
		return fmt.Sprintf("packet%+d", l.Off)
	case Function:
		return fmt.Sprintf("function of program %d at slot %d", l.Index, l.Off)
	case Arena:
		return fmt.Sprintf("arena%+d", l.Off)
	}
	switch l.Place {
	case TraceArgs:
		return fmt.Sprintf("traced arguments%+d", l.Off)
	case Key:
		return fmt.Sprintf("key of a map%+d", l.Off)
	}
	return "nowhere"
}

// OnStack reports whether an address lies where BPF stacks are, in a live frame or not.
func (m *Machine) OnStack(addr uint64) bool {
	return m.mem.top0-addr < uint64(m.mem.maxDepth+1)*frameStride
}

// Locate says what an address of the current or last run means.
func (m *Machine) Locate(addr uint64) Location {
	if below := m.mem.top0 - addr; below < uint64(m.mem.depth+1)*frameStride {
		frame := int(below / frameStride)
		if off := below % frameStride; off <= StackSize {
			return Location{Stack, frame, -int64(off)}
		}
	}
	for i, s := range m.maps {
		if addr == s.handle {
			return Location{MapHandle, i, 0}
		}
		if off := addr - s.base; s.data != nil && off <= s.gaps.end(uint64(len(s.data))) {
			ok := true
			if s.gaps.apart != 0 {
				off, _, ok = s.gaps.off(off)
			}
			if ok {
				return Location{MapValue, i, int64(off)}
			}
		}
	}
	if off := addr - m.cfg.Layout.Ctx; off <= uint64(len(m.ctx.Data)) {
		return Location{Context, 0, int64(off)}
	}
	if off := addr - m.cfg.Layout.Packet; off <= uint64(len(m.ctx.Packet)) {
		return Location{Packet, 0, int64(off)}
	}
	for i, p := range m.progs {
		for _, f := range p.funcs {
			if addr == funcAddr(i, f.start) {
				return Location{Function, i, int64(f.start)}
			}
		}
	}
	if off := addr - m.cfg.Layout.TraceArgs; off <= uint64(len(m.mem.args)) {
		return Location{TraceArgs, 0, int64(off)}
	}
	if off := addr - m.cfg.Layout.Keys; off < uint64(len(m.mem.keys)) {
		return Location{Key, 0, int64(off)}
	}
	if m.mem.inArena(addr) {
		return Location{Arena, 0, int64(addr - m.mem.arena)}
	}
	return Location{}
}
