// SPDX-License-Identifier: GPL-2.0-only

package runner_test

import (
	"fmt"
	"strings"
	"syscall"
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

// processorTime is what the process has used of it.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestScale takes five times as much, up to 10,000 programs and to 100,000 instructions. That takes 5 to 11 times as long, more than
// 5 where the decoded instructions outgrow their cache, and took 26 times when something was looked for among all
// programs for each. The YAML parser is left out: it copies the rest of a mapping for each key.
func TestScale(t *testing.T) {
	if testing.Short() {
		t.Skip("takes ten seconds")
	}
	for _, c := range []struct {
		name string
		text func(int) string
		size int
	}{{"programs", largeScenario, 2000}, {"instructions", longScenario, 20_000}} {
		var took [2]time.Duration
		for i, n := range []int{c.size, 5 * c.size} {
			sc, err := scenarios.Load("large.yaml", []byte(c.text(n)))
			if err != nil {
				t.Fatal(err)
			}
			before := processorTime(t)
			b, err := scenarios.Build(sc)
			if err != nil {
				t.Fatal(err)
			}
			if res := play(t, opened(t, compiled(t, b, target(t, "6.12")), runner.Options{})); !res.OK() {
				t.Fatalf("%d %s: %v", n, c.name, res.Mismatches())
			}
			if g := callgraph.New(b, target(t, "6.12")); len(g.Findings) != 0 {
				t.Fatalf("%d %s: %q", n, c.name, g.Findings)
			}
			took[i] = processorTime(t) - before
		}
		ratio := float64(took[1]) / float64(took[0])
		t.Logf("%s: %v and %v, %.1f times", c.name, took[0].Round(time.Millisecond), took[1].Round(time.Millisecond), ratio)
		if ratio > 16 {
			t.Errorf("%s take %.1f times as long for five times as much", c.name, ratio)
		}
	}
}
