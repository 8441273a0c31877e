// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// sharedLines is how many lines of code in a row no two places have alike.
const sharedLines = 12

// line is a line of code, without white space around it.
type line struct {
	text string
	no   int
}

// code returns what says something in a file: no blank lines, comments, imports or lone punctuation.
func code(t *testing.T, file string) (out []line) {
	t.Helper()
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for i, text := range strings.Split(string(src), "\n") {
		text = strings.TrimSpace(text)
		if strings.HasPrefix(text, "//") || strings.HasPrefix(text, `"`) && strings.HasSuffix(text, `"`) ||
			strings.Trim(text, "{}()[],;") == "" {
			continue
		}
		out = append(out, line{text, i + 1})
	}
	return out
}

// TestSaidOnce finds no two places that share twelve lines. The files of the tail-call designs may: each reads
// like its source (docs/architecture.md).
func TestSaidOnce(t *testing.T) {
	t.Chdir("../..")
	type place struct {
		file string
		line
	}
	first := map[string]place{} // by the text of the lines
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && path != "."):
			return fs.SkipDir
		case strings.HasSuffix(path, "_test.go") || strings.HasPrefix(filepath.ToSlash(path), "jit/design/"):
			return nil
		case !strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, ".c") && !strings.HasSuffix(path, ".h"):
			return nil
		}
		lines := code(t, path)
		for i := 0; i+sharedLines <= len(lines); i++ {
			var key strings.Builder
			for _, l := range lines[i : i+sharedLines] {
				key.WriteString(l.text + "\n")
			}
			at := place{path, lines[i]}
			if old, ok := first[key.String()]; !ok {
				first[key.String()] = at
			} else if old.file != path || old.no+sharedLines <= at.no {
				t.Errorf("%s:%d and %s:%d begin with the same %d lines", old.file, old.no, path, at.no, sharedLines)
			}
		}
		return nil
	})
	if err != nil || len(first) < 10_000 {
		t.Errorf("%d places, %v", len(first), err)
	}
}
