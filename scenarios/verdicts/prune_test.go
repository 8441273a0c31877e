// SPDX-License-Identifier: GPL-2.0-only

package verdicts_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/verdicts"
)

// join is n branches that nothing decides, each of which changes a number on which nothing depends.
func join(n int) string {
	out := "r6 = 0\n"
	for i := range n {
		out += fmt.Sprintf("call bpf_get_prandom_u32\nif r0 > 7 goto j%d\nr6 += %d\nj%d:\n", i, 1<<i, i)
	}
	return out + "r0 = r6\nexit"
}

// slots is n such branches that change a slot of the stack that is written again before it is read.
func slots(n int) string {
	out := "*(u64 *)(r10 - 8) = 0\n"
	for i := range n {
		out += fmt.Sprintf("call bpf_get_prandom_u32\nif r0 > 7 goto j%d\n*(u64 *)(r10 - 8) = r10\nj%d:\n", i, i)
	}
	return out + "*(u64 *)(r10 - 8) = 0\nr0 = *(u64 *)(r10 - 8)\nexit"
}

// decided is n such branches after which the number is compared: all of its values matter.
func decided(n int) string {
	return strings.Replace(join(n), "r0 = r6\nexit", "r0 = 0\nif r6 == 99999 goto out\nr0 = 1\nout:\nexit", 1)
}

// TestPruning: states are compared as kernels do it, by what matters later.
func TestPruning(t *testing.T) {
	for _, c := range []struct {
		name, text string
		max        int // instructions that may be followed
		refused    string
	}{
		// Sixteen undecided branches that change only what nothing depends on: two to the sixteenth paths
		// if each number counted.
		{"numbers that nothing depends on", join(16), 400, ""},
		// Each sets a stack slot that is not read.
		{"slots that are not read", slots(16), 600, ""},
		// The same with a decision: nearly every value of the number is followed.
		{"a number that decides", decided(8), 4000, ""},
		{"a counter decides", "r6 = 0\nl:\nr6 += 1\nif r6 != 1000 goto l\nr0 = 0\nexit", 4000, ""},
		{"a loop without end", "r6 = 1\nl:\nif r6 == 1 goto l\nr0 = 0\nexit", 100, "infinite loop"},
		{"too many rounds", "r6 = 0\nl:\nr6 += 1\nif r6 != 1000000 goto l\nr0 = 0\nexit", 1000000, "too complex"},
	} {
		t.Run(c.name, func(t *testing.T) {
			target, err := jit.TargetByName("6.12")
			if err != nil {
				t.Fatal(err)
			}
			r := one(t, built(t, c.text), target)
			if (c.refused == "") != (r.Verdict == verdicts.Accepted) || !strings.Contains(r.Reason, c.refused) {
				t.Fatalf("%s: %s, want %q", r.Verdict, r.Reason, c.refused)
			}
			if r.Insns > c.max {
				t.Errorf("followed %d instructions, want at most %d", r.Insns, c.max)
			}
		})
	}
}

// TestStatesAreSmall: states that stay, and paths that wait, share what they have in common. Of this program there are three for
// each that is counted, with 2,765 bytes in all, where copies of all registers alone would be 4,368.
func TestStatesAreSmall(t *testing.T) {
	target, err := jit.TargetByName("6.12")
	if err != nil {
		t.Fatal(err)
	}
	text := "r6 = 0\n"
	for i := range 3000 {
		text += fmt.Sprintf("call bpf_get_prandom_u32\nif r0 > %d goto out\nr6 += r0\nr7 = r6\n", i)
	}
	b := built(t, text+"out:\nr0 = 0\nexit")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r := one(t, b, target)
	runtime.ReadMemStats(&after)
	if r.PeakStates != 1500 {
		t.Fatalf("%d states at a time, want 1500", r.PeakStates)
	}
	if each := (after.TotalAlloc - before.TotalAlloc) / uint64(r.PeakStates); each > 3500 {
		t.Errorf("%d bytes for each of %d states", each, r.PeakStates)
	}
}

func built(t testing.TB, text string) *scenarios.Built {
	t.Helper()
	sc, err := scenarios.Load("t.yaml", []byte("version: 1\nname: t\nprograms:\n  main: |\n    "+strings.ReplaceAll(text, "\n", "\n    ")+"\nruns:\n  - run: main\n"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := scenarios.Build(sc)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func one(t testing.TB, b *scenarios.Built, target *jit.Target) verdicts.Row {
	t.Helper()
	rows, err := verdicts.Built(t.Context(), b, target, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	return rows[0]
}

// wide is n branches that nothing decides over a stack of which every slot is read again, and holds what they changed.
func wide(n int) string {
	out := ""
	for i := range 40 {
		out += fmt.Sprintf("*(u64 *)(r10 - %d) = %d\n", 8*(i+1), i)
	}
	for i := range n {
		out += fmt.Sprintf("call bpf_get_prandom_u32\nif r0 > 7 goto j%d\n*(u64 *)(r10 - %d) = r0\nj%d:\n", i, 8*(i%40+1), i)
	}
	for i := range 40 {
		out += fmt.Sprintf("r1 = *(u64 *)(r10 - %d)\nif r1 > 50 goto out\n", 8*(i+1))
	}
	return out + "out:\nr0 = 0\nexit"
}

// BenchmarkVerify measures how many instructions the analysis follows in a second: of a number that decides, and of many
// checkpoints that differ in their stacks.
func BenchmarkVerify(b *testing.B) {
	for _, c := range []struct{ name, text string }{{"number", decided(12)}, {"stacks", wide(20)}} {
		b.Run(c.name, func(b *testing.B) {
			target, err := jit.TargetByName("6.18")
			if err != nil {
				b.Fatal(err)
			}
			program := built(b, c.text)
			n := 0
			for b.Loop() {
				n += one(b, program, target).Insns
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "insns/s")
		})
	}
}
