// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"bytes"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// packageLines is how many lines of Go a package has at most, without tests and generated files; largePackages have
// bounds of their own.
const packageLines = 4000

var largePackages = map[string]int{"cmd/tcsim": 6000, "jit/verify": 6000}

// TestPackageLines finds packages that have grown out of their rooms: take a part that the rest does not need apart
// (docs/architecture.md).
func TestPackageLines(t *testing.T) {
	t.Chdir("../..")
	lines := map[string]int{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && path != "."):
			return fs.SkipDir
		case !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if head, _, _ := bytes.Cut(src, []byte("\npackage ")); bytes.Contains(head, []byte("\n// Code generated ")) {
			return nil
		}
		lines[filepath.ToSlash(filepath.Dir(path))] += bytes.Count(src, []byte("\n"))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(lines) < 50 || lines["cmd/tcsim"] < 1000 {
		t.Fatalf("found %d packages, cmd/tcsim with %d lines: the walk is wrong", len(lines), lines["cmd/tcsim"])
	}
	for _, p := range slices.Sorted(maps.Keys(lines)) {
		limit, ok := largePackages[p]
		if !ok {
			limit = packageLines
		}
		if lines[p] > limit {
			t.Errorf("%s has %d lines, expected at most %d", p, lines[p], limit)
		}
	}
}
