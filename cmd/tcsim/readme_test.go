// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"os"
	"os/exec"
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

// ownFolder begins a console block that runs in a folder of its own, the same for all of a page. Other commands than tcsim are run
// there, too, and mistakes are shown.
const ownFolder = "```console own"

// rerun replaces the output in console blocks by what the commands print now.
func rerun(t *testing.T, text string) string {
	t.Helper()
	var out, block []string
	begin := "" // of the block
	own := t.TempDir()
	for _, line := range strings.Split(text, "\n") {
		switch version, src := strings.CutPrefix(begin, onSource); {
		case begin == "" && (line == "```console" || line == ownFolder || strings.HasPrefix(line, onSource)):
			begin = line
		case begin != "" && line == "```":
			switch {
			case begin == ownFolder:
				t.Run("own", func(t *testing.T) {
					t.Chdir(own)
					out = append(out, again(t, block, true)...)
				})
			case src:
				t.Run("linux "+version, func(t *testing.T) {
					was := block // stays, if there is no source
					defer func() { out = append(out, was...) }()
					inSourceFolder(t, version)
					was = again(t, block, true)
				})
			default:
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
			if said := shell(t, command); said != "" {
				out = append(out, strings.Split(strings.TrimSuffix(said, "\n"), "\n")...)
			}
			continue
		}
		var args []string
		for _, a := range strings.Fields(words) {
			args = append(args, strings.Trim(a, "'"))
		}
		code, stdout, stderr := tcsimHere(t, "", args...)
		switch {
		case code == exitUsage && any:
			stdout += stderr
		case code > exitFailed:
			t.Errorf("%s: exit code %d: %s", line, code, stderr)
		case stdout == "" && any:
			continue
		}
		out = append(out, strings.Split(strings.TrimSuffix(stdout, "\n"), "\n")...)
	}
	return out
}

// TestDemo runs .ci/demo, and expects what .ci/newcomer expects of it.
func TestDemo(t *testing.T) {
	t.Chdir("../..")
	cmd := exec.Command("bash", ".ci/demo")
	cmd.Env = append(os.Environ(), "TCSIM="+filepath.Join(linked(t), "tcsim"))
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	golden.Check(t, ".ci/demo.txt", string(out))
}
