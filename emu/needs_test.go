// SPDX-License-Identifier: GPL-2.0-only

package emu_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/emu"
)

// TestNeeds builds this package as Go does where it finds no C compiler, and looks at the first error.
func TestNeeds(t *testing.T) {
	if testing.Short() {
		t.Skip("builds what the package imports once more")
	}
	cmd := exec.Command("go", "build", ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Fatalf("it can be built: %s", out)
	}
	_, errs, _ := strings.Cut(string(out), "\n") // the first line names the package
	first, _, _ := strings.Cut(errs, "\n")
	if want := "tcsim_needs_a_C_compiler_and_libunicorn_" + strings.ReplaceAll(emu.MinEngine.String(), ".", "_") + "_or_newer"; !strings.Contains(first, want) {
		t.Errorf("the first error is %q, without %q", first, want)
	}
}

// TestHeaders reads engine.h with headers of the oldest library that works, and of the one before.
func TestHeaders(t *testing.T) {
	min := emu.MinEngine
	for _, v := range []emu.EngineVersion{min, {Major: min.Major, Minor: min.Minor, Patch: min.Patch - 1}, {Major: min.Major, Minor: min.Minor - 1, Patch: 99}} {
		dir := t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, "unicorn"), 0o700); err != nil {
			t.Fatal(err)
		}
		header := fmt.Sprintf("#define UC_API_MAJOR %d\n#define UC_API_MINOR %d\n#define UC_API_PATCH %d\n", v.Major, v.Minor, v.Patch)
		if err := os.WriteFile(filepath.Join(dir, "unicorn", "unicorn.h"), []byte(header), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("cc", "-E", "-I", dir, "-o", os.DevNull, "engine.h").CombinedOutput()
		said := strings.Contains(string(out), "tcsim needs libunicorn "+min.String()+" or newer")
		if old := v != min; old != said || old != (err != nil) {
			t.Errorf("headers of %s: %v\n%s", v, err, out)
		}
	}
}
