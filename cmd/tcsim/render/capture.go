// SPDX-License-Identifier: GPL-2.0-only

package render

import (
	"fmt"
	"io"
	"strings"

	"github.com/tcsim/tcsim/jit/capture"
)

// Captured is a summary of a capture.
type Captured struct {
	Interrupted bool `json:"interrupted,omitempty"`

	File      string   `json:"file"`
	Kernel    string   `json:"kernel"`
	Scenarios int      `json:"scenarios"`
	Programs  int      `json:"programs"`
	Refused   []string `json:"refused_by_kernel,omitempty"`
	Failed    []string `json:"failed,omitempty"`
	LeftOut   []string `json:"left_out,omitempty"`
	Run       int      `json:"run_by_kernel,omitempty"`
	NotRun    []string `json:"not_run_by_kernel,omitempty"`
	Functions int      `json:"functions"`
	Bytes     int      `json:"bytes"`
	TailCalls int      `json:"tail_calls"`
}

// Describe counts what is in a capture.
func (c *Captured) Describe(f *capture.File) {
	c.Kernel, c.Scenarios = f.Header.Kernel.Release, len(f.Scenarios)
	for i := range f.Scenarios {
		sc := &f.Scenarios[i]
		if sc.Error != "" {
			c.Failed = append(c.Failed, fmt.Sprintf("%s: %s", sc.Name, sc.Error))
			continue
		}
		for j := range sc.Progs {
			p := &sc.Progs[j]
			c.Programs++
			if p.LoadError != "" {
				c.Refused = append(c.Refused, fmt.Sprintf("%s: program %s: %s", sc.Name, p.Name, p.LoadError))
				continue
			}
			c.TailCalls += len(p.TailCalls)
			c.Functions += len(p.Funcs)
			for k := range p.Funcs {
				c.Bytes += p.Funcs[k].Len
			}
		}
	}
}

// joined makes one line of those that give the same reason: after the first ": ", or after the second
// if what stands before that is a program.
func joined(lines []string) []string {
	var reasons []string
	of := map[string][]string{}
	for _, line := range lines {
		what, why, _ := strings.Cut(line, ": ")
		if prog, rest, ok := strings.Cut(why, ": "); ok && strings.HasPrefix(prog, "program ") {
			what, why = what+" ("+strings.TrimPrefix(prog, "program ")+")", rest
		}
		if of[why] == nil {
			reasons = append(reasons, why)
		}
		of[why] = append(of[why], what)
	}
	var out []string
	for _, why := range reasons {
		out = append(out, strings.Join(of[why], ", ")+": "+why)
	}
	return out
}

// Print says what is in a capture and what is not.
func (c *Captured) Print(w io.Writer) {
	fmt.Fprintf(w, "kernel %s: %s, %s in %s and %d bytes, %s\n", c.Kernel, Plural(c.Scenarios, "scenario"),
		Plural(c.Programs-len(c.Refused), "program"), Plural(c.Functions, "function"), c.Bytes, Plural(c.TailCalls, "tail call"))
	lists := []struct {
		what  string
		lines []string
	}{
		{"left out", c.LeftOut}, {"failed", c.Failed}, {"refused by the kernel", c.Refused}, {"not run", c.NotRun},
	}
	for _, l := range lists {
		for _, line := range joined(l.lines) {
			for i, part := range Fold(l.what+": "+line, Width-4) {
				indent := "  "
				if i > 0 {
					indent = "    "
				}
				fmt.Fprintln(w, indent+part)
			}
		}
	}
}
