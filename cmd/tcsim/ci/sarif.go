// SPDX-License-Identifier: GPL-2.0-only

package ci

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/tcsim/tcsim/cmd/tcsim/render"
	"github.com/tcsim/tcsim/emu/check"
)

// The parts of SARIF 2.1.0 that code scanning reads.
type (
	SARIF struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool    sarifTool     `json:"tool"`
		Results []sarifResult `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name           string      `json:"name"`
		InformationURI string      `json:"informationUri"`
		Rules          []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID               string    `json:"id"`
		ShortDescription sarifText `json:"shortDescription"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifResult struct {
		RuleID    string          `json:"ruleId"`
		Level     string          `json:"level"`
		Message   sarifText       `json:"message"`
		Locations []sarifLocation `json:"locations,omitempty"`
	}
	sarifLocation struct {
		Physical sarifPhysical `json:"physicalLocation"`
	}
	sarifPhysical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   *sarifRegion  `json:"region,omitempty"`
	}
	sarifArtifact struct {
		URI string `json:"uri"`
	}
	sarifRegion struct {
		StartLine   int `json:"startLine"`
		StartColumn int `json:"startColumn,omitempty"`
	}
)

// The rules besides the invariants.
const (
	ruleExpectation = "expectation"
	ruleInput       = "input"
)

// WriteSARIF prints what failed as SARIF 2.1.0.
func WriteSARIF(w io.Writer, _ string, tests []Test) error {
	d := sarifDriver{Name: "tcsim", InformationURI: "https://github.com/tcsim/tcsim"}
	for _, i := range check.Invariants() {
		d.Rules = append(d.Rules, sarifRule{string(i), sarifText{i.About()}})
	}
	d.Rules = append(d.Rules, sarifRule{ruleExpectation, sarifText{"a run gives what the scenario expects"}},
		sarifRule{ruleInput, sarifText{"input can be judged"}})
	run := sarifRun{Tool: sarifTool{d}, Results: []sarifResult{}}
	for i := range tests {
		t := &tests[i]
		for _, f := range t.all() {
			r := sarifResult{RuleID: f.Invariant, Level: "error", Message: sarifText{t.name() + ": " + f.Text}}
			switch {
			case t.Fault != "":
				r.RuleID = ruleInput
			case r.RuleID == "":
				r.RuleID = ruleExpectation
			}
			if f.File != "" {
				l := sarifLocation{sarifPhysical{Artifact: sarifArtifact{filepath.ToSlash(f.File)}}}
				if f.Line != 0 {
					l.Physical.Region = &sarifRegion{f.Line, f.Col}
				}
				r.Locations = append(r.Locations, l)
			}
			run.Results = append(run.Results, r)
		}
	}
	return render.JSON(w, SARIF{"https://json.schemastore.org/sarif-2.1.0.json", "2.1.0", []sarifRun{run}})
}

// WriteGitHub prints what failed as workflow commands, which GitHub Actions shows at the lines of the files.
func WriteGitHub(w io.Writer, _ string, tests []Test) error {
	data := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	property := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
	for i := range tests {
		t := &tests[i]
		title := property.Replace(t.name())
		for _, f := range t.all() {
			at := ""
			if f.File != "" {
				at = "file=" + property.Replace(f.File) + ","
			}
			if f.Line != 0 {
				at += fmt.Sprintf("line=%d,col=%d,", f.Line, f.Col)
			}
			if _, err := fmt.Fprintf(w, "::error %stitle=%s::%s\n", at, title, data.Replace(f.Text)); err != nil {
				return err
			}
		}
		if t.Skipped != "" {
			if _, err := fmt.Fprintf(w, "::notice title=%s::cannot be tested: %s\n", title, data.Replace(t.Skipped)); err != nil {
				return err
			}
		}
	}
	return nil
}
