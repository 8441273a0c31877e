// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/fixtures/golden"
)

// TestREADME runs every command that the README and the pages of docs show in console blocks, and expects
// the output that they show.
func TestREADME(t *testing.T) {
	t.Chdir("../..")
	pages, err := filepath.Glob("docs/*.md")
	if err != nil || len(pages) < 10 {
		t.Fatalf("pages %q, %v", pages, err)
	}
	for _, page := range append(pages, "README.md") {
		t.Run(page, func(t *testing.T) {
			if testing.Short() && page == "docs/fuzzing.md" {
				t.Skip("takes long; a script runs a smaller campaign")
			}
			src, err := os.ReadFile(page)
			if err != nil {
				t.Fatal(err)
			}
			golden.Check(t, page, rerun(t, string(src)))
		})
	}
}

// rerun replaces the output in console blocks by what the commands print now.
func rerun(t *testing.T, text string) string {
	t.Helper()
	var out []string
	console := false
	for _, line := range strings.Split(text, "\n") {
		switch {
		case line == "```console":
			console = true
		case line == "```":
			console = false
		case console && strings.HasPrefix(line, "$ ./tcsim "):
			out = append(out, line)
			var args []string
			for _, a := range strings.Fields(strings.TrimPrefix(line, "$ ./tcsim ")) {
				args = append(args, strings.Trim(a, "'"))
			}
			code, stdout, stderr := tcsim(t, "", args...)
			if code > exitFailed {
				t.Errorf("%s: exit code %d: %s", line, code, stderr)
			}
			out = append(out, strings.Split(strings.TrimSuffix(stdout, "\n"), "\n")...)
			continue
		case console:
			continue // output of before
		}
		out = append(out, line)
	}
	return strings.Join(out, "\n")
}
