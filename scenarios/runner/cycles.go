// SPDX-License-Identifier: GPL-2.0-only

package runner

import (
	"encoding/binary"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/timing"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/x86"
)

// How often a stream goes through the core before its cycles count, and how often while they do.
const (
	warmTrips  = 24
	timedTrips = 16
)

// cycles returns what a core needs for one trip through a stream in the long run. The stream is an
// invocation that entry begins; a loop of call and jump at the outside caller surrounds it.
func (s *Session) cycles(core *timing.Core, stream []timing.Retired, entry jit.Addr) (float64, error) {
	const callSize = 5
	loop := binary.LittleEndian.AppendUint32([]byte{0xe8}, uint32(entry-emu.OutsideReturn)) // call entry
	loop = append(loop, 0xeb, 0xf9)                                                         // jmp to the call
	begin := emu.OutsideReturn - callSize
	trip := append([]timing.Retired{{RIP: begin, EA: emu.EntryRSP}}, stream...)
	trip = append(trip, timing.Retired{RIP: emu.OutsideReturn})
	m := timing.New(core, func(pc x86.Addr) ([]byte, error) {
		if pc >= begin && pc < begin+jit.Addr(len(loop)) {
			return loop[pc-begin:], nil
		}
		return s.codeAt(pc)
	})
	var first timing.Cycle
	for n := range warmTrips + timedTrips {
		if n == warmTrips {
			first = m.Cycle()
		}
		for i, r := range trip {
			next := begin
			if i+1 < len(trip) {
				next = trip[i+1].RIP
			}
			if err := m.Step(r, next); err != nil {
				return 0, err
			}
		}
	}
	return float64(m.Cycle()-first) / timedTrips, nil
}

// codeAt reads the instruction at pc, and no page that is not there.
func (s *Session) codeAt(pc jit.Addr) ([]byte, error) {
	const page = 0x1000
	b := make([]byte, x86.MaxInstLen)
	if err := s.m.ReadMemory(pc, b); err == nil {
		return b, nil
	}
	b = b[:min(len(b), int(page-pc%page))]
	return b, s.m.ReadMemory(pc, b)
}
