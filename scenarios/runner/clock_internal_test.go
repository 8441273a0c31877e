// SPDX-License-Identifier: GPL-2.0-only

package runner

import (
	"context"
	"testing"
	"time"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/record"
	"github.com/tcsim/tcsim/emu/timing"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/files"
	"github.com/tcsim/tcsim/scenarios/measure"
)

// BenchmarkClock measures emulation and timing model together, compared with the bare engine and recording
// alone, on the same invocation of 33 tail calls and 34 subprograms.
func BenchmarkClock(b *testing.B) {
	name, src, err := files.Find("hierarchy")
	if err != nil {
		b.Fatal(err)
	}
	sc, err := scenarios.Load(name, src)
	if err != nil {
		b.Fatal(err)
	}
	built, err := scenarios.Build(sc)
	if err != nil {
		b.Fatal(err)
	}
	t, err := jit.TargetByName("6.12")
	if err != nil {
		b.Fatal(err)
	}
	c, err := Compile(built, t)
	if err != nil {
		b.Fatal(err)
	}
	s, err := Open(c, Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	core, err := timing.CoreNamed("")
	if err != nil {
		b.Fatal(err)
	}
	clk := measure.NewClock(core, s.m.Measured())
	var took [3]time.Duration
	var insns uint64
	for b.Loop() {
		for i, r := range []emu.Run{
			{Level: emu.LevelNone},
			{Level: emu.LevelRetired, Observer: discard{}},
			{Level: emu.LevelRetired, Observer: clockOnly{clk}},
		} {
			start := time.Now()
			for range 20 {
				if err := s.m.Reset(); err != nil {
					b.Fatal(err)
				}
				res, err := s.m.Run(context.Background(), r)
				if err != nil {
					b.Fatal(err)
				}
				insns += res.Retired
			}
			took[i] += time.Since(start)
		}
	}
	insns /= 2 // counted at the two levels that record
	if err := clk.Cycles(false, 0, 0).Err; err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(insns)/took[2].Seconds()/1e6, "Minsn/s")
	b.ReportMetric(took[0].Seconds()/took[2].Seconds(), "model/bare")
	b.ReportMetric(took[1].Seconds()/took[2].Seconds(), "model/recording")
}

// clockOnly feeds a clock and nothing else.
type clockOnly struct{ *measure.Clock }

func (c clockOnly) Retired(batch []record.Retired) bool {
	c.Clock.Retired(batch)
	return false
}

func (clockOnly) Sites([]record.Site) bool { return false }

// discard takes what is recorded and forgets it.
type discard struct{}

func (discard) Retired([]record.Retired) bool { return false }
func (discard) Sites([]record.Site) bool      { return false }
