// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/tcsim/tcsim/jit/source/ktree"
)

// kernelSource returns the folder of a kernel's source, version as in "6.12". It ends the test without it: a skip,
// but a failure in CI, which has what .ci/setup-sources brings.
func kernelSource(t testing.TB, version string) string {
	t.Helper()
	dir, ok := findSource(version)
	if ok {
		return dir
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("no source of kernel %s in %s: run .ci/setup-sources", version, dir)
	}
	t.Skipf("no source of kernel %s in %s: run .ci/setup-sources", version, dir)
	return ""
}

// findSource returns the folder of a kernel's source, or the one in which it would be.
func findSource(version string) (dir string, ok bool) {
	dir = os.Getenv("TCSIM_SOURCES")
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return "the user's cache folder", false
		}
		dir = filepath.Join(cache, "tcsim", "src")
	}
	found, err := filepath.Glob(filepath.Join(dir, version+".*", ktree.JITFile))
	if err != nil || len(found) == 0 {
		return dir, false
	}
	return found[0][:len(found[0])-len("/"+ktree.JITFile)], true
}

// inSourceFolder makes a new folder the current one, with a copy of a kernel's source as linux.
func inSourceFolder(t testing.TB, version string) {
	t.Helper()
	from := kernelSource(t, version)
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "linux"), os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
}

// shell runs a line of a document.
func shell(t testing.TB, line string) string {
	t.Helper()
	out, err := exec.Command("sh", "-ec", line).CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v: %s", line, err, out)
	}
	return string(out)
}
