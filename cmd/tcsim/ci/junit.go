// SPDX-License-Identifier: GPL-2.0-only

package ci

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/tcsim/tcsim/emu/check"
)

// The elements of JUnit XML that build servers have in common, with the file and line that some show. There are no
// times: the same input gives the same bytes.
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
		File    string        `xml:"file,attr,omitempty"`
		Line    int           `xml:"line,attr,omitempty"`
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

// expectations is the case of what a scenario expects besides invariants.
const expectations = "expectations"

// WriteJUnit prints JUnit XML: a suite for each target, in it a case for what each scenario expects and for each invariant.
func WriteJUnit(w io.Writer, verb string, tests []Test) error {
	all := JUnitSuites{Name: "tcsim " + verb}
	names, groups := byTarget(tests)
	for _, name := range names {
		s := &junitSuite{Name: name}
		all.Suites = append(all.Suites, s)
		for _, t := range groups[name] {
			s.add(t)
		}
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

// add adds the cases of a test.
func (s *junitSuite) add(t *Test) {
	for _, name := range append([]string{expectations}, invariantNames()...) {
		c := junitCase{Class: "tcsim." + t.Target + "." + t.Scenario, Name: name}
		s.Tests++
		var failed []Failure
		for _, f := range t.Failed {
			if f.Invariant == name || f.Invariant == "" && name == expectations {
				failed = append(failed, f)
			}
		}
		switch first := name == expectations; {
		case t.Fault != "" && first:
			s.Errors++
			f := failure(t.Fault, "")
			c.File, c.Line = f.File, f.Line
			c.Error = &junitProblem{Message: printable(t.Fault)}
		case t.Fault != "":
			s.Skipped++
			c.Skipped = &junitProblem{Message: "not judged"}
		case t.Skipped != "":
			s.Skipped++
			c.Skipped = &junitProblem{Message: printable(t.Skipped)}
		case len(failed) != 0:
			s.Failures++
			c.File, c.Line = failed[0].File, failed[0].Line
			c.Failure = &junitProblem{
				Message: printable(failed[0].Text), Text: printable(strings.Join(texts(failed), "\n") + "\n" + t.Stack),
			}
		case t.Ended != "" && !first && t.Ended != name:
			s.Skipped++
			c.Skipped = &junitProblem{Message: "judged only until " + t.Ended + " broke"}
		}
		if name == expectations && len(t.Notes) != 0 {
			c.Out = &junitText{printable(strings.Join(t.Notes, "\n"))}
		}
		s.Cases = append(s.Cases, c)
	}
}

func invariantNames() []string {
	var out []string
	for _, i := range check.Invariants() {
		out = append(out, string(i))
	}
	return out
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
