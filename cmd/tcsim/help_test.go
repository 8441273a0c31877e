// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/cmd/tcsim/manual"
)

// elsewhere are beginnings of examples whose commands need what a test does not have (a kernel, root,
// hardware, minutes) or write into the current folder: only their flags are checked here.
var elsewhere = []string{"tcsim vm", "tcsim capture", "tcsim cycles --host", "tcsim fuzz", "tcsim merge", "tcsim new asm --name dispatcher -o", "tcsim gdb"}

// long are commands with examples of seconds; under -short scripts run them with less to do.
var long = []string{"worst", "matrix", "cycles"}

// TestHelpExamples runs every example of every --help as it stands there; under -short the first one of each.
func TestHelpExamples(t *testing.T) {
	_, root, _ := tcsim(t, "", "--help")
	for line := range strings.Lines(root) {
		if n := len([]rune(strings.TrimRight(line, "\n"))); n > manual.Width {
			t.Errorf("--help: %d columns: %s", n, line)
		}
	}
	for n, c := range newApp(env{}).Commands {
		if c.Hidden {
			continue
		}
		_, out, _ := tcsim(t, "", c.Name, "--help")
		text, _, _ := strings.Cut(out, "\nOPTIONS:")
		examples := exampleLines(text)
		for line := range strings.Lines(out) {
			line = strings.TrimRight(line, "\n")
			if n := len([]rune(line)); n > manual.Width {
				t.Errorf("%s --help: %d columns: %s", c.Name, n, line)
			}
		}
		if len(examples) == 0 {
			t.Errorf("%s --help has no example", c.Name)
		}
		if testing.Short() {
			examples = examples[:min(len(examples), (n+1)%4/3)]
		}
		for _, line := range examples {
			t.Run(line, func(t *testing.T) { runExample(t, line) })
		}
	}
}

// exampleLines returns the commands below "Example:" or "Examples:", those that go on in a further line whole.
func exampleLines(help string) []string {
	_, text, ok := strings.Cut(help, "Example:\n")
	if !ok {
		_, text, _ = strings.Cut(help, "Examples:\n")
	}
	var out []string
	before := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" {
			break
		}
		if part, goesOn := strings.CutSuffix(line, "\\"); goesOn {
			before += part
			continue
		}
		out = append(out, before+line)
		before = ""
	}
	return out
}

// runExample runs one line: "echo X | tcsim ..." gives X on standard input, what comes after tcsim's
// own arguments in a pipe or a list is not run.
func runExample(t *testing.T, line string) {
	stdin := ""
	if rest, ok := strings.CutPrefix(line, "echo "); ok {
		stdin, line, _ = strings.Cut(rest, " | ")
	}
	line, ok := strings.CutPrefix(line, "tcsim ")
	if !ok {
		return // of another tool, which starts tcsim
	}
	for _, end := range []string{" | ", " > "} {
		line, _, _ = strings.Cut(line, end)
	}
	var args []string
	for _, a := range strings.Fields(line) {
		args = append(args, strings.Trim(a, "'"))
	}
	if slices.ContainsFunc(elsewhere, func(s string) bool { return strings.HasPrefix("tcsim "+line, s) }) {
		if code, _, errs := tcsim(t, "", append(args, "--help")...); code != exitOK {
			t.Errorf("exit code %d: %s", code, errs)
		}
		return
	}
	if testing.Short() && slices.Contains(long, args[0]) {
		t.Skip("takes long")
	}
	code, out, errs := tcsim(t, stdin, args...)
	if code > exitFailed || out == "" || code == exitOK && withoutNotes(errs) != "" {
		t.Errorf("exit code %d: %s\n%s", code, errs, out)
	}
}

// withoutNotes is what stands on standard error besides notes on targets that were taken for others.
func withoutNotes(errs string) string {
	var out []string
	for line := range strings.Lines(errs) {
		if !strings.HasPrefix(line, "note: ") {
			out = append(out, line)
		}
	}
	return strings.Join(out, "")
}
