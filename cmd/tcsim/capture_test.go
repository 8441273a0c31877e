// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const libraryCapture = "fixtures/live/6.18-library.jsonl.gz"

// TestCaptureOfLibrary works on a capture that tcsim capture --run made: all of the library conforms and
// does in the emulator what it did in the kernel.
func TestCaptureOfLibrary(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	code, out, errs := tcsim(t, "", "conform", libraryCapture)
	if code != exitOK || !strings.Contains(out, "identical: 611/611") {
		t.Errorf("conform: code %d\n%s%s", code, out, errs)
	}
	code, out, errs = tcsim(t, "", "replay", libraryCapture)
	if code != exitOK || !strings.Contains(out, "as expected: 50/50") {
		t.Errorf("replay: code %d\n%s%s", code, out, errs)
	}
	code, out, errs = tcsim(t, "", "conform", "fixtures/live/6.18-vm.jsonl.gz")
	if code != exitOK || !strings.Contains(out, "identical: 695/695") || !strings.Contains(out, "trampolines: 15/15") {
		t.Errorf("conform: code %d\n%s%s", code, out, errs)
	}
	code, out, errs = tcsim(t, "", "replay", "--json", "-s", "hierarchy", libraryCapture)
	var got struct {
		Captures []struct {
			Played []struct {
				OK   bool
				Runs []struct{ Taken int }
			}
		}
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != exitOK {
		t.Fatalf("code %d, %v\n%s", code, err, errs)
	}
	if p := got.Captures[0].Played; len(p) != 1 || !p[0].OK || len(p[0].Runs) != 1 || p[0].Runs[0].Taken != 33 {
		t.Errorf("played %+v", p)
	}
	code, out, _ = tcsim(t, "", "replay", "-s", "tailcall_2", "--run", "2", "--trace", "--only", "tailcall", libraryCapture)
	if code != exitOK || strings.Count(out, "\n") < 2 {
		t.Errorf("trace: code %d\n%s", code, out)
	}
	code, out, _ = tcsim(t, "", "replay", "-s", "hierarchy", "--at", "tailcall:33", libraryCapture)
	if code != exitOK || !strings.Contains(out, "tcc_ptr") {
		t.Errorf("stack: code %d\n%s", code, out)
	}
}

// TestCaptureHere captures from the running kernel, if it lets us.
func TestCaptureHere(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "here.jsonl.gz")
	code, out, errs := tcsim(t, "", "capture", "-o", file, "--run", "hierarchy", "chain33", "hierarchy_limit_4", "tramp_context", "fixtures/objects")
	if code == exitUntestable {
		t.Skip(errs)
	}
	if code != exitOK {
		t.Fatalf("code %d\n%s%s", code, out, errs)
	}
	if strings.Contains(out, "has to have BTF") { // bpf_spin_lock in maps.o
		t.Errorf("maps have no types\n%s", out)
	}
	if !strings.Contains(out, "left out: scenario hierarchy_limit_4") {
		t.Errorf("printed\n%s", out)
	}
	if code, out, errs := tcsim(t, "", "replay", file); code != exitOK || !strings.Contains(out, "hierarchy.o") {
		t.Errorf("replay: code %d\n%s%s", code, out, errs)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("files %v, %v", left, err)
	}
}

func TestCaptureUsage(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out.gz")
	bad := write(t, "bad.yaml", badScenario)
	for _, args := range [][]string{
		{"hierarchy"}, {"-o", out}, {"-o", out, "--all", "hierarchy"}, {"-o", out, "--all", "--run"},
		{"-o", out, "no-such-scenario"}, {"-o", out, bad}, {"-o", out, t.TempDir()}, {"-o", out, "hierarchy", "hierarchy"},
		{"-o", out, "hierarchy_limit_4"},
	} {
		code, _, errs := tcsim(t, "", append([]string{"capture"}, args...)...)
		if code != exitUsage || errs == "" {
			t.Errorf("%q: code %d, %q", args, code, errs)
		}
		if _, err := os.Stat(out); err == nil {
			t.Fatalf("%q left a file", args)
		}
	}
}
