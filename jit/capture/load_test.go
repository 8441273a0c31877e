// SPDX-License-Identifier: GPL-2.0-only

package capture_test

import (
	"io/fs"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/fixtures"
	"github.com/tcsim/tcsim/jit/capture"
)

func captureNames(t testing.TB) []string {
	t.Helper()
	names, err := fs.Glob(fixtures.FS, "kernels/*.jsonl.gz")
	if err != nil || len(names) == 0 {
		t.Fatalf("no captures: %v", err)
	}
	return names
}

func TestLoadAll(t *testing.T) {
	for _, name := range captureNames(t) {
		if testing.Short() && !strings.Contains(name, "extra-") {
			continue
		}
		f, err := capture.LoadFS(fixtures.FS, name)
		if err != nil {
			t.Errorf("%s: %.2000s", name, err.Error())
			continue
		}
		if len(f.Scenarios) != f.Header.Scenarios {
			t.Errorf("%s: %d scenarios, header says %d", name, len(f.Scenarios), f.Header.Scenarios)
		}
	}
}
