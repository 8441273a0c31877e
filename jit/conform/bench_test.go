// SPDX-License-Identifier: GPL-2.0-only

package conform_test

import (
	"testing"

	"github.com/tcsim/tcsim/fixtures"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/conform"
	"github.com/tcsim/tcsim/jit/verify"
)

// BenchmarkConform reads, compiles and compares one capture.
func BenchmarkConform(b *testing.B) {
	const name = "kernels/6.12-lfence.jsonl.gz"
	insns := 0
	for b.Loop() {
		src, err := capture.OpenFS(fixtures.FS, name, name)
		if err != nil {
			b.Fatal(err)
		}
		r, err := conform.Compare(src, conform.Options{})
		if err != nil || !r.OK() {
			b.Fatal(r, err)
		}
		insns += r.Facts.Total
	}
	b.ReportMetric(float64(insns)/b.Elapsed().Seconds(), "facts/s")
}

// BenchmarkAnalyse analyses all programs of one capture.
func BenchmarkAnalyse(b *testing.B) {
	f, err := capture.LoadFS(fixtures.FS, "kernels/6.12-off.jsonl.gz")
	if err != nil {
		b.Fatal(err)
	}
	t, err := jit.TargetFor(f.Header.Kernel)
	if err != nil {
		b.Fatal(err)
	}
	var programs []*bpf.Program
	sym := f.Symbols.Table()
	for i := range f.Scenarios {
		for n := range f.Scenarios[i].Progs {
			if p, err := f.Scenarios[i].Xlated(n, &f.Header, sym); err == nil {
				programs = append(programs, p)
			}
		}
	}
	insns := 0
	for b.Loop() {
		for _, p := range programs {
			if _, err := verify.Analyse(p, &t.Kernel); err != nil {
				b.Fatal(err)
			}
			insns += len(p.Insns)
		}
	}
	b.ReportMetric(float64(insns)/b.Elapsed().Seconds(), "insns/s")
}
