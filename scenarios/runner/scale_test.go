// SPDX-License-Identifier: GPL-2.0-only

package runner_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/callgraph"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// largeScenario is a scenario of so many programs, all in one prog array whose slots are in one line. The run takes 20 tail calls.
func largeScenario(programs int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "version: 1\nname: large\nmaps:\n  jt: {type: prog_array, max_entries: %d, slots: {", programs)
	for i := range programs {
		fmt.Fprintf(&b, "%d: p%d, ", i, i)
	}
	b.WriteString("}}\nprograms:\n  entry: [tail_call: 'jt[1]', return: 0]\n")
	for i := range programs {
		if i%20 == 0 || i == programs-1 {
			fmt.Fprintf(&b, "  p%d: [return: %d]\n", i, i)
		} else {
			fmt.Fprintf(&b, "  p%d: [tail_call: 'jt[%d]', return: %d]\n", i, i+1, i)
		}
	}
	b.WriteString("runs:\n  - {run: entry, expect: {return: 20, taken: 20}}\n")
	return b.String()
}

// longScenario is one program of so many instructions.
func longScenario(insns int) string {
	return "version: 1\nname: long\nprograms:\n  entry:\n    asm: |\n      r0 = 0\n" + strings.Repeat("      r0 += 3\n", insns-2) +
		fmt.Sprintf("      exit\nruns:\n  - {run: entry, expect: {return: %d}}\n", 3*(insns-2))
}

// scales are what grows, with the smaller of the two sizes.
var scales = []struct {
	name string
	text func(int) string
	size int
}{{"programs", largeScenario, 2000}, {"instructions", longScenario, 20_000}}

// playScale builds, compiles, runs and checks a scenario. The YAML parser is left out: it copies the rest of a mapping for each key.
func playScale(tb testing.TB, sc *scenarios.Scenario) {
	tb.Helper()
	b, err := scenarios.Build(sc)
	if err != nil {
		tb.Fatal(err)
	}
	if res := play(tb, opened(tb, compiled(tb, b, target(tb, "6.12")), runner.Options{})); !res.OK() {
		tb.Fatalf("%s: %v", sc.Name, res.Mismatches())
	}
	if g := callgraph.New(b, target(tb, "6.12")); len(g.Findings) != 0 {
		tb.Fatalf("%s: %q", sc.Name, g.Findings)
	}
}

// TestScale takes five times as much, up to 10,000 programs and to 100,000 instructions: that allocates five times as much, and what
// is looked for among all programs for each allocates more.
func TestScale(t *testing.T) {
	if testing.Short() {
		t.Skip("builds 12,000 programs and 120,000 instructions")
	}
	for _, c := range scales {
		var took [2]uint64
		for i, n := range []int{c.size, 5 * c.size} {
			sc, err := scenarios.Load("large.yaml", []byte(c.text(n)))
			if err != nil {
				t.Fatal(err)
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			playScale(t, sc)
			runtime.ReadMemStats(&after)
			took[i] = after.TotalAlloc - before.TotalAlloc
		}
		ratio := float64(took[1]) / float64(took[0])
		t.Logf("%s: %d and %d bytes allocated, %.2f times", c.name, took[0], took[1], ratio)
		if ratio > 5.5 {
			t.Errorf("%s: %.1f times the memory for five times as much", c.name, ratio)
		}
	}
}

// BenchmarkScale times the two sizes of TestScale: five times as much takes five times as long.
func BenchmarkScale(b *testing.B) {
	for _, c := range scales {
		b.Run(c.name, func(b *testing.B) {
			var scs [2]*scenarios.Scenario
			for i, n := range []int{c.size, 5 * c.size} {
				sc, err := scenarios.Load("large.yaml", []byte(c.text(n)))
				if err != nil {
					b.Fatal(err)
				}
				scs[i] = sc
			}
			var took [2]time.Duration
			for b.Loop() {
				for i, sc := range scs {
					start := time.Now()
					playScale(b, sc)
					took[i] += time.Since(start)
				}
			}
			b.ReportMetric(float64(took[1])/float64(took[0]), "times/5×")
		})
	}
}
