// SPDX-License-Identifier: GPL-2.0-only

//go:build cgo

package source_test

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/source"
	"github.com/tcsim/tcsim/jit/source/ktree"
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
	programs, began := 0, cpuTime(b)
	for i := 0; b.Loop(); i++ {
		c, err := runner.Compile(built[i%len(built)], &theirs)
		if err != nil {
			b.Fatal(err)
		}
		programs += len(c.Images)
	}
	b.ReportMetric(float64(programs)/b.Elapsed().Seconds(), "programs/s")
	b.ReportMetric(float64(programs)/(cpuTime(b)-began).Seconds(), "programs/cpu-s")
}

// cpuTime is what this process has used of processors so far, which a busy machine does not change much.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkCached opens the source of 6.12, whose object is in the cache.
func BenchmarkCached(b *testing.B) {
	dir := strings.TrimSuffix(open(b, "6.12").Shown(ktree.JITFile), "/"+ktree.JITFile)
	cache := b.TempDir()
	once := func() {
		o := &source.Opener{Processor: processor, Cache: cache}
		t, err := o.Open(dir)
		if err != nil {
			b.Fatal(err)
		}
		if err := t.Emitter.(*source.JIT).Close(); err != nil {
			b.Fatal(err)
		}
	}
	once()
	began, n := cpuTime(b), 0
	for b.Loop() {
		once()
		n++
	}
	b.ReportMetric((cpuTime(b)-began).Seconds()*1000/float64(n), "cpu-ms/op")
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
