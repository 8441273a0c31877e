// SPDX-License-Identifier: GPL-2.0-only

package runner_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/emu/check"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// stateScenario has a call in place of STEP between two values of r7 and of a word of the stack.
const stateScenario = `
version: 1
name: states
maps:
  jmp_table: {type: prog_array, max_entries: 1}
  now: {type: array, value_size: 8}
programs:
  entry:
    stack: 24
    saved: [r8]
    steps:
      - helper: ktime_get_ns
      - {set: now, to: result}
      - {set: fp-8, to: 0x1234}
      - {set: r7, to: 0x2345}
      - STEP
      - {set: fp-8, to: 0x1111}
      - {set: r7, to: 0x2222}
      - {if: fp-8, is: 0, then: [return: r7]}
      - return: 7
    functions:
      sub: [return: 1]
runs:
  - {run: entry, expect: {return: 7}}
  - {run: entry, expect: {return: 7}}
`

// TestStates makes a program do something else than it says, in a way that neither its return value
// nor a map shows: the state of the function after a call does. The time that a helper gives is that of the
// interpreter, so asking for it hides nothing.
func TestStates(t *testing.T) {
	for _, tc := range []struct {
		name, step string
		old, with  string // bytes of the image in hex
		says       string
	}{
		{"stack after a call", "call: sub", "34120000", "35120000", "fp-8 of entry is 0x35 after a call; BPF has 0x34"},
		{"register after a call", "call: sub", "45230000", "46230000", "r13 (R7) is 0x2346 in entry after a call; BPF has 0x2345"},
		{"stack after a refused tail call", `tail_call: "jmp_table[0]"`, "34120000", "35120000", "fp-8 of entry is 0x35 after a tail call"},
		{"register after a refused tail call", `tail_call: "jmp_table[0]"`, "45230000", "46230000", "r13 (R7) is 0x2346 in entry after a tail call"},
		{"register at a call of a helper", "helper: ktime_get_ns", "45230000", "46230000", "r13 (R7) is 0x2346 in entry at a call of bpf_ktime_get_ns; BPF has 0x2345"},
		{"return value next to a clock", "call: sub", "b807000000", "b808000000", "returned 8; BPF returns 7"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			text := strings.Replace(stateScenario, "STEP", "{"+tc.step+"}", 1)
			if !strings.Contains(tc.step, "tail_call") {
				text = strings.Replace(text, "  jmp_table: {type: prog_array, max_entries: 1}\n", "", 1)
			}
			if !strings.Contains(tc.step, "call: sub") {
				text = strings.Replace(text, "    functions:\n      sub: [return: 1]\n", "", 1)
			}
			b := buildText(t, "states.yaml", []byte(text))
			for _, name := range []string{"5.10", "6.1", "6.12", "7.2", "classic-4.4", "fp-dbl", "fp53", "direct-poke"} {
				brokenOn(t, b, name, unhex(t, tc.old), unhex(t, tc.with), tc.says)
			}
		})
	}
}

// brokenOn plays a scenario on a target, then with some bytes of its first function changed, which semantics
// must notice.
func brokenOn(t *testing.T, b *scenarios.Built, name string, old, with []byte, says string) {
	t.Helper()
	c, err := runner.Compile(b, target(t, name))
	if errors.Is(err, kernels.ErrUnsupported) && name == "classic-4.4" {
		return // subprograms
	}
	if err != nil {
		t.Fatal(err)
	}
	if res := play(t, opened(t, c, runner.Options{})); !res.OK() {
		t.Fatalf("%s: unbroken: %v, %v", name, res.Violation(), res.Mismatches())
	}
	code := c.Images[0].Funcs[0].Code
	if bytes.Count(code, old) != 1 {
		t.Fatalf("%s: % x occurs %d times in % x", name, old, bytes.Count(code, old), code)
	}
	copy(code[bytes.Index(code, old):], with)
	v := play(t, opened(t, c, runner.Options{})).Violation()
	if v == nil || v.Invariant != check.Semantics || !strings.Contains(v.Text, says) {
		t.Errorf("%s: violation %v, want semantics with %q", name, v, says)
	}
}
