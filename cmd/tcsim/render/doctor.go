// SPDX-License-Identifier: GPL-2.0-only

package render

import (
	"fmt"
	"io"
	"strings"
)

// DoctorSources is the object of tcsim doctor with targets.
type DoctorSources struct {
	Schema  Schema        `json:"schema"`
	Sources []SourceFacts `json:"sources"`
}

// SourceFacts is what the C file of a target takes from elsewhere.
type SourceFacts struct {
	Target  string `json:"target"`
	Source  string `json:"source"`
	Version string `json:"version"`
	Design  string `json:"design"`
	Facts   []Fact `json:"facts"`
}

// Fact is a macro that the file sees, and where its value was read.
type Fact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	From  string `json:"from"`
}

// SourceFactsText lists facts, those of one origin together.
func SourceFactsText(all []SourceFacts) string {
	var b strings.Builder
	for i, s := range all {
		if i > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "%s\n%s\ndesign %s\n", s.Target, s.Source, s.Design)
		var origins []string
		by := map[string][]string{}
		for _, f := range s.Facts {
			if by[f.From] == nil {
				origins = append(origins, f.From)
			}
			by[f.From] = append(by[f.From], f.Name+"="+f.Value)
		}
		for _, o := range origins {
			fmt.Fprintf(&b, "from %s:\n", o)
			for _, line := range Fold(strings.Join(by[o], " "), Width-2) {
				fmt.Fprintf(&b, "  %s\n", line)
			}
		}
	}
	return b.String()
}

// DoctorText prints a line for each self-test.
func DoctorText(w io.Writer, rows []SelfTest) {
	for _, r := range rows {
		word := "ok"
		if !r.OK {
			word = "FAILED"
		}
		for i, line := range Fold(r.Name+": "+r.Detail, Width-9) {
			if i > 0 {
				word = ""
			}
			fmt.Fprintf(w, "%-8s %s\n", word, line)
		}
	}
}
