// SPDX-License-Identifier: GPL-2.0-only

//go:build cgo

package debug_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tcsim/tcsim/emu/gdb"
	"github.com/tcsim/tcsim/emu/timing"
	_ "github.com/tcsim/tcsim/fixtures/golden" // for go test ./... -update
	"github.com/tcsim/tcsim/scenarios/debug"
	"github.com/tcsim/tcsim/scenarios/runner"
	"github.com/tcsim/tcsim/scenarios/runner/runnertest"
)

// opened returns a session of a run of a built-in scenario.
func opened(t testing.TB, name, target string, run int) *debug.Session {
	t.Helper()
	core, err := timing.CoreNamed("")
	if err != nil {
		t.Fatal(err)
	}
	s := runnertest.Opened(t, runnertest.Compiled(t, runnertest.Build(t, name), runnertest.Target(t, target)), runner.Options{Core: core})
	w, err := s.Walk(t.Context(), run)
	if err != nil {
		t.Fatal(err)
	}
	d, err := debug.New(w)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// resume moves and returns the stop.
func resume(t testing.TB, d *debug.Session, r gdb.Resume) gdb.Stop {
	t.Helper()
	stop, err := d.Resume(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	return stop
}

// monitor returns what a command says.
func monitor(t testing.TB, d *debug.Session, command string) string {
	t.Helper()
	var b bytes.Buffer
	if err := d.Monitor(context.Background(), command, &b); err != nil {
		return "error: " + err.Error()
	}
	return b.String()
}

// state is everything that a debugger can see at a place.
func state(d *debug.Session) string {
	var b strings.Builder
	for _, n := range strings.Fields("rax rbx rcx rdx rsi rdi rbp rsp r8 r9 r10 r11 r12 r13 r14 r15 rip eflags gs_base " +
		"tail_call_cnt tail_call_cnt_at bpf_pc cycles retired events") {
		v, ok := d.Value(n)
		fmt.Fprintf(&b, "%s %#x %v\n", n, v, ok)
	}
	rsp, _ := d.Value("rsp")
	stack := make([]byte, 2048)
	fmt.Fprintf(&b, "%x\n", stack[:d.ReadMemory(rsp, stack)])
	return b.String()
}

// runs are scenarios of every kind: with and without violations, interrupted, through trampolines, with helpers,
// exceptions, updates before and private stacks.
var runs = []struct {
	name, target string
	run          int
}{
	{"hierarchy", "6.12", 1}, {"hierarchy", "5.10", 1}, {"hierarchy", "7.2", 1}, {"nested_exhausts", "6.12", 1},
	{"nested_resets", "6.12", 1}, {"tramp_hierarchy_both", "6.12", 1}, {"exc_throw", "6.12", 1}, {"helper_before_call", "6.12", 1},
	{"poke_one_site", "6.12", 3}, {"bug_stale_pointer", "6.12", 1},
}

// history steps through a run and returns the state at each place. A run that goes on after its violation is left
// some way after it.
func history(t *testing.T, d *debug.Session) (states []string, rips []uint64) {
	t.Helper()
	const after = 400
	for broken := 0; broken < after; {
		if d.At() != uint64(len(states)) {
			t.Fatalf("at %d, expected %d", d.At(), len(states))
		}
		states, rips = append(states, state(d)), append(rips, uint64(d.RIP()))
		stop := resume(t, d, gdb.Resume{Step: true})
		if stop.Reason == gdb.Ended {
			return states, rips
		}
		if stop.Reason == gdb.Signaled || broken > 0 {
			broken++
		}
	}
	resume(t, d, gdb.Resume{Step: true, Back: true})
	return states, rips
}

// TestPlaces goes through runs forward, then to places in no order, in every way that there is: what can be seen must be as it
// was. Where breakpoints stop is compared with the list of all instructions.
func TestPlaces(t *testing.T) {
	for _, r := range runs {
		t.Run(r.name+" "+r.target, func(t *testing.T) {
			d := opened(t, r.name, r.target, r.run)
			states, rips := history(t, d)
			rng := rand.New(rand.NewPCG(1, 2))
			at := len(states) - 1
			for range 60 {
				back := rng.IntN(2) == 0
				want := at
				move := gdb.Resume{Back: back}
				if rng.IntN(3) == 0 {
					move.Step = true
					want = max(0, min(len(states)-1, at+map[bool]int{true: -1, false: 1}[back]))
				} else {
					set := map[uint64]bool{}
					for range 1 + rng.IntN(3) {
						a := rips[rng.IntN(len(rips))]
						if !set[a] {
							set[a] = true
							move.Breaks = append(move.Breaks, a)
						}
					}
					want = next(rips, at, back, set)
					if want < 0 {
						continue // ends, or breaks, somewhere else
					}
				}
				stop := resume(t, d, move)
				if d.At() != uint64(want) && stop.Reason == gdb.Signaled && !back {
					at = int(d.At()) // the violation came first
					want = at
				}
				if got := state(d); d.At() != uint64(want) || got != states[want] {
					t.Fatalf("from %d by %+v: at %d, want %d (%v)\n%s\nwant\n%s", at, move, d.At(), want, stop, got, states[want])
				}
				at = want
			}
		})
	}
}

// TestRange steps through ranges, and expects the stops of single steps that leave them.
func TestRange(t *testing.T) {
	d := opened(t, "hierarchy", "6.12", 1)
	states, rips := history(t, d)
	resume(t, d, gdb.Resume{Back: true})
	rng := rand.New(rand.NewPCG(3, 4))
	for at := 0; at < len(states)-200; {
		from := rips[at] - uint64(rng.IntN(8))
		r := gdb.Resume{Step: true, From: from, End: from + uint64(rng.IntN(60))}
		if rng.IntN(4) == 0 {
			r.Breaks = []uint64{rips[at+1+rng.IntN(3)]}
		}
		want := at + 1
		for rips[want] >= r.From && rips[want] < r.End && !slices.Contains(r.Breaks, rips[want]) {
			want++
		}
		stop := resume(t, d, r)
		if broke := len(r.Breaks) > 0 && rips[want] == r.Breaks[0] && rips[want] >= r.From && rips[want] < r.End; d.At() != uint64(want) || (stop.Reason == gdb.AtBreak) != broke {
			t.Fatalf("from %d by %+v: at %d, want %d: %+v", at, r, d.At(), want, stop)
		}
		if state(d) != states[want] {
			t.Fatalf("at %d: not as it was", want)
		}
		at = want
	}
}

// next is where execution comes to one of these addresses next; -1 if it does not.
func next(rips []uint64, at int, back bool, set map[uint64]bool) int {
	for i := at; ; {
		if back {
			i--
		} else {
			i++
		}
		if i < 0 && back {
			return 0 // stops at the beginning
		}
		if i >= len(rips)-1 {
			return -1
		}
		if set[rips[i]] {
			return i
		}
	}
}

// TestWatch has every write to the counter of the hierarchy stop, forward and backward, and compares with its value at each
// place.
func TestWatch(t *testing.T) {
	d := opened(t, "hierarchy", "6.12", 1)
	const slot = 0xffffc90000203fc0
	value := func() byte {
		var b [1]byte
		if d.ReadMemory(slot, b[:]) != 1 {
			t.Fatal("no counter")
		}
		return b[0]
	}
	move := gdb.Resume{Watches: []gdb.Watch{{Addr: slot, Len: 4, Kind: gdb.AccessWrite}}}
	var places []uint64
	for want := byte(0); ; want++ {
		stop := resume(t, d, move)
		if stop.Reason == gdb.Ended {
			break
		}
		if stop.Reason != gdb.AtWatch || stop.Watch != move.Watches[0] || value() != want {
			t.Fatalf("write %d: %+v, value %d", want, stop, value())
		}
		places = append(places, d.At())
	}
	if len(places) != 34 {
		t.Fatalf("%d writes, want one of 0 and 33 more", len(places))
	}
	move.Back = true
	for n := len(places) - 1; n >= 0; n-- {
		stop := resume(t, d, move)
		if stop.Reason != gdb.AtWatch || d.At() != places[n]-1 || n > 0 && value() != byte(n-1) {
			t.Fatalf("back to write %d: %+v at %d, want %d; value %d", n, stop, d.At(), places[n]-1, value())
		}
	}
	if stop := resume(t, d, move); stop.Reason != gdb.Began || d.At() != 0 {
		t.Errorf("before the first write: %+v at %d", stop, d.At())
	}
	// The counter is read too: by each comparison with the limit.
	reads := func(kind gdb.Access) (n int) {
		resume(t, d, gdb.Resume{Back: true})
		for resume(t, d, gdb.Resume{Watches: []gdb.Watch{{Addr: slot, Len: 8, Kind: kind}}}).Reason == gdb.AtWatch {
			n++
		}
		return n
	}
	w, rd, any := reads(gdb.AccessWrite), reads(gdb.AccessRead), reads(gdb.AccessAny)
	if w != 34 || rd < 33+35 || any < rd || any > rd+w {
		t.Errorf("%d writes, %d reads, %d accesses", w, rd, any)
	}
}

// fills is a scenario in which a helper writes a map value, without an instruction: 5, 5 again and 6.
const fills = `
version: 1
name: fills
maps:
  value: {type: array}
programs:
  entry: |
    r1 = 0
    *(u32 *)(r10 - 4) = r1
    r6 = 5
    call store
    call store
    r6 = 6
    call store
    r0 = 0
    exit
runs:
  - run: entry
`

// stores is what takes the place of each "call store" in fills.
const stores = `*(u32 *)(r10 - 8) = r6
    r1 = map[value] ll
    r2 = r10
    r2 += -4
    r3 = r10
    r3 += -8
    r4 = 0
    call bpf_map_update_elem`

// TestWatchHelper watches what a helper writes: each change stops, forward after it and backward before it.
func TestWatchHelper(t *testing.T) {
	text := strings.ReplaceAll(fills, "call store", stores)
	b := runnertest.BuildText(t, "fills.yaml", []byte(text))
	s := runnertest.Opened(t, runnertest.Compiled(t, b, runnertest.Target(t, "6.12")), runner.Options{})
	w, err := s.Walk(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	d, err := debug.New(w)
	if err != nil {
		t.Fatal(err)
	}
	at := w.Machine().MapMemory(0)[0].Addr
	value := func() byte {
		var b [1]byte
		if d.ReadMemory(uint64(at), b[:]) != 1 {
			t.Fatal("no value")
		}
		return b[0]
	}
	move := gdb.Resume{Watches: []gdb.Watch{{Addr: uint64(at), Len: 4}}}
	var places []uint64
	for _, want := range []byte{5, 6} {
		if stop := resume(t, d, move); stop.Reason != gdb.AtWatch || value() != want {
			t.Fatalf("%+v, value %d, want %d", stop, value(), want)
		}
		places = append(places, d.At())
	}
	if stop := resume(t, d, move); stop.Reason != gdb.Ended {
		t.Fatalf("the end: %+v", stop)
	}
	move.Back = true
	for n, want := range []byte{5, 0} {
		if stop := resume(t, d, move); stop.Reason != gdb.AtWatch || value() != want || d.At() != places[1-n]-1 {
			t.Fatalf("back: %+v, value %d, want %d; at %d, want %d", stop, value(), want, d.At(), places[1-n]-1)
		}
	}
	if stop := resume(t, d, move); stop.Reason != gdb.Began {
		t.Errorf("the beginning: %+v", stop)
	}
}

// TestEnds looks at the ends of runs: one that returns, one that breaks an invariant and could go on, and a budget.
func TestEnds(t *testing.T) {
	d := opened(t, "hierarchy", "6.12", 1)
	for range 2 {
		if stop := resume(t, d, gdb.Resume{}); stop.Reason != gdb.Ended || stop.Text != "tcsim: the program has returned 1" || d.At() != 1841 {
			t.Errorf("6.12: %+v at %d", stop, d.At())
		}
	}
	if stop := resume(t, d, gdb.Resume{Step: true}); stop.Reason != gdb.Ended {
		t.Errorf("step after the end: %+v", stop)
	}
	if stop := resume(t, d, gdb.Resume{Back: true}); stop.Reason != gdb.Began || d.At() != 0 {
		t.Errorf("back: %+v at %d", stop, d.At())
	}
	if stop := resume(t, d, gdb.Resume{Back: true, Step: true}); stop.Reason != gdb.Began || d.At() != 0 {
		t.Errorf("step back: %+v at %d", stop, d.At())
	}

	d = opened(t, "hierarchy", "6.1", 1)
	stop := resume(t, d, gdb.Resume{})
	if stop.Reason != gdb.Signaled || stop.Signal != gdb.SIGABRT || !strings.Contains(stop.Text, "the 34th tail call was taken; the limit is 33") {
		t.Errorf("6.1: %+v", stop)
	}
	broke := d.At()
	if stop := resume(t, d, gdb.Resume{Step: true}); stop.Reason != gdb.Stepped || d.At() != broke+1 {
		t.Errorf("after the violation: %+v at %d", stop, d.At())
	}
	if _, known := d.Value("cycles"); known {
		t.Error("the cycles after the violation are known")
	}
	resume(t, d, gdb.Resume{Step: true, Back: true})
	resume(t, d, gdb.Resume{Step: true, Back: true})
	if stop := resume(t, d, gdb.Resume{Step: true}); stop.Reason != gdb.Signaled || d.At() != broke {
		t.Errorf("stepping to the violation: %+v at %d", stop, d.At())
	}
}

// TestInterrupted stops a run that would go on for long, forward and back.
func TestInterrupted(t *testing.T) {
	d := opened(t, "hierarchy", "6.1", 1)
	resume(t, d, gdb.Resume{})
	broke := d.At()
	var ctx context.Context
	for wait := 5 * time.Millisecond; d.At() < broke+200_000 && wait < time.Minute; wait += wait / 4 { // a machine that is busy gets longer
		was := d.At()
		var cancel func()
		ctx, cancel = context.WithTimeout(t.Context(), wait)
		defer cancel()
		if stop, err := d.Resume(ctx, gdb.Resume{}); err != nil || stop.Reason != gdb.Interrupted {
			t.Fatalf("%+v, %v, at %d", stop, err, d.At())
		}
		here, want := d.At(), state(d)
		resume(t, d, gdb.Resume{Step: true, Back: true})
		resume(t, d, gdb.Resume{Step: true})
		if d.At() != here || state(d) != want {
			t.Fatalf("interrupted at %d, and come there otherwise, it is not the same:\n%s\n%s", here, want, state(d))
		}
		if here < was {
			t.Fatalf("it has gone back from %d to %d", was, here)
		}
	}
	if d.At() <= broke {
		t.Fatal("it has not moved")
	}
	here, want := d.At(), state(d)
	if stop, err := d.Resume(ctx, gdb.Resume{Back: true}); err != nil || stop.Reason != gdb.Interrupted || d.At() != here || state(d) != want {
		t.Errorf("back: %+v, %v, at %d, was %d", stop, err, d.At(), here)
	}
	resume(t, d, gdb.Resume{Step: true})
	resume(t, d, gdb.Resume{Step: true, Back: true})
	if d.At() != here || state(d) != want {
		t.Errorf("there and back: at %d, was %d", d.At(), here)
	}
}

// TestMonitor looks at what the commands say, and at their mistakes.
func TestMonitor(t *testing.T) {
	d := opened(t, "hierarchy", "6.1", 1)
	for command, want := range map[string]string{
		"nonsense": `error: no command "nonsense"; monitor help lists those there are`, "stack x": "error: expected nothing or",
		"trace 0": "error: expected a number of events", "trace 1 2": "error: expected a number of events", "tcc x": "error: expected nothing",
		"event": "error: expected one moment", "event 0": "error: moment", "event 9999": "error: moment 9999: the run has 76 events",
		"event each:call": "error: each:call is", "event each:nothing": "error: moment", "bpf some": "error: expected nothing or",
		"": "monitor stack [all]", "help": "monitor trace [N|all]", "trace": "nothing has happened yet", "tcc": "no frame that is whole",
		"event violation": "continue goes to violation of limit: sub[14] -> entry jmp_table[0]",
	} {
		if got := monitor(t, d, command); !strings.HasPrefix(got, want) && !strings.Contains(got, "\n"+want) {
			t.Errorf("monitor %s: %q, want %q", command, got, want)
		}
	}
	monitor(t, d, "event tailcall:2")
	if stop := resume(t, d, gdb.Resume{Back: true}); stop.Reason != gdb.Arrived || stop.Text != "tcsim: tailcall 2" {
		t.Errorf("event: %+v", stop)
	}
	for command, want := range map[string]string{
		"tcc":     "entry #5: 2 at 0xffffc90000203f84, by value\n",
		"bpf":     "=>    0: r6 = r1\n",
		"stack":   "+---------+ RBP  STACK of entry() #5, reuses STACK of sub() #4\n",
		"trace 1": "  5    72 tailcall  3 c00000f2 00203f88 00203f88 0000000200000000    2 sub[14] -> entry jmp_table[0]\n",
		"trace":   "  1     3 entry     1 ",
	} {
		if got := monitor(t, d, command); !strings.Contains(got, want) {
			t.Errorf("monitor %s:\n%s\nwant\n%s", command, got, want)
		}
	}
	if n, ok := d.Value("events"); n != 5 || !ok {
		t.Errorf("%d events", n)
	}
}

// BenchmarkStepBack goes back by one instruction after a million.
func BenchmarkStepBack(b *testing.B) {
	d := far(b)
	for b.Loop() {
		resume(b, d, gdb.Resume{Step: true, Back: true})
	}
}

// BenchmarkBack goes back to the breakpoint before, after a million instructions.
func BenchmarkBack(b *testing.B) {
	d := far(b)
	r := gdb.Resume{Back: true, Breaks: []uint64{uint64(d.RIP())}}
	for b.Loop() {
		resume(b, d, r)
	}
}

// BenchmarkStep goes on by one instruction.
func BenchmarkStep(b *testing.B) {
	d := far(b)
	for b.Loop() {
		resume(b, d, gdb.Resume{Step: true})
	}
}

// far is a session a million instructions from the beginning.
func far(b *testing.B) *debug.Session {
	b.Helper()
	d := opened(b, "hierarchy", "6.1", 1)
	resume(b, d, gdb.Resume{})
	resume(b, d, gdb.Resume{Step: true})
	for d.At() < 1_000_000 {
		if stop := resume(b, d, gdb.Resume{Breaks: []uint64{uint64(d.RIP())}}); stop.Reason != gdb.AtBreak {
			b.Fatalf("%+v", stop)
		}
	}
	return d
}
