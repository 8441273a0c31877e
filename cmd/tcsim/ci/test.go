// SPDX-License-Identifier: GPL-2.0-only

// Package ci writes results in the forms that automation reads: JUnit, TAP, KTAP, SARIF and the annotations of GitHub.
package ci

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/tcsim/tcsim/cmd/tcsim/render"
	"github.com/tcsim/tcsim/emu/check"
	"github.com/tcsim/tcsim/scenarios/campaign"
)

// Test is one scenario on one target. Files that cannot be read are tests of the target onInput.
type Test struct {
	Target, Scenario string
	Skipped          string // why it could not be tested, "" if it was
	Fault            string // a failure of tcsim itself, or bad input
	// Failed is what is not as expected, with Stack drawn where an invariant broke; Notes what is, but
	// worth to know.
	Failed []Failure
	Notes  []string
	Stack  string
	// Ended is the invariant that ended the last run, "" if none did: the others were judged until then only.
	Ended string
}

// onInput stands for a target where a file was no scenario.
const onInput = "input"

// name says which test it is.
func (t *Test) name() string {
	if t.Target == onInput {
		return t.Scenario
	}
	return t.Scenario + " on " + t.Target
}

// Failure is one thing that is not as expected.
type Failure struct {
	Text      string // with the place, as people read it
	Invariant string // that broke, "" for an expectation
	File      string // where the expectation is written, "" if it is nowhere
	Line, Col int    // 0 if unknown
}

var place = regexp.MustCompile(`^(.+?\.[A-Za-z0-9]+):(?:(\d+):(\d+):)? `)

// failure finds the place in a message.
func failure(text, invariant string) Failure {
	f := Failure{Text: text, Invariant: invariant}
	if m := place.FindStringSubmatch(text); m != nil {
		f.File = m[1]
		f.Line, _ = strconv.Atoi(m[2]) // "" is 0
		f.Col, _ = strconv.Atoi(m[3])
	}
	return f
}

// failures are those of several messages.
func failures(texts []string) []Failure {
	var out []Failure
	for _, t := range texts {
		if t != "" {
			out = append(out, failure(t, ""))
		}
	}
	return out
}

// texts are what people read of failures.
func texts(fs []Failure) []string {
	var out []string
	for _, f := range fs {
		out = append(out, f.Text)
	}
	return out
}

// RunTests makes tests of what tcsim run found.
func RunTests(rows []render.RunRow) []Test {
	var out []Test
	for i := range rows {
		r := &rows[i]
		c := Test{Target: r.Target, Scenario: r.Scenario, Skipped: r.Error, Fault: r.Rejected, Stack: r.StackText}
		if c.Target == "" {
			c.Target = onInput
		}
		for k := range r.Runs {
			run := &r.Runs[k]
			if run.Violation != nil {
				c.Ended = string(run.Violation.Invariant)
			}
			switch {
			case run.Violation != nil && run.Unexpected:
				c.Failed = append(c.Failed, Failure{Text: run.Violation.String(), Invariant: string(run.Violation.Invariant)})
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
			for _, u := range r.Updates {
				c.Failed = append(c.Failed, Failure{Text: u, Invariant: string(check.Pokes)})
			}
			for _, f := range r.Flaws {
				c.Failed = append(c.Failed, Failure{Text: f})
			}
			c.Failed = append(c.Failed, failures(r.Failed)...)
		}
		for _, d := range r.Differs {
			c.Notes = append(c.Notes, "differs: "+d)
		}
		for _, u := range r.Unchecked {
			c.Notes = append(c.Notes, "unchecked: "+u)
		}
		c.Failed = placed(c.Failed)
		out = append(out, c)
	}
	return out
}

// placed gives failures that say no place that of the first one that does: the run whose expectation is written there.
func placed(fs []Failure) []Failure {
	for _, from := range fs {
		if from.File == "" {
			continue
		}
		for i := range fs {
			if fs[i].File == "" {
				fs[i].File, fs[i].Line, fs[i].Col = from.File, from.Line, from.Col
			}
		}
		break
	}
	return fs
}

// MatrixTests makes tests of a matrix.
func MatrixTests(m *campaign.Matrix) []Test {
	var out []Test
	for i, t := range m.Targets {
		for j, s := range m.Scenarios {
			cell := &m.Cells[i][j]
			c := Test{Target: t, Scenario: s}
			if isInvariant(string(cell.Verdict)) {
				c.Ended = string(cell.Verdict)
			}
			switch {
			case cell.Verdict == campaign.VerdictUnsupported:
				c.Skipped = cell.Why
			case cell.Verdict == campaign.VerdictError:
				c.Fault = "failure of tcsim: " + cell.Why
			case cell.Verdict == campaign.VerdictUnplayed:
				c.Fault = "not played: interrupted before"
			case !cell.Expected:
				if cell.Why != "" {
					c.Failed = append(c.Failed, Failure{Text: cell.Why, Invariant: c.Ended})
				}
				c.Failed = placed(append(c.Failed, failures(cell.Mismatches)...))
			case cell.Why != "":
				c.Notes = append(c.Notes, "as expected: "+cell.Why)
			}
			out = append(out, c)
		}
	}
	return out
}

// oneLine replaces line ends, which would end a line of a protocol.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

func isInvariant(name string) bool { return slices.Contains(check.Invariants(), check.Invariant(name)) }
