// SPDX-License-Identifier: GPL-2.0-only

package timing_test

import (
	"testing"

	"github.com/tcsim/tcsim/emu/record"
	"github.com/tcsim/tcsim/emu/timing"
	"github.com/tcsim/tcsim/emu/timing/timingtest"
	"github.com/tcsim/tcsim/fixtures/flood"
	"github.com/tcsim/tcsim/jit/x86"
)

// FuzzModel runs arbitrary code and records: the model must neither panic nor run backwards.
func FuzzModel(f *testing.F) {
	f.Add([]byte{0x48, 0x01, 0xd8, 0x55, 0xc3, 0xe8, 0, 0, 0, 0, 0xff, 0xe0, 0x75, 0x02}, []byte{0, 3, 4, 5, 10, 12, 12})
	f.Add([]byte{0x83, 0x00, 0x01, 0xc9, 0xf0, 0x48, 0x01, 0x07, 0x0f, 0xae, 0xe8, 0xf3, 0x90, 0x48, 0xf7, 0xf3}, []byte{0, 3, 4, 8, 11, 13})
	f.Fuzz(flood.Two(func(t *testing.T, code, path []byte) {
		m := timing.New(timingtest.Core(t, ""), text(0x1000, code...))
		var last timing.Cycle
		for n := range path {
			next := x86.Addr(0)
			if n+1 < len(path) {
				next = 0x1000 + x86.Addr(path[n+1])
			}
			// The engine never retires half of a pair without the other half, but a stream may be cut.
			if err := m.Step(record.Retired{RIP: 0x1000 + x86.Addr(path[n]), EA: x86.Addr(n) * 4}, next); err != nil {
				return
			}
			if m.Cycle() < last {
				t.Fatalf("cycle %d after %d", m.Cycle(), last)
			}
			last = m.Cycle()
		}
	}))
}
