// SPDX-License-Identifier: GPL-2.0-only

//go:build cgo

package source_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/design"
	"github.com/tcsim/tcsim/jit/source"
	"github.com/tcsim/tcsim/jit/source/ktree"
)

func TestParseSpec(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "linux-its")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]source.Spec{
		dir:                         {Tree: dir},
		dir + "-retpoline":          {Tree: dir, Features: []string{"retpoline"}},
		dir + "-retpoline-its":      {Tree: dir, Features: []string{"retpoline", "its"}},
		dir + "+its":                {Tree: dir, Features: []string{"its"}},
		dir + "@v6.6-rc1":           {Tree: dir + "@v6.6-rc1"},
		dir + "@v6.6-rc1+lfence":    {Tree: dir + "@v6.6-rc1", Features: []string{"lfence"}},
		"a.c?version=6.12":          {Tree: "a.c", Version: ktree.Version{Major: 6, Minor: 12, Patch: -1}},
		"a.c-nobmi2?version=6.12.3": {Tree: "a.c", Features: []string{"nobmi2"}, Version: ktree.Version{Major: 6, Minor: 12, Patch: 3}},
		"a.c?extra=b.c&extra=c.c":   {Tree: "a.c", Extra: []string{"b.c", "c.c"}},
		"c++.c?cache=no&base=6.1":   {Tree: "c++.c", NoCache: true, Base: "6.1"},
	} {
		got, err := source.ParseSpec(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		again, err := source.ParseSpec(got.Name())
		if err != nil || got.Name() != again.Name() || got.Tree != again.Tree {
			t.Errorf("%s: name %s is read as %+v, %v", name, got.Name(), again, err)
		}
		if got.Name() != want.Name() || got.Tree != want.Tree {
			t.Errorf("%s: %+v, expected %+v", name, *got, want)
		}
	}
	for name, want := range map[string]string{
		"":                 "no kernel source named",
		"a.c?version=six":  `kernel version "six": expected one such as 6.12`,
		"a.c?versoin=6.12": `unknown key "versoin"`,
		"?version=6.12":    "no kernel source named",
	} {
		if _, err := source.ParseSpec(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, expected %q", name, err, want)
		}
	}
}

// history makes a git repository with a revision for each text of the JIT file; "" is one without it.
func history(t *testing.T, tree ktree.Tree, texts ...string) string {
	t.Helper()
	dir := t.TempDir()
	git := func(args ...string) {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"}, args...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v: %s", args, err, out)
		}
	}
	git("init", "-q", "-b", "main")
	for _, name := range []string{"Makefile", "include/linux/bpf.h", "include/linux/filter.h", "arch/x86/include/asm/nops.h"} {
		text, err := tree.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name), string(text))
	}
	for _, text := range texts {
		file := filepath.Join(dir, ktree.JITFile)
		if text == "" {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		} else {
			write(t, file, text)
		}
		git("add", "-A")
		git("commit", "-q", "--allow-empty", "-m", "next")
	}
	return dir
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestRevisions reads revisions without a checkout.
func TestRevisions(t *testing.T) {
	if testing.Short() {
		t.Skip("only in full runs")
	}
	tree := open(t, "6.12")
	good, err := tree.ReadFile(ktree.JITFile)
	if err != nil {
		t.Fatal(err)
	}
	const count = "EMIT4(0x48, 0x83, 0x00, 0x01);"
	bad := strings.ReplaceAll(string(good), count, "EMIT4(0x48, 0x83, 0x00, 0x00);")
	if bad == string(good) {
		t.Fatalf("the file has no %s", count)
	}
	dir := history(t, tree, string(good), bad, "", "int x(\n")
	o := &source.Opener{Processor: processor, Cache: t.TempDir()}
	for rev, want := range map[string]string{
		"HEAD~3": "", "HEAD~2": "",
		"HEAD~1":   "no such file",
		"HEAD":     "is no BPF JIT of x86-64",
		"v6.6":     "revision v6.6: fatal",
		"--help":   "revision --help",
		"HEAD~3:x": "revision HEAD~3:x",
	} {
		target, err := o.Open(dir + "@" + rev)
		if want != "" {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error %v, expected %q", rev, err, want)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", rev, err)
			continue
		}
		if err := tailCall(t, target); err != nil {
			t.Errorf("%s: %v", rev, err)
		}
		if target.Design != design.Hier612 || !strings.Contains(target.Source, "@"+rev) {
			t.Errorf("%s: design %v, source %q", rev, target.Design, target.Source)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, ktree.JITFile)); err != nil {
		t.Errorf("the work tree changed: %v", err)
	}
}

// TestExtra compiles another file with the JIT.
func TestExtra(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles kernel sources")
	}
	const push = "EMIT1(0x50);             /* push rax */\n\t\t/* Make rax as tail_call_cnt_ptr. */"
	target, err := jit.TargetByName("6.12")
	if err != nil {
		t.Fatal(err)
	}
	tree := edit(t, push, "tcsim_test_extra(&prog); "+push)
	text := []byte("#include <linux/types.h>\nstatic void tcsim_test_extra(u8 **p) { *(*p)++ = 0x90; }\n")
	j, err := source.New(t.Context(), tree, target, source.Options{Processor: processor, Extra: []source.Extra{{Shown: "extra.c", Text: text}}})
	if err != nil {
		t.Fatal(err)
	}
	target.Emitter = j
	if err := tailCall(t, target); err != nil {
		t.Error(err)
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
}

// TestCache checks that an object is kept by what it is made of, and that a damaged one is made again.
func TestCache(t *testing.T) {
	if testing.Short() {
		t.Skip("only in full runs")
	}
	tree := open(t, "6.12")
	target, err := jit.TargetByName("6.12")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	build := func(tree ktree.Tree, cache string) {
		t.Helper()
		j, err := source.New(t.Context(), tree, target, source.Options{Processor: processor, Cache: cache})
		if err != nil {
			t.Fatal(err)
		}
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	}
	objects := func() []string {
		t.Helper()
		found, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	build(tree, "")
	if n := len(objects()); n != 0 {
		t.Errorf("%d objects without a cache", n)
	}
	build(tree, dir)
	build(tree, dir)
	if n := len(objects()); n != 1 {
		t.Fatalf("%d objects of one file", n)
	}
	if err := os.WriteFile(objects()[0], []byte("\x7fELF"), 0o600); err != nil {
		t.Fatal(err)
	}
	build(tree, dir)
	build(edit(t, "static bool is_imm8(int value)\n{", "static bool is_imm8(int value)\n{ "), dir)
	if n := len(objects()); n != 2 {
		t.Errorf("%d objects of two files", n)
	}
	build(tree, filepath.Join(os.DevNull, "x")) // a cache that cannot be written is not used
}
