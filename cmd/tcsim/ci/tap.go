// SPDX-License-Identifier: GPL-2.0-only

package ci

import (
	"fmt"
	"io"
	"strconv"
	"strings"
)

// WriteTAP prints the Test Anything Protocol, version 14: what failed is in a YAML block.
func WriteTAP(w io.Writer, _ string, tests []Test) error {
	fmt.Fprintf(w, "TAP version 14\n1..%d\n", len(tests))
	for i := range tests {
		writePoint(w, i+1, &tests[i], "- "+tests[i].name(), "", "  ")
	}
	return nil
}

// WriteKTAP prints the kernel's variant of it, version 1: a test for each target, with a subtest for each scenario. What
// failed is in lines of diagnostics, which hold YAML.
func WriteKTAP(w io.Writer, _ string, tests []Test) error {
	names, groups := byTarget(tests)
	fmt.Fprintf(w, "KTAP version 1\n1..%d\n", len(names))
	for i, name := range names {
		fmt.Fprintf(w, "  KTAP version 1\n  # Subtest: %s\n  1..%d\n", name, len(groups[name]))
		failed, skipped := false, true
		for k, t := range groups[name] {
			writePoint(w, k+1, t, t.Scenario, "  ", "  # ")
			failed = failed || len(t.all()) != 0
			skipped = skipped && t.Skipped != ""
		}
		word, skip := "ok", ""
		if failed {
			word = "not ok"
		} else if skipped {
			skip = " # SKIP no scenario can be tested"
		}
		fmt.Fprintf(w, "%s %d %s%s\n", word, i+1, name, skip)
	}
	return nil
}

// byTarget groups tests by target, in the order in which they come up.
func byTarget(tests []Test) (names []string, groups map[string][]*Test) {
	groups = map[string][]*Test{}
	for i := range tests {
		t := &tests[i]
		if groups[t.Target] == nil {
			names = append(names, t.Target)
		}
		groups[t.Target] = append(groups[t.Target], t)
	}
	return names, groups
}

// all is what failed, a failure of tcsim itself and bad input included.
func (t *Test) all() []Failure {
	if t.Fault != "" {
		return []Failure{failure(t.Fault, "")}
	}
	return t.Failed
}

// writePoint prints one test point. margin is before it, block before the lines of its YAML.
func writePoint(w io.Writer, n int, t *Test, name, margin, block string) {
	failed := t.all()
	ok, skip := "ok", ""
	if len(failed) != 0 {
		ok = "not ok"
	}
	if t.Skipped != "" {
		skip = " # SKIP " + oneLine(t.Skipped)
	}
	fmt.Fprintf(w, "%s%s %d %s%s\n", margin, ok, n, name, skip)
	for _, note := range t.Notes {
		fmt.Fprintf(w, "%s# %s\n", margin, oneLine(note))
	}
	if len(failed) == 0 {
		return
	}
	line := func(format string, args ...any) { fmt.Fprintf(w, "%s"+format+"\n", append([]any{block}, args...)...) }
	line("---")
	line("failed:")
	for _, f := range failed {
		line("  - %s", strconv.Quote(oneLine(f.Text)))
	}
	if at := failed[0]; at.File != "" {
		line("at:")
		line("  file: %s", strconv.Quote(at.File))
		if at.Line != 0 {
			line("  line: %d", at.Line)
		}
	}
	if t.Stack != "" {
		line("stack: |2")
		for l := range strings.Lines(t.Stack) {
			line("  %s", strings.TrimSuffix(l, "\n"))
		}
	}
	line("...")
}
