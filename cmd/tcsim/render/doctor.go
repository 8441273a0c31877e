// SPDX-License-Identifier: GPL-2.0-only

package render

import (
	"fmt"
	"io"
	"regexp"
	"slices"
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
	// Unedited are the releases whose C file this is, byte by byte.
	Unedited []string `json:"unedited,omitempty"`
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
		factsText(&b, s.Facts)
		if len(s.Unedited) > 0 {
			fmt.Fprintf(&b, "the file is that of Linux %s, unedited\n", strings.Join(s.Unedited, " and "))
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

// factsText lists facts by the file that they are from, those whose line is known on a line of their own.
func factsText(b *strings.Builder, facts []Fact) {
	var origins []string
	plain, lines := map[string][]string{}, map[string][]string{}
	for _, f := range facts {
		from, text := f.From, f.Name+"="+f.Value
		m := withLine.FindStringSubmatch(from)
		if m != nil {
			from = m[1]
		}
		if !slices.Contains(origins, from) {
			origins = append(origins, from)
		}
		if m != nil {
			lines[from] = append(lines[from], fmt.Sprintf("line %s: %s", m[2], text))
		} else {
			plain[from] = append(plain[from], text)
		}
	}
	for _, o := range origins {
		fmt.Fprintf(b, "from %s:\n", o)
		all := lines[o]
		if len(plain[o]) > 0 {
			all = append(all, Fold(strings.Join(plain[o], " "), Width-2)...)
		}
		for _, line := range all {
			fmt.Fprintf(b, "  %s\n", line)
		}
	}
}

// withLine is an origin such as "include/linux/bpf.h:12".
var withLine = regexp.MustCompile(`^(.*):(\d+)$`)
