// SPDX-License-Identifier: GPL-2.0-only

//go:build cgo

package source_test

import (
	"testing"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/source"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/graph"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// BenchmarkPrograms compiles the programs of random graphs with the source of 6.12.
func BenchmarkPrograms(b *testing.B) {
	own, err := jit.TargetByName("6.12")
	if err != nil {
		b.Fatal(err)
	}
	theirs := *own
	theirs.Emitter = compile(b, open(b, "6.12"), own)
	var built []*scenarios.Built
	for i := range 200 {
		s, err := scenarios.Build(graph.Random(graph.NewChoices(1, uint64(i))).Scenario("graph"))
		if err != nil {
			b.Fatal(err)
		}
		built = append(built, s)
	}
	programs := 0
	for i := 0; b.Loop(); i++ {
		c, err := runner.Compile(built[i%len(built)], &theirs)
		if err != nil {
			b.Fatal(err)
		}
		programs += len(c.Images)
	}
	b.ReportMetric(float64(programs)/b.Elapsed().Seconds(), "programs/s")
}

// BenchmarkCold compiles the source of 6.12 and loads it, without a cache.
func BenchmarkCold(b *testing.B) {
	own, err := jit.TargetByName("6.12")
	if err != nil {
		b.Fatal(err)
	}
	tree := open(b, "6.12")
	for b.Loop() {
		j, err := source.New(b.Context(), tree, own, source.Options{Processor: processor})
		if err != nil {
			b.Fatal(err)
		}
		if err := j.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
