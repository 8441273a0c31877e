// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"encoding/xml"
	"fmt"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/tcsim/tcsim/cmd/tcsim/render"
)

// ciLines are command lines with something as expected, something that fails and something that cannot
// be tested.
func ciLines(t *testing.T) [][]string {
	wrong := write(t, "wrong <&>.yaml", wrongExpectation)
	return [][]string{
		{"run", "hierarchy", wrong, "--target", "6.1,6.12,fp40"},
		{"matrix", "--scenario", "hierarchy," + wrong, "--target", "6.1,6.12,fp40"},
	}
}

// TestTAP reads what --tap prints by the rules of TAP 14.
func TestTAP(t *testing.T) {
	for _, args := range ciLines(t) {
		code, out, errs := tcsim(t, "", append(args, "--tap")...)
		if code != exitFailed {
			t.Fatalf("%v: exit code %d: %s", args, code, errs)
		}
		lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
		if lines[0] != "TAP version 14" || lines[1] != "1..6" {
			t.Fatalf("%v: no plan of 6 tests:\n%s", args, out)
		}
		tests, failed, skipped := 0, 0, 0
		for i := 2; i < len(lines); i++ {
			l := lines[i]
			switch {
			case strings.HasPrefix(l, "#"):
			case l == "  ---":
				var block []string
				for i++; lines[i] != "  ..."; i++ {
					block = append(block, strings.TrimPrefix(lines[i], "  "))
				}
				var v struct{ Failed []string }
				if err := yaml.Unmarshal([]byte(strings.Join(block, "\n")), &v); err != nil || len(v.Failed) == 0 {
					t.Errorf("%v: %v in block %q", args, err, block)
				}
			default:
				tests++
				if rest, ok := strings.CutPrefix(l, "not "); ok {
					failed, l = failed+1, rest
				}
				if !strings.HasPrefix(l, fmt.Sprintf("ok %d - ", tests)) {
					t.Errorf("%v: test %d is %q", args, tests, l)
				}
				if strings.Contains(l, " # SKIP ") {
					skipped++
				}
			}
		}
		if tests != 6 || failed != 3 || skipped != 1 {
			t.Errorf("%v: %d tests, %d failed, %d skipped\n%s", args, tests, failed, skipped, out)
		}
	}
}

// TestJUnit decodes what --junit prints.
func TestJUnit(t *testing.T) {
	for _, args := range ciLines(t) {
		code, out, errs := tcsim(t, "", append(args, "--junit")...)
		if code != exitFailed {
			t.Fatalf("%v: exit code %d: %s", args, code, errs)
		}
		var v render.JUnitSuites
		if err := xml.Unmarshal([]byte(out), &v); err != nil {
			t.Fatalf("%v: %v in\n%s", args, err, out)
		}
		if len(v.Suites) != 3 || v.Suites[1].Name != "6.12" || v.Suites[1].Tests != 2 {
			t.Fatalf("%v: %s", args, out)
		}
		for i, want := range []string{"2 1 0", "2 1 0", "2 1 1"} {
			if s := v.Suites[i]; fmt.Sprint(s.Tests, s.Failures, s.Skipped) != want {
				t.Errorf("%v: suite %s has %d tests, %d failures, %d skipped; want %s", args, s.Name, s.Tests, s.Failures, s.Skipped, want)
			}
			if c := v.Suites[i].Cases[1]; c.Name != "wrong" || c.Failure == nil || !strings.Contains(c.Failure.Message, "expected return 2, found 1") {
				t.Errorf("%v: %+v", args, c)
			}
		}
	}
}
