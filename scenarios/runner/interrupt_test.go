// SPDX-License-Identifier: GPL-2.0-only

package runner_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/emu/stack"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// nested is a program with everything in it, interrupted after %s by one that takes all tail calls.
const nested = `
version: 1
name: nested
maps:
  jmp_table: {type: prog_array, slots: {0: entry, 1: greedy}}
  count: {type: array}
  inner: {type: array}
programs:
  entry:
    stack: 16
    saved: [r6, r7]
    steps:
      - count: count
      - set: fp-8
        to: 77
      - call: sub
      - helper: get_smp_processor_id
      - call: sub
      - check: fp-8
        is: 77
      - return: 1
    functions:
      sub:
        stack: 8
        saved: [r6]
        steps: [tail_call: jmp_table, return: 0]
  greedy:
    stack: 64
    saved: [r6, r7, r8, r9]
    steps: [count: inner, tail_call: "jmp_table[1]", return: 2]
limit: 3
runs:
  - run: entry
    packet: 64
    interrupt: {run: greedy, %s}
    expect: {return: 1, taken: 3, values: {count: 4, inner: 4}}
`

// TestInterruptEverywhere interrupts a run after each of its instructions: nothing that a program can see
// changes. With a counter of the processor or the task there are places where it does.
func TestInterruptEverywhere(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	for name, sound := range map[string]bool{
		"6.12": true, "7.2-retpoline": true, "hier-rfc2": true, "hier-runctx": true,
		"hier-percpu": false, "hier-percpu-dec": false, "hier-task": false, "hier-rfc1": false,
	} {
		tg := target(t, name)
		first := buildText(t, "nested", fmt.Appendf(nil, nested, `at: "tailcall:99"`))
		c := compiled(t, first, tg)
		s := opened(t, c, runner.Options{})
		n := play(t, s).Runs[0].Retired // no interrupt comes
		bad := map[string]int{}
		for after := 1; after < int(n); after++ {
			again := *c
			again.Built = buildText(t, "nested", fmt.Appendf(nil, nested, fmt.Sprintf("after: %d", after)))
			var err error
			if s, err = s.OpenNext(&again, runner.Options{}); err != nil {
				t.Fatal(err)
			}
			r := &play(t, s).Runs[0]
			switch {
			case r.Violation != nil:
				bad[r.Violation.String()]++
			case len(r.Mismatches) != 0:
				bad["mismatch: "+r.Mismatches[0].Msg]++
			}
			if sound && len(bad) != 0 {
				t.Fatalf("%s: after %d of %d instructions: %v", name, after, n, bad)
			}
		}
		if !sound && len(bad) == 0 {
			t.Errorf("%s: no place where an interrupt changes anything", name)
		}
	}
}

// TestInterruptEvents: the interrupt is in the trace as an invocation of its own, between the events that
// it was put between, and the stack under it is drawn.
func TestInterruptEvents(t *testing.T) {
	s := opened(t, compiled(t, build(t, "nested_resets"), target(t, "6.12")), runner.Options{})
	r := &play(t, s).Runs[0]
	var kinds []string
	for i := range r.Events {
		if e := &r.Events[i]; e.Inner || e.Kind == trace.KindTailCall && e.Taken == 20 {
			kinds = append(kinds, e.Kind.String())
		}
	}
	if got := strings.Join(kinds, " "); got != "entry tailcall return tailcall" {
		t.Errorf("events of the interrupt and after it: %s", got)
	}
	if r.Counts.Taken != 33 || r.Counts.InnerTaken != 1 {
		t.Errorf("%d tail calls and %d in the interrupt", r.Counts.Taken, r.Counts.InnerTaken)
	}
	at, err := stack.ParseAt("entry:2")
	if err != nil {
		t.Fatal(err)
	}
	fresh := opened(t, compiled(t, build(t, "nested_resets"), target(t, "6.12")), runner.Options{})
	d, err := fresh.Stack(context.Background(), 1, at)
	if err != nil {
		t.Fatal(err)
	}
	if pic := d[0].Layout.Picture(stack.Options{}); !strings.Contains(pic, "other") || !strings.Contains(pic, "self") {
		t.Errorf("the drawing shows not both programs:\n%s", pic)
	}
}
