// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/cmd/tcsim/render"
	"github.com/tcsim/tcsim/jit/parts"
)

// vmKernel finds what .ci/setup-vm installs.
func vmKernel(t *testing.T) string {
	t.Helper()
	found, err := filepath.Glob("/var/cache/tcsim-vm/boot/vmlinuz-*")
	if err != nil {
		t.Fatal(err)
	}
	_, noQEMU := exec.LookPath("qemu-system-x86_64")
	if len(found) > 0 && noQEMU == nil {
		return found[0]
	}
	if os.Getenv("CI") != "" {
		t.Fatal("QEMU or the kernel is missing: .ci/setup-vm installs them")
	}
	t.Skip("QEMU or the kernel is missing: .ci/setup-vm installs them")
	return ""
}

// TestVM boots a distribution's kernel in software emulation and judges its code.
func TestVM(t *testing.T) {
	if testing.Short() {
		t.Skip("boots a kernel")
	}
	kernel := vmKernel(t)
	out := filepath.Join(t.TempDir(), "vm.jsonl.gz")
	code, text, errs := tcsim(t, "", "vm", "--kernel", kernel, "--accel", "tcg", "--append", "mitigations=off", "-o", out)
	if code != exitOK {
		t.Fatalf("code %d\n%s%s", code, text, errs)
	}
	if n, all := countOf(text, "as expected: "); n < 50 || n != all || !strings.Contains(text, "hierarchy") {
		t.Errorf("%d of %d\n%s", n, all, text)
	}
	// A capture that has a part already is gone on with, without booting for what it has.
	part := filepath.Join(t.TempDir(), "part.jsonl.gz")
	if code, text, errs := tcsim(t, "", "vm", "--kernel", filepath.Dir(filepath.Dir(kernel)), "--accel", "tcg", "--append", "mitigations=off", "-o", part, "hierarchy"); code != exitOK {
		t.Errorf("one scenario: code %d\n%s%s", code, text, errs)
	}
	code, text, errs = tcsim(t, "", "vm", "--kernel", kernel, "--resume", part, "--accel", "tcg", "--append", "mitigations=off", "hierarchy", "tailcall_1")
	if n, all := countOf(text, "as expected: "); code != exitOK || n != 2 || all != 2 {
		t.Errorf("gone on with: code %d\n%s%s", code, text, errs)
	}
	code, text, errs = tcsim(t, "", "vm", "--kernel", kernel, "--resume", part, "hierarchy", "tailcall_1")
	if code != exitOK || strings.Contains(errs, "booting") {
		t.Errorf("nothing to do: code %d\n%s%s", code, text, errs)
	}
	code, text, errs = tcsim(t, "", "conform", out)
	if n, all := countOf(text, "identical: "); code != exitOK || n < 555 || n != all || !strings.Contains(text, "trampolines: 15/15") {
		t.Errorf("conform: code %d\n%s%s", code, text, errs)
	}
}

// TestVMWorst: a distribution's kernel takes the programs of the deepest stack, with all that is attached to them, and
// its own code leaves the kernel stack when it is replayed.
func TestVMWorst(t *testing.T) {
	if testing.Short() {
		t.Skip("boots a kernel")
	}
	kernel := vmKernel(t)
	code, text, errs := tcsim(t, "", "worst", "--target", "6.1", "--scenario")
	if code != exitOK {
		t.Fatalf("code %d\n%s%s", code, text, errs)
	}
	deep := filepath.Join(t.TempDir(), "deep.yaml")
	if err := os.WriteFile(deep, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	code, text, errs = tcsim(t, "", "vm", "--kernel", kernel, "--accel", "tcg", "--append", "mitigations=off unknown_word", deep)
	if code != exitFailed || !strings.Contains(text, "violates stack-budget") || !strings.Contains(text, "frames; the kernel stack has 16384") {
		t.Errorf("code %d\n%s%s", code, text, errs)
	}
}

// countOf reads "n/all" after a word.
func countOf(text, word string) (n, all int) {
	if _, rest, ok := strings.Cut(text, "\n"+word); ok {
		if _, err := fmt.Sscanf(rest, "%d/%d", &n, &all); err != nil {
			return 0, 0
		}
	}
	return n, all
}

func TestVMWithoutQEMU(t *testing.T) {
	if testing.Short() {
		t.Skip("only in full runs")
	}
	guest := buildGuest(t, "-buildvcs=false") // as tests are built
	t.Setenv("PATH", t.TempDir())
	code, _, errs := tcsim(t, "", "vm", "--kernel", "go.mod", "--guest", guest, "hierarchy")
	if code != exitUntestable || !strings.Contains(errs, "qemu-system-x86") {
		t.Errorf("code %d, %q", code, errs)
	}
}

// buildGuest builds the program for virtual machines, with further flags of go build.
func buildGuest(t *testing.T, flags ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tcsim-guest")
	cmd := exec.Command("go", append(append([]string{"build", "-o", path}, flags...), "./guest")...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return path
}

// TestVMGuest refuses programs that are not the guest of this build, before anything boots.
func TestVMGuest(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	guests := map[string]string{
		write(t, "guest", "#!/bin/sh\n"): "not the program",
		self:                             "not the program",
	}
	if info, err := os.Stat("../../.git"); err == nil && info.IsDir() && !testing.Short() { // else Go stamps no revision
		guests[buildGuest(t, "-buildvcs=true")] = "build both"
	}
	for guest, want := range guests {
		if code, _, errs := tcsim(t, "", "vm", "--kernel", "x", "--guest", guest, "hierarchy"); code != exitUsage || !strings.Contains(errs, want) {
			t.Errorf("%s: code %d, %q, want %q", guest, code, errs, want)
		}
	}
}

// TestVMParts has two machines boot a kernel each, as far as the sum is concerned, which boots nothing and needs no kernel.
func TestVMParts(t *testing.T) {
	var files []string
	for n, kernel := range []string{"6.1.2", "6.12.3"} {
		w := parts.Begin(parts.Shard{Number: n + 1, Of: 2}, parts.Origin{Command: []string{"vm", "--kernel", "no-kernel,none-either", "hierarchy"}})
		first := w.Reserve(2)
		parts.Do(w, first+n, func() booted {
			row := render.NewReplayRow(kernel)
			row.Equal, row.Total, row.Taken, row.Designs["rework-6.7"] = 1, 1, uint64(33+n), 1
			return booted{[]*render.Captured{{File: kernel, Kernel: kernel, Scenarios: 1, Programs: 4 + n}}, []render.ReplayRow{*row}, n == 1}
		})
		f, err := w.File()
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, filepath.Join(t.TempDir(), "part.json"))
		if err := os.WriteFile(files[n], text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	code, out, errs := tcsim(t, "", "merge", files[1], files[0])
	if code != exitFailed || errs != "" { // something could not be set up in the second
		t.Errorf("exit code %d, %s", code, errs)
	}
	rest := out
	for _, want := range []string{"6.1.2: 1 scenario, 4 programs", "6.12.3: 1 scenario, 5 programs", "6.1.2 ", "33\n", "6.12.3 ", "34\n", "as the kernel: 2/2"} {
		_, after, ok := strings.Cut(rest, want)
		if !ok {
			t.Fatalf("no %q, or not in this order, in\n%s", want, out)
		}
		rest = after
	}
}
