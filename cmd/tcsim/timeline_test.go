// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"strings"
	"testing"
)

// TestUpdateStops has every verb that goes through a scenario stop at an update that the target's design
// cannot do: the run after it is not reached, and has no events, no stack and no figures.
func TestUpdateStops(t *testing.T) {
	const broken = "pokes: text poke at 0xffffffffc0000040: -EBUSY"
	for _, args := range [][]string{
		{"run"}, {"run", "--json"}, {"run", "--junit"},
		{"trace"}, {"trace", "--json"}, {"trace", "--cost"}, {"trace", "--pipeline", "1"},
		{"stack"}, {"stack", "--json"}, {"stack", "--at", "violation"},
		{"count"}, {"count", "--json"}, {"count", "--no-reuse"},
		{"explore"}, {"explore", "--slot", "jt[0]", "--to", "empty"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			full := append(args, "scenarios/runner/testdata/first_update.yaml", "--target", "jmp-always-valid")
			code, out, errs := tcsim(t, "", full...)
			if code != exitFailed {
				t.Errorf("exit code %d, want %d", code, exitFailed)
			}
			text := strings.Join(strings.Fields(out+errs), " ")
			if !strings.Contains(text, broken) {
				t.Errorf("the violation of the update is not named:\n%s%s", out, errs)
			}
			switch args[0] {
			case "trace", "stack", "count":
				if !strings.Contains(errs, "run 1 is not reached: put next into jt[0] ends with") || out != "" {
					t.Errorf("stdout %q, stderr %q", out, errs)
				}
			}
		})
	}
}

// TestForeseenStop asks for a run after an update that breaks what the file says that it breaks: nothing is
// wrong but the question.
func TestForeseenStop(t *testing.T) {
	for _, verb := range []string{"trace", "stack", "count"} {
		code, out, errs := tcsim(t, "", verb, "poke_one_site", "--target", "jmp-always-valid", "--run", "4")
		if code != exitUsage || out != "" || !strings.Contains(errs, "run 4 is not reached: ") {
			t.Errorf("%s: exit code %d, stdout %q, stderr %q", verb, code, out, errs)
		}
	}
}
