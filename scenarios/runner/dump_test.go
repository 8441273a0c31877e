// SPDX-License-Identifier: GPL-2.0-only

package runner_test

import (
	"context"
	"errors"
	"testing"

	"github.com/tcsim/tcsim/emu/check"
	"github.com/tcsim/tcsim/emu/stack"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/scenarios/files"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// TestStackAtViolation draws the stack where each invariant breaks that the library knows to break on
// these designs, and expects every violation to say where that is.
func TestStackAtViolation(t *testing.T) {
	at, err := stack.ParseAt("violation")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[check.Invariant]int{}
	for _, target := range []string{"6.1", "fp40", "pop-nop-push", "hier-percpu", "hier-rfc1", "5.10-unrounded", "maciej-hidden16"} {
		if testing.Short() && target != "6.1" && target != "fp40" {
			continue
		}
		for _, name := range files.Builtin() {
			t.Run(target+"/"+name, func(t *testing.T) {
				s := openBuiltin(t, name, target)
				res := play(t, s)
				n := len(res.Runs)
				if n == 0 || res.Runs[n-1].Violation == nil {
					return
				}
				v := *res.Runs[n-1].Violation
				if seen[v.Invariant]++; v.RIP == 0 || v.Where == "" || v.Event == 0 {
					t.Errorf("where? %+v", v)
				}
				d, err := s.Stack(context.Background(), n, at)
				if err != nil || len(d) != 1 || len(d[0].Layout.Slots) == 0 {
					t.Errorf("%v: %d drawings, %v", &v, len(d), err)
				}
			})
		}
	}
	for _, i := range []check.Invariant{check.Limit, check.Semantics, check.Frame, check.CalleeSaved} {
		if seen[i] == 0 && !testing.Short() {
			t.Errorf("nothing breaks %s any more: %v", i, seen)
		}
	}
}

// openBuiltin opens a scenario of the library, or skips if the target has no code for it.
func openBuiltin(t *testing.T, name, on string) *runner.Session {
	t.Helper()
	c, err := runner.Compile(build(t, name), target(t, on))
	if errors.Is(err, kernels.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return opened(t, c, runner.Options{})
}
