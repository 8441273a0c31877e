// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/cmd/tcsim/render"
)

// atTop makes the project's top folder the current one.
func atTop(t testing.TB) {
	t.Helper()
	if _, err := os.Stat("go.mod"); err != nil {
		t.Chdir("../..")
	}
}

// tcsim runs a command line in process, from the project's top folder.
func tcsim(t testing.TB, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	atTop(t)
	return tcsimHere(t, stdin, args...)
}

// tcsimHere runs it from the current folder.
func tcsimHere(t testing.TB, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = doMain(context.Background(), append([]string{"tcsim"}, args...), env{stdin: strings.NewReader(stdin), stdout: &out, stderr: &errs})
	return code, out.String(), errs.String()
}

func write(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const wrongExpectation = `
version: 1
name: wrong
programs:
  entry: {steps: [return: 1]}
runs:
  - run: entry
    expect: {return: 2}
`

const badScenario = `
version: 1
name: bad
programs:
  entry:
    steps: [cals: sub]
runs:
  - run: other
`

// TestWidth keeps text output within a mail.
func TestWidth(t *testing.T) {
	for _, args := range [][]string{
		{"run", "hierarchy", "hierarchy_2"},
		{"trace", "bpf2bpf_3"},
		{"stack", "hierarchy", "--at", "each:tailcall"},
		{"stack", "hierarchy", "--target", "6.1", "--at", "violation", "--all"},
		{"jit", "bpf2bpf_3", "--diff", "6.1,6.12"},
		{"doctor"},
	} {
		_, out, errs := tcsim(t, "", args...)
		if out == "" {
			t.Errorf("%v prints nothing: %s", args, errs)
		}
		for _, line := range strings.Split(out, "\n") {
			if len(line) > render.Width {
				t.Errorf("%v: %d columns: %s", args, len(line), line)
			}
		}
	}
}

// TestReplaysKernels runs all that a kernel ran.
func TestReplaysKernels(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long; a script replays a part of it")
	}
	code, out, errs := tcsim(t, "", "replay", "fixtures/kernels/6.12-off.jsonl.gz")
	if code != exitOK || !strings.Contains(out, "\nas the kernel: 2401/2401\n") || strings.Contains(out, "WRONG") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
}
