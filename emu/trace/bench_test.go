// SPDX-License-Identifier: GPL-2.0-only

package trace_test

import (
	"testing"

	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/emu/trace/tracetest"
)

// BenchmarkRecorder measures what following a run costs on top of the machine, per recording level.
func BenchmarkRecorder(b *testing.B) {
	for _, retired := range []bool{true, false} {
		name, marks := "sites", trace.Marks(0)
		if retired {
			name, marks = "retired", full
		}
		b.Run(name, func(b *testing.B) {
			c, m, err := (tracetest.Graph{Design: tracetest.Hier, Calls: 2}).Record(options(marks), 1<<20, nil)
			if err != nil {
				b.Fatal(err)
			}
			r := trace.NewRecorder(c, trace.Config{})
			batch := m.Batch(retired)
			n := 0
			b.ReportAllocs()
			for b.Loop() {
				r.Reset()
				r.Consume(batch)
				r.Finish()
				n++
			}
			b.ReportMetric(float64(n)*float64(len(m.Retired))/b.Elapsed().Seconds(), "insns/s")
			b.ReportMetric(float64(n)*float64(len(m.Sites))/b.Elapsed().Seconds(), "sites/s")
		})
	}
}

// Following a run allocates nothing once the list of events has grown.
func TestNoAllocation(t *testing.T) {
	c, m, err := (tracetest.Graph{Design: tracetest.Hier, Calls: 2}).Record(options(full), 1<<20, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := trace.NewRecorder(c, trace.Config{})
	batch := m.Batch(true)
	r.Consume(batch)
	n := testing.AllocsPerRun(10, func() {
		r.Reset()
		r.Consume(batch)
	})
	if n != 0 {
		t.Errorf("%v allocations per run", n)
	}
}
