// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/cmd/tcsim/render"
)

// tcsim runs a command line in process, from the project's top folder.
func tcsim(t testing.TB, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	if _, err := os.Stat("go.mod"); err != nil {
		t.Chdir("../..")
	}
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

func TestExitCodes(t *testing.T) {
	wrong, bad := write(t, "wrong.yaml", wrongExpectation), write(t, "bad.yaml", badScenario)
	truncated := write(t, "cut.jsonl.gz", "\x1f\x8b\x08\x00")
	for _, tc := range []struct {
		name string
		args []string
		want int
		says []string // on stderr
	}{
		{"as expected", []string{"run", "hierarchy"}, exitOK, nil},
		{"help", []string{"--help"}, exitOK, nil},
		{"expectation failed", []string{"run", wrong}, exitFailed, nil},
		{"no scenario", []string{"run"}, exitUsage, []string{"no scenario given", "hierarchy"}},
		{"unknown scenario", []string{"run", "nonesuch"}, exitUsage, []string{"nonesuch"}},
		{"unknown target", []string{"run", "hierarchy", "--target", "2.4,9.9"}, exitUsage, []string{"2.4", "9.9"}},
		{"unknown flag", []string{"run", "--frobnicate", "hierarchy"}, exitUsage, []string{"frobnicate"}},
		{"unknown command", []string{"frobnicate"}, exitUsage, []string{`unknown command "frobnicate" (see tcsim --help)`}},
		{"misspelt command", []string{"-v", "trase", "hierarchy"}, exitUsage, []string{`unknown command "trase"; did you mean "trace"?`}},
		{"help of an unknown command", []string{"help", "trase"}, exitUsage, []string{`unknown command "trase"; did you mean "trace"?`}},
		{"unknown command with --help", []string{"trase", "--help"}, exitUsage, []string{`unknown command "trase"; did you mean "trace"?`}},
		{"unknown global flag", []string{"--frob"}, exitUsage, []string{"(see tcsim --help)"}},
		{"bad scenario", []string{"run", bad}, exitUsage, []string{"bad.yaml:6:13", "cals", "^", "bad.yaml:8:10", "other"}},
		{"bad moment", []string{"stack", "hierarchy", "--at", "sometimes"}, exitUsage, []string{"sometimes", "deepest"}},
		{"moment that never comes", []string{"stack", "hierarchy", "--at", "tailcall:99"}, exitUsage, []string{"99"}},
		{"no such run", []string{"trace", "hierarchy", "--run", "7"}, exitUsage, []string{"no run 7"}},
		{"bad kind", []string{"trace", "hierarchy", "--only", "dance"}, exitUsage, []string{"dance"}},
		{"missing capture", []string{"replay", "nonesuch.gz"}, exitUsage, []string{"nonesuch.gz"}},
		{"truncated capture", []string{"conform", truncated}, exitUsage, []string{"cut.jsonl.gz"}},
		{"bad hex", []string{"plugin", "--program", "zz"}, exitUsage, []string{"program"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			code, out, errs := tcsim(t, "", tc.args...)
			if code != tc.want {
				t.Errorf("exit code %d, want %d\n%s%s", code, tc.want, out, errs)
			}
			for _, s := range tc.says {
				if !strings.Contains(errs, s) {
					t.Errorf("stderr does not say %q:\n%s", s, errs)
				}
			}
			if tc.want == exitUsage && out != "" {
				t.Errorf("half an answer on stdout:\n%s", out)
			}
		})
	}
}

// TestJSON expects every verb with --json to print one object that names its schema.
func TestJSON(t *testing.T) {
	const capture = "fixtures/kernels/6.12-off.jsonl.gz"
	for _, args := range [][]string{
		{"run", "hierarchy"},
		{"trace", "hierarchy"},
		{"stack", "hierarchy", "--at", "tailcall:2"},
		{"jit", "hierarchy"},
		{"jit", "hierarchy", "--diff", "6.1,6.12"},
		{"conform", capture},
		{"replay", "--scenario", "tail/*", capture},
		{"doctor"},
	} {
		t.Run(strings.Join(args[:1], " "), func(t *testing.T) {
			code, out, errs := tcsim(t, "", append(args, "--json")...)
			if code != exitOK {
				t.Fatalf("exit code %d: %s", code, errs)
			}
			var v struct{ Schema string }
			if err := json.Unmarshal([]byte(out), &v); err != nil {
				t.Fatalf("%v in %.200s", err, out)
			}
			if want := "tcsim." + args[0] + "/v1"; v.Schema != want {
				t.Errorf("schema %q, want %q", v.Schema, want)
			}
		})
	}
}

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

// TestConformsToKernels compares the JIT with the two kernels it began with; every file is compared
// in package capture.
func TestConformsToKernels(t *testing.T) {
	code, out, errs := tcsim(t, "", "conform", "fixtures/kernels/6.1-off.jsonl.gz", "fixtures/kernels/6.12-off.jsonl.gz")
	if code != exitOK || !strings.HasSuffix(out, "identical: 14804/14804\n") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
}

// TestConformShowsMismatch compiles a capture for the wrong target.
func TestConformShowsMismatch(t *testing.T) {
	code, out, _ := tcsim(t, "", "conform", "--target", "6.1", "--show", "3", "fixtures/kernels/6.12-lfence.jsonl.gz")
	if code != exitFailed || !strings.Contains(out, "push rbp") || !strings.Contains(out, "endbr64") {
		t.Errorf("exit code %d, no listings in\n%.3000s", code, out)
	}
}

// TestReplaysKernels runs all that a kernel ran.
func TestReplaysKernels(t *testing.T) {
	code, out, errs := tcsim(t, "", "replay", "fixtures/kernels/6.12-off.jsonl.gz")
	if code != exitOK || !strings.HasSuffix(out, "as the kernel: 2401/2401\n") || strings.Contains(out, "WRONG") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
}
