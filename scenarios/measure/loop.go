// SPDX-License-Identifier: GPL-2.0-only

package measure

import (
	"encoding/binary"

	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/emu/record"
	"github.com/tcsim/tcsim/emu/timing"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// How often a stream goes through the core before its cycles count, and how often while they do.
const (
	warmTrips  = 24
	timedTrips = 16
)

// Invocation is a recorded run.
type Invocation struct {
	*Machine
	Stream []record.Retired // all that retired
	Entry  image.Addr       // where the program begins
}

// Loop returns the cycles that a core needs in the long run for one of many invocations in a row, and
// what they are due to.
func (r *Invocation) Loop(core *timing.Core) (float64, timing.Costs, error) {
	var why timing.Costs
	w, err := r.warm(core, r.Stream, r.Entry)
	if err != nil {
		return 0, why, err
	}
	n, err := w.mean()
	if err != nil {
		return 0, why, err
	}
	_, err = w.trip(func(_ int, st timing.Stamp) { why.Add(st) })
	return n, why, err
}

// warmed is a model that has seen an invocation often enough to know it.
type warmed struct {
	model *timing.Model
	begin image.Addr // the call of the loop around the invocation
	loop  []record.Retired
	at    []int // indexes in the stream of the call and the invocation's instructions
}

// warm runs a stream through a core until it is warm. The stream is an invocation that entry begins; a
// loop of call and jump at the outside caller surrounds it.
func (m *Machine) warm(core *timing.Core, stream []record.Retired, entry image.Addr) (*warmed, error) {
	const callSize = 5
	code := binary.LittleEndian.AppendUint32([]byte{0xe8}, uint32(entry-guest.OutsideReturn)) // call entry
	code = append(code, 0xeb, 0xf9)                                                           // jmp to the call
	stream, at := m.timed(stream)
	w := &warmed{begin: guest.OutsideReturn - callSize, at: append([]int{-1}, at...)}
	w.loop = append([]record.Retired{{RIP: w.begin, EA: guest.EntryRSP}}, stream...)
	w.loop = append(w.loop, record.Retired{RIP: guest.OutsideReturn})
	w.model = timing.New(core, func(pc x86.Addr) ([]byte, error) {
		if pc >= w.begin && pc < w.begin+image.Addr(len(code)) {
			return code[pc-w.begin:], nil
		}
		return m.timedCode(pc)
	})
	for range warmTrips {
		if _, err := w.trip(nil); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// mean returns the cycles of one trip, call and jump of the loop included.
func (w *warmed) mean() (float64, error) {
	total := timing.Cycle(0)
	for range timedTrips {
		n, err := w.trip(nil)
		if err != nil {
			return 0, err
		}
		total += n
	}
	return float64(total) / timedTrips, nil
}

// trip runs the loop once more, tells visit of each instruction (n is its index in the stream, -1 that
// of the call) and returns the cycles.
func (w *warmed) trip(visit func(n int, s timing.Stamp)) (timing.Cycle, error) {
	first := w.model.Cycle()
	for i, r := range w.loop {
		next := w.begin
		if i+1 < len(w.loop) {
			next = w.loop[i+1].RIP
		}
		if err := w.model.Step(r, next); err != nil {
			return 0, err
		}
		if visit != nil && i < len(w.at) {
			visit(w.at[i], w.model.Last())
		}
	}
	return w.model.Cycle() - first, nil
}
