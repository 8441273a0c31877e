// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDocsListEverything expects each verb in the README's table and in docs/architecture.md, and each
// package in the latter.
func TestDocsListEverything(t *testing.T) {
	t.Chdir("../..")
	text := func(name string) string {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	readme, arch := text("README.md"), text("docs/architecture.md")
	for _, name := range visible(newApp(env{}).Commands) {
		if name == "help" || name == "completion" {
			continue
		}
		if !strings.Contains(readme, "| `tcsim "+name) {
			t.Errorf("README.md does not list %s", name)
		}
		if !strings.Contains(arch, "`"+name+"`") {
			t.Errorf("docs/architecture.md does not list %s", name)
		}
	}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && path != "."):
			return fs.SkipDir
		case !d.IsDir() && strings.HasSuffix(path, ".go"):
			if dir := filepath.ToSlash(filepath.Dir(path)); !strings.Contains(arch, "| `"+dir+"` |") {
				t.Errorf("docs/architecture.md does not list the package %s", dir)
				return fs.SkipDir
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
