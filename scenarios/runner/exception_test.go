// SPDX-License-Identifier: GPL-2.0-only

package runner_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/scenarios"
	"github.com/tcsim/tcsim/scenarios/measure"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// exceptions follows exception_tail_call of the kernel's tests: main calls a subprogram that tail calls
// a program which throws 16. That program is an exception boundary of its own, so its default callback
// returns the cookie to main, which adds 8. The other programs throw two calls deep with registers
// in use, once through a callback of their own and once through the default one.
const exceptions = `
version: 1
name: exceptions
maps:
  jmp_table: {type: prog_array, slots: {0: target}}
  seen: {type: array}
programs:
  main:
    asm: |
      r6 = 8
      call sub
      r0 += r6
      exit
      sub:
      r2 = jmp_table ll
      r3 = 0
      call bpf_tail_call
      r0 = 1
      exit
  target: |
    r1 = 16
    call bpf_throw
    r0 = 0
    exit
  handled:
    asm: |
      *(u64 *)(r10 - 24) = 5
      r7 = 1
      r9 = 2
      call outer
      r0 = 0
      exit
      outer:
      r6 = 3
      *(u64 *)(r10 - 8) = 5
      call inner
      r0 = 0
      exit
      inner:
      r1 = 30
      call bpf_throw
      exit
    functions:
      handler: |
        r6 = r1
        r2 = map[seen][0] ll
        r3 = 1
        lock *(u32 *)(r2 + 0) += r3
        r0 = r6
        r0 += 4
        exit
  loop: |
    r0 = 0
    again: may_goto out
    r0 += 1
    if r0 != 70000 goto again
    out: exit
runs:
  - {run: main, packet: 64, expect: {return: 24, taken: 1}}
  - {run: target, packet: 64, expect: {return: 16}}
  - {run: handled, packet: 64, expect: {return: 34, values: {seen: 1}}}
  - {run: loop, packet: 64, expect: {return: 70000}}
`

// TestExceptions plays programs that throw on every kernel that knows exceptions. The loop passes its
// may_goto more often than a kernel that looks at the clock does without looking.
func TestExceptions(t *testing.T) {
	b := buildText(t, "exceptions.yaml", []byte(exceptions))
	for _, name := range []string{"6.12", "6.12-retpoline-its", "6.12-fineibt", "6.18", "7.2", "7.2-stuff"} {
		if testing.Short() && name != "6.12" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			res := play(t, opened(t, compiled(t, b, target(t, name)), runner.Options{}))
			for i, r := range res.Runs {
				if r.Violation != nil || len(r.Mismatches) > 0 || r.Killed != "" {
					t.Errorf("run %d (%s): %v %v %s", i+1, r.Program, r.Violation, r.Mismatches, r.Killed)
				}
			}
			if len(res.Runs) != 4 {
				t.Errorf("%d runs", len(res.Runs))
			}
		})
	}
	if _, err := runner.Compile(b, target(t, "6.1")); !errors.Is(err, kernels.ErrUnsupported) {
		t.Errorf("for 6.1: %v", err)
	}
}

// TestExceptionsNotCounted: a summary of a call that does not return is no summary.
func TestExceptionsNotCounted(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	c := compiled(t, buildText(t, "exceptions.yaml", []byte(exceptions)), target(t, "7.2"))
	if _, err := opened(t, c, runner.Options{}).Count(t.Context(), 1, measure.CountOptions{}); !errors.Is(err, kernels.ErrUnsupported) {
		t.Errorf("counted: %v", err)
	}
}

// TestCallbackOfNoThrower: without bpf_throw a function that nothing calls is a mistake.
func TestCallbackOfNoThrower(t *testing.T) {
	sc, err := scenarios.Load("lonely.yaml", []byte("version: 1\nname: lonely\nprograms:\n  p:\n    asm: |\n      r0 = 0\n      exit\n    functions:\n      f: [return: 0]\nruns:\n  - {run: p, packet: 64}\n"))
	if err == nil {
		_, err = scenarios.Build(sc)
	}
	if err == nil || !strings.Contains(err.Error(), "never called") {
		t.Errorf("loaded: %v", err)
	}
}
