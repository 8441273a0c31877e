// SPDX-License-Identifier: GPL-2.0-only

package runnertest

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite golden files")

// Updating reports that the test shall rewrite what it would compare with.
func Updating() bool { return *update }

// Golden compares text with a file in testdata.
func Golden(t testing.TB, name, got string) {
	t.Helper()
	path := "testdata/" + name
	if Updating() {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); d != "" {
		t.Errorf("%s (-file +found; -update rewrites it):\n%s", path, d)
	}
}
