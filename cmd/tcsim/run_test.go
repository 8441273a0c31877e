// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"strings"
	"testing"
)

// TestRunRefused: what a kernel refuses is said although it is expected.
func TestRunRefused(t *testing.T) {
	for target, refused := range map[string]bool{"6.12": false, "7.2": true} {
		code, text, errs := tcsim(t, "", "run", "freplace", "--target", target)
		if code != exitOK || errs != "" {
			t.Errorf("%s: code %d, %s", target, code, errs)
		}
		for _, what := range []string{"put ext into jmp_table[0]: EINVAL", "put entry into jmp_table[0]: EBUSY"} {
			if found := strings.Contains(strings.Join(strings.Fields(text), " "), what); found != refused {
				t.Errorf("%s: %q: %v in\n%s", target, what, found, text)
			}
		}
	}
}

// TestTraceInterrupt: an invocation in the middle of another one is called an interrupt.
func TestTraceInterrupt(t *testing.T) {
	code, text, _ := tcsim(t, "", "trace", "nested_exhausts", "--target", "6.12")
	if code != exitOK || strings.Count(text, "greedy, an interrupt") != 1 || !strings.Contains(text, "entry from outside") {
		t.Errorf("code %d\n%s", code, text)
	}
}
