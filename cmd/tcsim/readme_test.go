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
// the output that they show. Under -short that is the README and every third page.
func TestREADME(t *testing.T) {
	t.Chdir("../..")
	pages, err := filepath.Glob("docs/*.md")
	if err != nil || len(pages) < 10 {
		t.Fatalf("pages %q, %v", pages, err)
	}
	for i, page := range append(pages, "README.md") {
		t.Run(page, func(t *testing.T) {
			if testing.Short() && i%8 != 0 {
				t.Skip("only in full runs")
			}
			src, err := os.ReadFile(page)
			if err != nil {
				t.Fatal(err)
			}
			golden.Check(t, page, rerun(t, string(src)))
		})
	}
}

// onSource begins a console block that runs in a folder of its own, with an unedited kernel source in it as linux:
// "```console linux=6.12". In such a block other commands than tcsim are run, too.
const onSource = "```console linux="

// rerun replaces the output in console blocks by what the commands print now.
func rerun(t *testing.T, text string) string {
	t.Helper()
	var out, block []string
	begin := "" // of the block
	for _, line := range strings.Split(text, "\n") {
		switch version, src := strings.CutPrefix(begin, onSource); {
		case begin == "" && (line == "```console" || strings.HasPrefix(line, onSource)):
			begin = line
		case begin != "" && line == "```":
			if src {
				t.Run("linux "+version, func(t *testing.T) {
					was := block // stays, if there is no source
					defer func() { out = append(out, was...) }()
					inSourceFolder(t, version)
					was = again(t, block, true)
				})
			} else {
				out = append(out, again(t, block, false)...)
			}
			begin, block = "", nil
		case begin != "":
			block = append(block, line)
			continue
		}
		out = append(out, line)
	}
	return strings.Join(out, "\n")
}

// again runs the commands of a console block and returns it with what they print now.
func again(t *testing.T, block []string, any bool) (out []string) {
	t.Helper()
	for _, line := range block {
		command, ok := strings.CutPrefix(line, "$ ")
		if !ok {
			continue // output of before
		}
		out = append(out, line)
		words, own := strings.CutPrefix(command, "./tcsim ")
		if !own {
			if !any {
				t.Errorf("%s: only tcsim is run here", line)
				continue
			}
			shell(t, command)
			continue
		}
		var args []string
		for _, a := range strings.Fields(words) {
			args = append(args, strings.Trim(a, "'"))
		}
		code, stdout, stderr := tcsimHere(t, "", args...)
		if code > exitFailed {
			t.Errorf("%s: exit code %d: %s", line, code, stderr)
		}
		out = append(out, strings.Split(strings.TrimSuffix(stdout, "\n"), "\n")...)
	}
	return out
}
