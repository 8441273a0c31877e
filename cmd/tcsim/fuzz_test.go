// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMain lets the test binary be tcsim where tests start it as one, and where it starts itself.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == workerCommand || os.Args[1] == nativeCommand || os.Args[1] == "fuzz") {
		main()
	}
	os.Exit(m.Run())
}

// TestFuzz has a wrong design found by worker processes, with files that reproduce it, and the same
// output whatever the number of workers.
func TestFuzz(t *testing.T) {
	dir := t.TempDir()
	args := []string{"fuzz", "--n", "120", "--seed", "1", "--target", "6.12,pop-nop-push", "--shrink", "1", "--out", dir}
	code, first, _ := tcsim(t, "", append(args, "--workers", "1")...)
	if code != exitFailed {
		t.Fatalf("exit code %d, want %d: %s", code, exitFailed, first)
	}
	for _, want := range []string{"120 graphs of seed 1", "6.12          120", "pop-nop-push: callee-saved", "made small", "runs:"} {
		if !strings.Contains(first, want) {
			t.Errorf("no %q in:\n%s", want, first)
		}
	}
	if _, again, _ := tcsim(t, "", append(args, "--workers", "2")...); again != first {
		t.Errorf("two workers:\n%s\none:\n%s", again, first)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != 3 {
		t.Fatalf("files %v, want a scenario and two of C, %v", files, err)
	}
	for _, f := range files {
		if filepath.Ext(f) != ".yaml" {
			continue
		}
		if code, out, _ := tcsim(t, "", "run", f, "--target", "pop-nop-push"); code != exitFailed || !strings.Contains(out, "callee-saved") {
			t.Errorf("%s: exit code %d: %s", f, code, out)
		}
		if code, out, _ := tcsim(t, "", "run", f, "--target", "6.12"); code != exitOK {
			t.Errorf("%s: exit code %d: %s", f, code, out)
		}
	}
}

func TestFuzzExhaustive(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "found")
	code, out, errs := tcsim(t, "", "fuzz", "--exhaustive", "2", "--json", "--out", dir)
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	var r struct {
		Schema  string
		Graphs  int
		Targets []struct {
			Target   string
			Verdicts map[string]int
		}
		Failures []any
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err)
	}
	if r.Schema != "tcsim.fuzz/v1" || r.Graphs != 61 || len(r.Targets) != 5 || len(r.Failures) != 0 {
		t.Errorf("%+v", r)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("a folder was made for no failure")
	}
	if code, out, _ := tcsim(t, "", "fuzz", "--exhaustive", "2"); code != exitOK || !strings.Contains(out, "all 61 graphs of at most 2 programs and 2 call sites") {
		t.Errorf("exit code %d: %s", code, out)
	}
}

func TestFuzzUsage(t *testing.T) {
	for _, args := range [][]string{
		{"x"}, {"--exhaustive", "9"}, {"--exhaustive", "2", "--n", "5"}, {"--n", "0"}, {"--target", "2.4"}, {"--workers", "0"},
	} {
		if code, _, errs := tcsim(t, "", append([]string{"fuzz"}, args...)...); code != exitUsage || errs == "" {
			t.Errorf("%v: exit code %d: %s", args, code, errs)
		}
	}
}
