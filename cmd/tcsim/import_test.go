// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestImportBad gives damaged recordings to both ways of import: each is refused, and running what is
// not never crashes.
func TestImportBad(t *testing.T) {
	t.Chdir("../..")
	for _, name := range []string{"6.18/hierarchy.json", "6.18/hierarchy.txt", "6.1/jit-enable-2.log", "6.18/two-programs.json"} {
		data, err := os.ReadFile("fixtures/imports/" + name)
		if err != nil {
			t.Fatal(err)
		}
		for i, bad := range [][]byte{data[:len(data)/3], nil, []byte("\x7fELF"), data[len(data)/2:]} {
			path := filepath.Join(t.TempDir(), "bad")
			if err := os.WriteFile(path, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			for _, args := range [][]string{{"import", path}, {"import", "--run", path}, {"import", "--kallsyms", path, path}} {
				code, out, errs := tcsim(t, "", args...)
				if code != exitUsage || !strings.Contains(errs, path) {
					t.Errorf("%s cut %d: %v: exit code %d\n%s%s", name, i, args[1:], code, out, errs)
				}
			}
		}
	}
}
