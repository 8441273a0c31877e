// SPDX-License-Identifier: GPL-2.0-only

package jit_test

import (
	"strings"
	"testing"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/verify"
)

// BenchmarkCompile compiles the random programs and the tail-call programs of a capture, which are
// of realistic size, and reports BPF instructions per second of both kinds of target.
func BenchmarkCompile(b *testing.B) {
	for _, name := range []string{"6.1-off", "6.12-off"} {
		b.Run(name, func(b *testing.B) {
			tgt, err := jit.TargetByName(captureTargets[name])
			must(b, err)
			c := readCapture(b, name)
			type input struct {
				v   *verify.Verified
				env captured
			}
			var inputs []input
			insns := 0
			for e := range compiled(c) {
				if !strings.HasPrefix(e.Scenario.Name, "rand/") && !strings.HasPrefix(e.Scenario.Name, "tail/") {
					continue
				}
				v := e.Verified()
				inputs = append(inputs, input{v, e})
				insns += len(v.Insns)
			}
			b.ReportAllocs()
			done := 0
			for b.Loop() {
				for _, in := range inputs {
					if _, err := jit.Compile(in.v, tgt, in.env); err != nil {
						b.Fatal(err)
					}
				}
				done += insns
			}
			b.ReportMetric(float64(done)/b.Elapsed().Seconds(), "insns/s")
			b.ReportMetric(0, "ns/op")
			b.Logf("%d programs, %d instructions", len(inputs), insns)
		})
	}
}
