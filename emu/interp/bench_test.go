// SPDX-License-Identifier: GPL-2.0-only

package interp_test

import (
	"testing"

	"github.com/tcsim/tcsim/emu/interp"
	"github.com/tcsim/tcsim/jit/bpf"
)

// BenchmarkInsns reports executed instructions per second: arithmetic, a loop of loads and stores
// to stack and map, and tail calls through subprograms.
func BenchmarkInsns(b *testing.B) {
	for _, bb := range []struct {
		name string
		prog interp.Program
	}{
		{"alu", prog("alu", movK(0, 0), movK(1, 100_000),
			addX(0, 1), insn(0xaf, 0, 1, 0, 0), insn(0x67, 0, 0, 0, 1), insn(0x04, 0, 0, 0, 7), addK(1, -1), jneK(1, 0, -6), exit())},
		{"memory", prog("memory", movK(0, 0), movK(1, 100_000), ldVal(6, 0, 8), stDW(10, -8, 1),
			ldxDW(2, 10, -8), addK(2, 3), stxDW(10, -8, 2), ldxDW(3, 6, 0), stxDW(6, 0, 3), addK(1, -1), jneK(1, 0, -7), exit())},
		{"tail", hierarchy(2)},
	} {
		b.Run(bb.name, func(b *testing.B) {
			m, err := interp.New(interp.Config{
				Maps: testMaps, Programs: []interp.Program{bb.prog}, ProgArrays: []interp.Slot{{Map: 1, Key: 0, Prog: 0}},
			})
			if err != nil {
				b.Fatal(err)
			}
			ctx, insns := interp.ForType(bpf.SchedCLS, testPacket()), uint64(0)
			for b.Loop() {
				res, err := m.Run(0, ctx)
				if err != nil {
					b.Fatal(err)
				}
				insns += res.Insns
			}
			b.ReportMetric(float64(insns)/b.Elapsed().Seconds()/1e6, "Minsns/s")
		})
	}
}
