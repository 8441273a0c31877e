// SPDX-License-Identifier: GPL-2.0-only

package render

import (
	"encoding/xml"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"

	"github.com/tcsim/tcsim/scenarios/campaign"
)

// Test is one scenario on one target.
type Test struct {
	Target, Scenario string
	Skipped          string // why it could not be tested, "" if it was
	Fault            string // a failure of tcsim itself
	// Failed is what is not as expected, with Stack drawn where an invariant broke; Notes what is, but
	// worth to know.
	Failed, Notes []string
	Stack         string
}

// RunTests makes tests of what tcsim run found.
func RunTests(rows []RunRow) []Test {
	var out []Test
	for i := range rows {
		r := &rows[i]
		c := Test{Target: r.Target, Scenario: r.Scenario, Skipped: r.Error, Fault: r.Rejected, Stack: r.StackText}
		for k := range r.Runs {
			run := &r.Runs[k]
			switch {
			case run.Violation != nil && run.Unexpected:
				c.Failed = append(c.Failed, run.Violation.String())
			case run.Violation != nil:
				c.Notes = append(c.Notes, "as expected: "+run.Violation.String())
			case run.Killed != "":
				c.Notes = append(c.Notes, run.Killed)
			}
		}
		if r.Counted != "" {
			c.Notes = append(c.Notes, r.Counted)
		}
		if !r.OK {
			c.Failed = append(c.Failed, r.Updates...)
			c.Failed = append(c.Failed, r.Failed...)
		}
		out = append(out, c)
	}
	return out
}

// MatrixTests makes tests of a matrix.
func MatrixTests(m *campaign.Matrix) []Test {
	var out []Test
	for i, t := range m.Targets {
		for j, s := range m.Scenarios {
			cell := &m.Cells[i][j]
			c := Test{Target: t, Scenario: s}
			switch {
			case cell.Verdict == campaign.VerdictUnsupported:
				c.Skipped = cell.Why
			case cell.Verdict == campaign.VerdictUnplayed:
				c.Fault = "not played: interrupted before"
			case cell.Verdict == campaign.VerdictError:
				c.Fault = cell.Why
			case !cell.Expected:
				for _, text := range append([]string{cell.Why}, cell.Mismatches...) {
					if text != "" {
						c.Failed = append(c.Failed, text)
					}
				}
			case cell.Why != "":
				c.Notes = append(c.Notes, "as expected: "+cell.Why)
			}
			out = append(out, c)
		}
	}
	return out
}

// WriteTAP prints the Test Anything Protocol, version 14: what failed is in a YAML block.
func WriteTAP(w io.Writer, _ string, tests []Test) error {
	fmt.Fprintf(w, "TAP version 14\n1..%d\n", len(tests))
	for i := range tests {
		c := &tests[i]
		failed := c.Failed
		if c.Fault != "" {
			failed = []string{"failure of tcsim: " + c.Fault}
		}
		ok, skip := "ok", ""
		if len(failed) != 0 {
			ok = "not ok"
		}
		if c.Skipped != "" {
			skip = " # SKIP " + oneLine(c.Skipped)
		}
		fmt.Fprintf(w, "%s %d - %s on %s%s\n", ok, i+1, c.Scenario, c.Target, skip)
		for _, n := range c.Notes {
			fmt.Fprintf(w, "# %s\n", oneLine(n))
		}
		if len(failed) == 0 {
			continue
		}
		fmt.Fprint(w, "  ---\n  failed:\n")
		for _, f := range failed {
			fmt.Fprintf(w, "    - %s\n", strconv.Quote(oneLine(f)))
		}
		if c.Stack != "" {
			fmt.Fprint(w, "  stack: |2\n")
			for line := range strings.Lines(c.Stack) {
				fmt.Fprintf(w, "    %s", line)
			}
		}
		fmt.Fprint(w, "  ...\n")
	}
	return nil
}

// oneLine replaces line ends, which would end a line of TAP.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// The elements of JUnit XML that build servers have in common. There are no times: the same input
// gives the same bytes.
type (
	JUnitSuites struct {
		XMLName xml.Name      `xml:"testsuites"`
		Name    string        `xml:"name,attr"`
		Suites  []*junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Errors   int         `xml:"errors,attr"`
		Skipped  int         `xml:"skipped,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Class   string        `xml:"classname,attr"`
		Name    string        `xml:"name,attr"`
		Skipped *junitProblem `xml:"skipped"`
		Failure *junitProblem `xml:"failure"`
		Error   *junitProblem `xml:"error"`
		Out     *junitText    `xml:"system-out"`
	}
	junitProblem struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",cdata"`
	}
	junitText struct {
		Text string `xml:",cdata"`
	}
)

// WriteJUnit prints JUnit XML: a suite for each target, in the order in which they come up.
func WriteJUnit(w io.Writer, verb string, tests []Test) error {
	all := JUnitSuites{Name: "tcsim " + verb}
	suites := map[string]*junitSuite{}
	for i := range tests {
		c := &tests[i]
		s := suites[c.Target]
		if s == nil {
			s = &junitSuite{Name: c.Target}
			suites[c.Target], all.Suites = s, append(all.Suites, s)
		}
		s.Tests++
		out := junitCase{Class: "tcsim." + c.Target, Name: c.Scenario}
		if len(c.Notes) != 0 {
			out.Out = &junitText{printable(strings.Join(c.Notes, "\n"))}
		}
		switch {
		case c.Fault != "":
			s.Errors++
			out.Error = &junitProblem{Message: printable(c.Fault)}
		case c.Skipped != "":
			s.Skipped++
			out.Skipped = &junitProblem{Message: printable(c.Skipped)}
		case len(c.Failed) != 0:
			s.Failures++
			out.Failure = &junitProblem{Message: printable(c.Failed[0]), Text: printable(strings.Join(c.Failed, "\n") + "\n" + c.Stack)}
		}
		s.Cases = append(s.Cases, out)
	}
	fmt.Fprint(w, xml.Header)
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(all); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w)
	return err
}

// printable replaces what XML 1.0 cannot hold.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}
