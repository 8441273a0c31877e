// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/tcsim/tcsim/cmd/tcsim/ci"
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
		var v ci.JUnitSuites
		if err := xml.Unmarshal([]byte(out), &v); err != nil {
			t.Fatalf("%v: %v in\n%s", args, err, out)
		}
		if len(v.Suites) != 3 || v.Suites[1].Name != "6.12" || v.Suites[1].Tests != 24 {
			t.Fatalf("%v: %s", args, out)
		}
		// On 6.1 hierarchy ends at its violation.
		for i, want := range []string{"24 1 10", "24 1 0", "24 1 12"} {
			if s := v.Suites[i]; fmt.Sprint(s.Tests, s.Failures, s.Skipped) != want {
				t.Errorf("%v: suite %s has %d tests, %d failures, %d skipped; want %s", args, s.Name, s.Tests, s.Failures, s.Skipped, want)
			}
			c := v.Suites[i].Cases[12]
			if !strings.HasSuffix(c.Class, ".wrong") || c.Line != 8 || c.File == "" || c.Failure == nil || !strings.Contains(c.Failure.Message, "expected return 2, found 1") {
				t.Errorf("%v: %+v", args, c)
			}
		}
	}
}

// TestKTAP counts the test points that --ktap prints.
func TestKTAP(t *testing.T) {
	for _, args := range ciLines(t) {
		code, out, errs := tcsim(t, "", append(args, "--ktap")...)
		if code != exitFailed || !strings.HasPrefix(out, "KTAP version 1\n1..3\n  KTAP version 1\n  # Subtest: 6.1\n  1..2\n  ok 1 hierarchy\n") {
			t.Fatalf("%v: exit code %d: %s\n%s", args, code, errs, out)
		}
		for want, n := range map[string]int{"\n  ok ": 3, "\n  not ok 2 wrong": 3, "\nnot ok ": 3, " # SKIP ": 1, "\n  # ---": 3, "\n  #   line: 8": 3} {
			if found := strings.Count(out, want); found != n {
				t.Errorf("%v: %d times %q, want %d\n%s", args, found, want, n, out)
			}
		}
	}
}

// TestSARIF decodes what --sarif prints.
func TestSARIF(t *testing.T) {
	for _, args := range ciLines(t) {
		code, out, errs := tcsim(t, "", append(args, "--sarif")...)
		var v ci.SARIF
		if err := json.Unmarshal([]byte(out), &v); code != exitFailed || err != nil {
			t.Fatalf("%v: exit code %d: %v %s\n%s", args, code, err, errs, out)
		}
		if v.Version != "2.1.0" || len(v.Runs) != 1 || len(v.Runs[0].Results) != 3 {
			t.Fatalf("%v: %s", args, out)
		}
		rules := map[string]bool{}
		for _, r := range v.Runs[0].Tool.Driver.Rules {
			rules[r.ID] = true
		}
		for _, r := range v.Runs[0].Results {
			if !rules[r.RuleID] || len(r.Locations) != 1 || r.Locations[0].Physical.Region.StartLine != 8 {
				t.Errorf("%v: %+v", args, r)
			}
		}
	}
}

// TestAnnotations reads the commands for GitHub Actions: on standard error, one line each, with file and line.
func TestAnnotations(t *testing.T) {
	for _, args := range ciLines(t) {
		code, _, errs := tcsim(t, "", append(args, "--github")...)
		if n := strings.Count(errs, "::error file="); code != exitFailed || n != 3 || strings.Count(errs, ",line=8,") != 3 {
			t.Errorf("%v: exit code %d, %d errors: %s", args, code, n, errs)
		}
		if strings.Count(errs, "::notice title=hierarchy on fp40::cannot be tested") != 1 {
			t.Errorf("%v: %s", args, errs)
		}
	}
}
