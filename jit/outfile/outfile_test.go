// SPDX-License-Identifier: GPL-2.0-only

package outfile_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/tcsim/tcsim/fixtures/golden" // knows -update, which go test passes to every package
	"github.com/tcsim/tcsim/jit/outfile"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestWrite replaces files, follows a link that the user made, and leaves nothing behind.
func TestWrite(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	must(t, outfile.Write(file, []byte("one")))
	must(t, os.Symlink(file, link))
	must(t, outfile.Write(link, []byte("two")))
	text, err := os.ReadFile(file)
	must(t, err)
	if string(text) != "two" {
		t.Errorf("%q", text)
	}
	if err := outfile.Write(dir, nil); err == nil || !strings.Contains(err.Error(), "it is a directory") {
		t.Errorf("a directory: %v", err)
	}
	left, err := os.ReadDir(dir)
	must(t, err)
	if len(left) != 2 {
		t.Errorf("left: %v", left)
	}
	if err := outfile.Write("/dev/full", []byte("x")); err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("a full disk: %v", err)
	}
}

// TestCheck finds what cannot be written, and leaves nothing where it can.
func TestCheck(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))
	must(t, outfile.Check(filepath.Join(dir, "new")))
	must(t, outfile.Check(filepath.Join(dir, "later", "made", "new")))
	must(t, outfile.Check("/dev/null"))
	must(t, os.Symlink("nothing", filepath.Join(dir, "link")))
	for path, want := range map[string]string{
		filepath.Join(dir, "link", "new"): "link is a link to nothing",
		dir:                               "it is a directory",
		filepath.Join(dir, "file", "new"): "no",
		"/proc/new":                       "",
	} {
		err := outfile.Check(path)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
		if e := (*outfile.Error)(nil); !errors.As(err, &e) || e.Path != path {
			t.Errorf("%s: not an Error of it: %v", path, err)
		}
	}
	left, err := os.ReadDir(dir)
	must(t, err)
	if len(left) != 2 {
		t.Errorf("left: %v", left)
	}
}
