// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tcsim/tcsim/fixtures/golden"
)

// TestScripts runs the command lines in testdata/script, each in a folder of its own that holds the files of its
// script and the project's fixtures. Besides what testscript knows there are
//
//	tcsim ARGS...           run a command line that ends with exit code 0
//	exits CODE tcsim ARGS...  run one that ends with this code
//	                        "<FILE" as the last argument is standard input
//
//	linux VERSION           lay a kernel's source into the folder as linux
//	replace FILE OLD NEW    edit a file, in which OLD must be
//
// and the conditions short, and linux: the sources of kernels and a C compiler are there, as they are in CI.
// A word in single quotes keeps its blanks. go test -update rewrites the files that cmp compares with.
func TestScripts(t *testing.T) {
	here, err := os.Getwd() // scripts change it
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                filepath.Join(here, "testdata", "script"),
		UpdateScripts:      golden.Update(),
		RequireUniqueNames: true,
		ContinueOnError:    true,
		Setup: func(e *testscript.Env) error {
			return os.Symlink(filepath.Join(here, "../../fixtures"), filepath.Join(e.WorkDir, "fixtures"))
		},
		Condition: condition,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"tcsim": func(ts *testscript.TestScript, neg bool, args []string) { runScripted(ts, neg, exitOK, args) },
			"linux": func(ts *testscript.TestScript, _ bool, args []string) {
				from, ok := findSource(args[0])
				if !ok {
					ts.Fatalf("no source of kernel %s", args[0])
				}
				ts.Check(os.CopyFS(ts.MkAbs("linux"), os.DirFS(from)))
			},
			"replace": func(ts *testscript.TestScript, _ bool, args []string) {
				text := ts.ReadFile(args[0])
				if !strings.Contains(text, args[1]) {
					ts.Fatalf("%s has no %q", args[0], args[1])
				}
				ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.ReplaceAll(text, args[1], args[2])), 0o600))
			},
			"exits": func(ts *testscript.TestScript, neg bool, args []string) {
				if len(args) < 2 || args[1] != "tcsim" {
					ts.Fatalf("usage: exits CODE tcsim ARGS...")
				}
				code, err := strconv.Atoi(args[0])
				ts.Check(err)
				runScripted(ts, neg, code, args[2:])
			},
		},
	})
}

// condition says whether a condition of a script holds.
func condition(cond string) (bool, error) {
	switch cond {
	case "short":
		return testing.Short(), nil
	case "linux":
		_, source := findSource("6.12")
		_, err := exec.LookPath("cc")
		if ok := source && err == nil; ok || os.Getenv("CI") != "true" {
			return ok, nil
		}
		return false, errors.New("CI has no kernel sources or no C compiler: run .ci/setup-sources")
	}
	return false, fmt.Errorf("unknown condition %q", cond)
}

// inFolder is held by the script whose folder is the process's.
var inFolder sync.Mutex

// runScripted runs one command line of a script in its folder.
func runScripted(ts *testscript.TestScript, neg bool, want int, args []string) {
	if neg {
		ts.Fatalf("say which exit code is expected: exits CODE tcsim ARGS...")
	}
	var stdin io.Reader = strings.NewReader("")
	if n := len(args) - 1; n >= 0 && strings.HasPrefix(args[n], "<") {
		stdin, args = strings.NewReader(ts.ReadFile(args[n][1:])), slices.Clone(args[:n])
	}
	var out, errs bytes.Buffer
	code := func() int {
		inFolder.Lock()
		defer inFolder.Unlock()
		back, err := os.Getwd()
		ts.Check(err)
		ts.Check(os.Chdir(ts.MkAbs(".")))
		defer func() { ts.Check(os.Chdir(back)) }()
		return doMain(context.Background(), append([]string{"tcsim"}, args...), env{stdin: stdin, stdout: &out, stderr: &errs})
	}()
	_, err := io.Copy(ts.Stdout(), &out)
	ts.Check(err)
	_, err = io.Copy(ts.Stderr(), &errs)
	ts.Check(err)
	if code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
}
