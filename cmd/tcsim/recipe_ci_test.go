// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// linked puts a tcsim into a folder, which is the test binary, and returns the folder.
func linked(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(self, filepath.Join(dir, "tcsim")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// bash runs a script in a folder with a tcsim in the path; environment is added.
func bash(t *testing.T, dir, script string, environment ...string) (code int, out string) {
	t.Helper()
	cmd := exec.Command("bash", "-e", "-c", script)
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), "PATH="+linked(t)+":"+os.Getenv("PATH"), "GIT_CONFIG_GLOBAL=/dev/null"), environment...)
	var buf bytes.Buffer
	cmd.Stdout, cmd.Stderr = &buf, &buf
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), buf.String()
}

// TestCIRecipes runs the shell of docs/ci on scenarios that are good, bad, untestable and not there.
func TestCIRecipes(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	t.Chdir("../..")
	read := func(path string, v any) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.Unmarshal(text, v); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	var action struct {
		Runs struct {
			Steps []struct{ Run string }
		}
	}
	read("docs/ci/github/action.yml", &action)
	var gitlab map[string]struct{ Script []string }
	read("docs/ci/gitlab/tcsim.gitlab-ci.yml", &gitlab)
	for name, recipe := range map[string]struct{ script, report string }{
		"github": {action.Runs.Steps[0].Run, "tcsim.sarif"},
		"gitlab": {strings.Join(gitlab[".tcsim"].Script, "\n"), "tcsim.xml"},
	} {
		t.Run(name, func(t *testing.T) {
			for scenarios, want := range map[string]int{"chain33": exitOK, "bad/*.yaml": exitFailed, "bad": exitFailed, "hierarchy": exitOK, "none.yaml": exitUsage} {
				dir := t.TempDir()
				if err := os.Mkdir(filepath.Join(dir, "bad"), 0o777); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, "bad", "x.yaml"), []byte(wrongExpectation), 0o666); err != nil {
					t.Fatal(err)
				}
				targets := "6.12"
				if scenarios == "hierarchy" {
					targets = "fp40" // which has no code for it
				}
				code, out := bash(t, dir, recipe.script, "SCENARIOS="+scenarios, "TARGETS="+targets, "TCSIM=tcsim", "SARIF=tcsim.sarif")
				if code != want {
					t.Errorf("%s: exit code %d, want %d: %s", scenarios, code, want, out)
				}
				report, err := os.ReadFile(filepath.Join(dir, recipe.report))
				if err != nil || code == exitFailed && !bytes.Contains(report, []byte("expected return 2, found 1")) {
					t.Errorf("%s: %v\n%s", scenarios, err, report)
				}
				if (scenarios == "hierarchy") != strings.Contains(out, "something cannot be tested here") {
					t.Errorf("%s: %s", scenarios, out)
				}
			}
		})
	}
}

// TestBisectRecipe runs the recipe of docs/exit-codes.md: a scenario that is not there, or is wrong, blames no revision.
func TestBisectRecipe(t *testing.T) {
	if testing.Short() {
		t.Skip("only in full runs")
	}
	t.Chdir("../..")
	page, err := os.ReadFile("docs/exit-codes.md")
	if err != nil {
		t.Fatal(err)
	}
	_, recipe, ok := strings.Cut(string(page), "git bisect start BAD GOOD\n")
	recipe, _, _ = strings.Cut(recipe, "\n```")
	if !ok {
		t.Fatal("no recipe")
	}
	repo := `git init -q . && git config user.name x && git config user.email x@example.org
		for i in 1 2 3 4 5; do echo $i > f; git add f; git commit -qm $i; done
		git bisect start HEAD HEAD~4 >/dev/null
	`
	for name, scenario := range map[string]string{"missing": "", "wrong": "version: 1\nname: [\n"} {
		t.Run(name, func(t *testing.T) {
			home, dir := t.TempDir(), t.TempDir()
			if scenario != "" {
				if err := os.WriteFile(filepath.Join(home, "my.yaml"), []byte(scenario), 0o666); err != nil {
					t.Fatal(err)
				}
			}
			code, out := bash(t, dir, repo+recipe, "HOME="+home)
			if code == 0 || strings.Contains(out, "is the first bad commit") {
				t.Errorf("exit code %d: %s", code, out)
			}
		})
	}
	// A tree without a JIT cannot be tested: everything is skipped.
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, "my.yaml"), []byte(wrongExpectation), 0o666); err != nil {
		t.Fatal(err)
	}
	if code, out := bash(t, t.TempDir(), repo+recipe, "HOME="+home); !strings.Contains(out, "only 'skip'ped commits left") {
		t.Errorf("exit code %d: %s", code, out)
	}
}
