// SPDX-License-Identifier: GPL-2.0-only

package runner_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/big"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/tcsim/tcsim/emu/count"
	"github.com/tcsim/tcsim/scenarios/files"
	"github.com/tcsim/tcsim/scenarios/measure"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// hierarchySource is a program that counts itself and calls a subprogram n times, which tail calls the
// program.
func hierarchySource(n int) string {
	return `version: 1
name: hierarchy_n
maps:
  jmp_table: {type: prog_array, slots: {0: entry}}
  count: {type: array, value_size: 8}
programs:
  entry:
    steps: [count: count` + strings.Repeat(", call: sub", n) + `, return: 1]
    functions:
      sub: [tail_call: jmp_table, return: 0]
runs:
  - run: entry
    packet: 128
`
}

// openSource opens a scenario; the test closes it.
func openSource(t testing.TB, src, on string, limit uint32) *runner.Session {
	t.Helper()
	l := *target(t, on)
	l.Limit = limit
	c, err := runner.Compile(buildText(t, "test.yaml", []byte(src)), &l)
	if err != nil {
		t.Fatal(err)
	}
	s, err := runner.Open(c, runner.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// geometric is n + n^2 + ... + n^l.
func geometric(n, l int64) *big.Int {
	sum, p := new(big.Int), big.NewInt(1)
	for range l {
		p.Mul(p, big.NewInt(n))
		sum.Add(sum, p)
	}
	return sum
}

func TestCountHierarchy(t *testing.T) {
	for _, c := range []struct{ n, limit int }{
		{1, 33}, {2, 1}, {2, 33}, {3, 33}, {7, 12}, {2, 120}, {16, 33}, {16, 120},
	} {
		t.Run(fmt.Sprintf("%d calls, limit %d", c.n, c.limit), func(t *testing.T) {
			s := openSource(t, hierarchySource(c.n), "6.1", uint32(c.limit))
			defer s.Close()
			got, err := s.Count(context.Background(), 1, measure.CountOptions{})
			if err != nil {
				t.Fatal(err)
			}
			want := geometric(int64(c.n), int64(c.limit))
			if got.TailCalls.Cmp(want) != 0 {
				t.Errorf("%v tail calls, want %v", got.TailCalls, want)
			}
			starts := want.Add(want, big.NewInt(1))
			calls := new(big.Int).Mul(starts, big.NewInt(int64(c.n)))
			if got.Calls.Cmp(calls) != 0 {
				t.Errorf("%v calls, want %v", got.Calls, calls)
			}
			if got.Starts[0].N.Cmp(starts) != 0 || got.Starts[1].N.Cmp(calls) != 0 {
				t.Errorf("starts %v, want %v and %v", got.Starts, starts, calls)
			}
			if c.n > 1 && got.Summaries > c.limit+1 {
				t.Errorf("%d summaries, want at most one per value of the counter", got.Summaries)
			}
			value := got.Values[0].Value
			low := new(big.Int).And(starts, new(big.Int).SetUint64(1<<64-1))
			if n := binary.LittleEndian.Uint64(value); n != low.Uint64() {
				t.Errorf("the map's counter is %d, want %v modulo 2^64", n, low)
			}
		})
	}
}

// TestCountHierarchyFast holds the count of the library's scenario to its time and memory.
// TestCountTraced counts through trampolines: what the guard against recursion counts, and what it leaves,
// repeats. An exit trampoline returns to the caller of the function that it was called in.
func TestCountTraced(t *testing.T) {
	want := geometric(2, 33)
	calls := new(big.Int).Add(want, big.NewInt(1))
	calls.Mul(calls, big.NewInt(2))
	for name, tracer := range map[string]string{"tramp_hierarchy_fentry": "fentry", "tramp_hierarchy_fexit": "fexit"} {
		_, src, err := files.Find(name)
		if err != nil {
			t.Fatal(err)
		}
		s := openSource(t, string(src), "6.1", 33)
		got, err := s.Count(context.Background(), 1, measure.CountOptions{MaxSteps: 20_000})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		n := map[string]*big.Int{}
		for _, x := range got.Starts {
			n[x.Function] = x.N
		}
		if got.TailCalls.Cmp(want) != 0 || n["entry:sub"].Cmp(calls) != 0 || n[tracer].Cmp(calls) != 0 {
			t.Errorf("%s: %v tail calls, want %v; starts %v, want %v of the subprogram and of %s", name, got.TailCalls, want, n, calls, tracer)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestCountHierarchyFast counts 2^34 tail calls by executing a few thousand instructions of about 10^11.
func TestCountHierarchyFast(t *testing.T) {
	s := openSource(t, hierarchySource(2), "6.1", 33)
	defer s.Close()
	got, err := s.Count(context.Background(), 1, measure.CountOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got.TailCalls.String() != "17179869182" {
		t.Fatalf("%v tail calls", got.TailCalls)
	}
	if t.Logf("%d instructions executed in %v, %d summaries", got.Steps, got.Time, got.Summaries); got.Steps > 5000 {
		t.Errorf("counting executed %d instructions", got.Steps)
	}
}

func TestCountMemory(t *testing.T) {
	s := openSource(t, hierarchySource(16), "6.1", 120)
	defer s.Close()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	got, err := s.Count(context.Background(), 1, measure.CountOptions{})
	if err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if got.PeakBytes == 0 || got.PeakBytes > 64<<20 {
		t.Errorf("%d bytes at the peak", got.PeakBytes)
	}
	t.Logf("%d bytes of summaries, %d at the peak, %d allocated in all", got.Bytes, got.PeakBytes, after.TotalAlloc-before.TotalAlloc)
}

func TestCountBounds(t *testing.T) {
	for _, o := range []measure.CountOptions{{MaxSummaries: 3}, {MaxSteps: 100}, {MaxBytes: 1000}} {
		s := openSource(t, hierarchySource(2), "6.1", 33)
		if _, err := s.Count(context.Background(), 1, o); !errors.Is(err, count.ErrUndecided) {
			t.Errorf("%+v: error %v, want undecided", o, err)
		}
		s.Close()
	}
}

// TestCountEndless takes a design that loses the count whenever a call returns.
func TestCountEndless(t *testing.T) {
	_, src, err := files.Find("bug_returned_count")
	if err != nil {
		t.Fatal(err)
	}
	s := openSource(t, string(src), "backprop-check", 33)
	defer s.Close()
	got, err := s.Count(context.Background(), 1, measure.CountOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got.Endless == nil || got.OK() {
		t.Fatalf("not found to be endless: %+v", got)
	}
	e := got.Endless
	if e.Tails.Sign() <= 0 || e.Insns.Cmp(e.Tails) <= 0 || e.Function != "entry" {
		t.Errorf("a round of %v instructions and %v tail calls in %s", e.Insns, e.Tails, e.Function)
	}
	if events := strings.Join(e.Events, ", "); !strings.Contains(events, "tail call to entry") {
		t.Errorf("events of the round: %s", events)
	}
	if state := strings.Join(e.State, ", "); !strings.Contains(state, "rax = ") || !strings.Contains(state, "rsp = ") {
		t.Errorf("state: %s", state)
	}
}

// TestCountSample compares the cycles of a run of which the model sees the beginning with those of all of it.
func TestCountSample(t *testing.T) {
	s := openSource(t, hierarchySource(2), "6.1", 14)
	defer s.Close()
	var cycles [2]*measure.CountTiming
	for i, sample := range []uint64{0, 10_000_000} {
		got, err := s.Count(context.Background(), 1, measure.CountOptions{Sample: sample})
		if err != nil || got.Timing == nil {
			t.Fatal(err, got)
		}
		cycles[i] = got.Timing
		t.Logf("%d of %v instructions, %v cycles", got.Timing.Sampled, got.Insns, got.Timing.Cycles)
	}
	if cycles[0].Whole || !cycles[1].Whole {
		t.Errorf("the whole run was seen: %v, %v", cycles[0].Whole, cycles[1].Whole)
	}
	if off := cycles[0].Seconds(1)/cycles[1].Seconds(1) - 1; math.Abs(off) > 0.02 {
		t.Errorf("the beginning says %+.3f", off)
	}
}

// BenchmarkCountHierarchy counts the library's hierarchy on 6.1 and reports what one executed
// instruction costs.
func BenchmarkCountHierarchy(b *testing.B) {
	s := openSource(b, hierarchySource(2), "6.1", 33)
	defer s.Close()
	var counting time.Duration
	steps := uint64(0)
	for b.Loop() {
		got, err := s.Count(context.Background(), 1, measure.CountOptions{Sample: 1})
		if err != nil {
			b.Fatal(err)
		}
		counting += got.Time
		steps += got.Steps
	}
	b.ReportMetric(float64(counting.Microseconds())/float64(b.N), "µs/count")
	b.ReportMetric(float64(counting.Nanoseconds())/float64(steps), "ns/step")
}
