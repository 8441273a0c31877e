// SPDX-License-Identifier: GPL-2.0-only

package bare

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/record"
	"github.com/tcsim/tcsim/emu/timing/measured"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/scenarios/measure"
)

// verify executes a sequence in a machine: each trip must retire what the run did, also when what it counts
// in memory has been counted for long.
func (r *run) verify(ctx context.Context, m *emu.Machine, q *measured.Sequence) error {
	var after [4][]byte // memory after as many trips, from 1
	for n := 1; n < len(after); n++ {
		some := *q
		some.Trips = n
		if err := r.same(ctx, m, &some); err != nil {
			return err
		}
		data, stack := make([]byte, q.Data.Size), make([]byte, q.Stack.Size)
		if err := m.ReadMemory(q.Data.Addr, data); err != nil {
			return err
		}
		if err := m.ReadMemory(q.Stack.Addr, stack); err != nil {
			return err
		}
		after[n] = append(data, stack...)
	}
	if err := r.same(ctx, m, q); err != nil {
		return err
	}
	if bytes.Equal(after[2], after[3]) {
		return nil
	}
	late := *q
	late.Mem = nil
	for off := 0; off < len(after[3]); off += 8 {
		word := func(n int) uint64 { return binary.LittleEndian.Uint64(after[n][off:]) }
		if word(3)-word(2) != word(2)-word(1) {
			return needs("what it leaves in memory is another thing after each run")
		}
		at := q.Data.Addr + image.Addr(off)
		if off >= q.Data.Size {
			at = q.Stack.Addr + image.Addr(off-q.Data.Size)
		}
		if v := word(3) + manyTrips*(word(3)-word(2)); v != 0 {
			late.Mem = append(late.Mem, measured.MemWord{Addr: at, Value: v})
		}
	}
	return r.same(ctx, m, &late)
}

// manyTrips is more than a process measures.
const manyTrips = 1_000_000

// same executes a sequence and compares every trip with the run.
func (r *run) same(ctx context.Context, m *emu.Machine, q *measured.Sequence) error {
	stream, err := measure.Stream(ctx, m, q)
	if err != nil {
		return needs("moved, it does not run: %w", err)
	}
	size := len(r.stream) + callerInsns
	if len(stream) != q.RecordTrips()*size+1 { // the sequence returns
		return needs("it does not repeat itself: %d trips have %d instructions, the first run %d", q.RecordTrips(), len(stream), len(r.stream))
	}
	for trip := range q.RecordTrips() {
		at := stream[trip*size+callerInsns/2:]
		for n, was := range r.stream {
			if want := r.movedRecord(was); at[n] != want {
				return needs("it does not repeat itself: %s", differs(trip, n, at[n], want))
			}
		}
	}
	return nil
}

// movedRecord is what an instruction of the run retires after the move.
func (r *run) movedRecord(was record.Retired) record.Retired {
	rip, _ := r.code.at(was.RIP)
	out := record.Retired{RIP: rip, EA: was.EA}
	if accesses(r.insns[was.RIP]) {
		out.EA = image.Addr(r.all.moved(uint64(was.EA)))
	}
	return out
}

func differs(trip, n int, got, want record.Retired) string {
	if got.RIP != want.RIP {
		return fmt.Sprintf("instruction %d of trip %d is that at %#x, not at %#x", n+1, trip+1, uint64(got.RIP), uint64(want.RIP))
	}
	return fmt.Sprintf("instruction %d of trip %d accesses %#x, not %#x", n+1, trip+1, uint64(got.EA), uint64(want.EA))
}
