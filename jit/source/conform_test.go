// SPDX-License-Identifier: GPL-2.0-only

//go:build cgo

package source_test

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/fixtures"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/conform"
	"github.com/tcsim/tcsim/jit/source"
	"github.com/tcsim/tcsim/jit/source/compiler"
	"github.com/tcsim/tcsim/jit/source/ktree"
)

// sourceDir is where .ci/setup-sources puts kernel sources: a folder for each version.
func sourceDir() string {
	if d := os.Getenv("TCSIM_SOURCES"); d != "" {
		return d
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "tcsim", "src")
}

// needed are the kernels whose source is there in CI.
var needed = []string{"6.1", "6.12", "7.3"}

// open opens the source of a kernel such as "6.12" or "7.3.4", or skips.
func open(t testing.TB, version string) ktree.Tree {
	t.Helper()
	var found []string
	for _, dir := range []string{version, version + ".*"} {
		files, _ := filepath.Glob(filepath.Join(sourceDir(), dir, ktree.JITFile))
		found = append(found, files...)
	}
	if len(found) == 0 {
		if os.Getenv("CI") == "true" && slices.ContainsFunc(needed, func(n string) bool { return version == n || strings.HasPrefix(version, n+".") }) {
			t.Fatalf("no source of kernel %s in %s: run .ci/setup-sources", version, sourceDir())
		}
		t.Skipf("no source of kernel %s in %s: run .ci/setup-sources", version, sourceDir())
	}
	tree, err := ktree.Open(strings.TrimSuffix(found[0], "/"+ktree.JITFile))
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func processor() (source.Processor, error) { return emu.NewProcessor(2 << 30) }

// compile makes the JIT of a tree for a target.
func compile(t testing.TB, tree ktree.Tree, target *jit.Target) *source.JIT {
	t.Helper()
	j, err := source.New(context.Background(), tree, target, source.Options{Processor: processor, Cache: compiler.CacheDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	})
	return j
}

// TestConform compares what the kernels' own source emits here with what the kernels emitted.
func TestConform(t *testing.T) {
	names, err := fs.Glob(fixtures.FS, "kernels/*.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range names {
		name := strings.TrimSuffix(filepath.Base(file), ".jsonl.gz")
		if testing.Short() && name != "6.12-off" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			src, err := capture.OpenFS(fixtures.FS, file, name)
			if err != nil {
				t.Fatal(err)
			}
			target, err := src.Header.Target()
			if err != nil {
				t.Fatal(err)
			}
			tree := open(t, target.Version.String())
			began := time.Now()
			target.Emitter = compile(t, tree, target)
			compiled := time.Since(began)
			r, err := conform.Compare(src, conform.Options{Target: target, Keep: 5})
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("compiled in %v, all in %v: images %v, facts %v, trampolines %v, not JITed %d", compiled, time.Since(began), r.Total(), r.Facts, r.Trampolines, r.NotJITed)
			if !r.OK() {
				t.Errorf("differs")
			}
			for _, m := range r.Mismatches {
				t.Logf("%s prog %d func %d %v: %s\n%s", m.Scenario, m.Prog, m.Func, m.State, m.Reason, m.Listing)
			}
		})
	}
}
