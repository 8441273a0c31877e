// SPDX-License-Identifier: GPL-2.0-only

package compiler

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestCompilers runs programs that are not compilers. Nothing is left behind, and nothing takes long.
func TestCompilers(t *testing.T) {
	old := compileTime
	compileTime = 5 * time.Second
	defer func() { compileTime = old }()
	for name, c := range map[string]struct{ script, want string }{
		"hangs":      {"sleep 1000 & sleep 1000", "was ended after"},
		"gigabytes":  {`for a; do [ "$out" = -o ] && exec head -c 300000000 /dev/zero > "$a"; out=$a; done`, "a file without end"},
		"chatters":   {"head -c 30000000 /dev/zero | tr '\\0' 'x' >&2; exit 1", "xxx"},
		"no object":  {"exit 0", "makes no object"},
		"silent":     {"exit 1", "the C compiler fails: exit status 1"},
		"a crash":    {"kill -SEGV $$", "the C compiler fails: signal"},
		"no program": {"", "install one that is called cc"},
	} {
		if testing.Short() && len(c.script) > 20 {
			continue // what takes long
		}
		t.Run(name, func(t *testing.T) {
			bin, tmp := t.TempDir(), t.TempDir()
			path := bin
			if c.script != "" {
				path += ":/usr/bin:/bin"
				if err := os.WriteFile(filepath.Join(bin, "cc"), []byte("#!/bin/sh\n"+c.script+"\n"), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			t.Setenv("PATH", path)
			t.Setenv("TMPDIR", tmp)
			began := time.Now()
			_, err := compileNothing(context.Background())
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %.200v, expected %q", err, c.want)
			}
			var msg *CompileError
			if errors.As(err, &msg) && len(msg.Text) > maxMessages+100 {
				t.Errorf("%d bytes of messages", len(msg.Text))
			}
			if d := time.Since(began); d > 2*time.Minute {
				t.Errorf("takes %v", d)
			}
			if left, _ := filepath.Glob(filepath.Join(tmp, "*")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// compileNothing compiles a file that has next to nothing.
func compileNothing(ctx context.Context) ([]byte, error) {
	return Run(ctx, "jit.c", func(dir string) error {
		return os.WriteFile(filepath.Join(dir, "unit.c"), []byte("int x;\n"), 0o600)
	}, nil)
}

// TestCompilerEnded ends a compiler before its time.
func TestCompilerEnded(t *testing.T) {
	bin, tmp := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "cc"), []byte("#!/bin/sh\nsleep 1000\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":/usr/bin:/bin")
	t.Setenv("TMPDIR", tmp)
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if _, err := compileNothing(ctx); err == nil {
		t.Error("no error")
	}
	if left, _ := filepath.Glob(filepath.Join(tmp, "*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
