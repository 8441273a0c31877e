// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestEndlessInput gives a device where a file is expected: it is an error before memory runs out.
func TestEndlessInput(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	const zero = "/dev/zero"
	if _, err := os.Stat(zero); err != nil {
		t.Skip(err)
	}
	const program = "../../fixtures/objects/xdp.o"
	all := [][]string{
		{"run", zero}, {"graph", zero}, {"capture", "-o", filepath.Join(t.TempDir(), "x"), zero}, {"replay", zero}, {"import", zero},
		{"run", program, "--packet", zero}, {"cycles", "--measured", zero}, {"vm", "--kernel", "x", "--config", zero},
		{"vm", "--kernel", "x", "--guest", zero}, {"vm", "--kernel", zero},
	}
	for _, args := range all {
		if code, out, errs := tcsim(t, "", args...); code != exitUsage || out != "" || errs == "" {
			t.Errorf("%q: code %d, %q, %q", args, code, out, errs)
		}
	}
}
