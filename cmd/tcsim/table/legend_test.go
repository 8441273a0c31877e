// SPDX-License-Identifier: GPL-2.0-only

package table

import (
	"strings"
	"testing"
)

// TestLegend asks for legends with options, and looks at the lines of all of them.
func TestLegend(t *testing.T) {
	with := func(options ...string) func(string) bool {
		return func(o string) bool {
			for _, x := range options {
				if x == o {
					return true
				}
			}
			return false
		}
	}
	for _, c := range []struct {
		command string
		options []string
		want    string
	}{
		{"run", nil, "taken, refused: tail calls;"}, {"run", []string{"json"}, ""}, {"run", []string{"target"}, "taken, refused:"}, {"trace", nil, "d: depth"},
		{"trace", []string{"cost"}, "insns:"}, {"import", nil, ""}, {"import", []string{"run"}, "taken"}, {"worst", []string{"scenario"}, ""},
		{"replay", []string{"scenario"}, "as the kernel"}, {"doctor", nil, ""},
	} {
		if got := Legend(c.command, with(c.options...), 0); !strings.HasPrefix(got, c.want) || (c.want == "") != (got == "") {
			t.Errorf("%s %v: %q, want %q", c.command, c.options, got, c.want)
		}
	}
	for name := range legends {
		command, option, _ := strings.Cut(name, " --")
		for line := range strings.Lines(Legend(command, with(option), 0)) {
			if len(line) > legendWidth+1 {
				t.Errorf("%s: a line of %d columns: %s", name, len(line), line)
			}
		}
	}
}
