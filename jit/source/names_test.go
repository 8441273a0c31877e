// SPDX-License-Identifier: GPL-2.0-only

//go:build cgo

package source_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/source"
	"github.com/tcsim/tcsim/jit/source/ktree"
)

// replace is one change of a file of a tree.
type replace struct{ file, from, to string }

// patched copies what matters of the tree of 6.12, with changes; a change of nothing adds a file.
func patched(t *testing.T, edits ...replace) string {
	t.Helper()
	tree, dir := open(t, "6.12"), t.TempDir()
	files := map[string]string{}
	for _, name := range []string{
		ktree.JITFile, "Makefile", "include/linux/bpf.h", "include/linux/filter.h", "arch/x86/include/asm/nops.h", "arch/x86/include/asm/ibt.h", "kernel/bpf/verifier.c",
	} {
		text, err := tree.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = string(text)
	}
	for _, e := range edits {
		if e.from != "" && strings.Count(files[e.file], e.from) != 1 {
			t.Fatalf("%s: %q is %d times in it, expected once", e.file, e.from, strings.Count(files[e.file], e.from))
		}
		if e.from == "" {
			files[e.file] = e.to
		}
		files[e.file] = strings.Replace(files[e.file], e.from, e.to, 1)
	}
	for name, text := range files {
		write(t, filepath.Join(dir, name), text)
	}
	return dir
}

// openedWith opens a target and returns what is said of it.
func openedWith(t *testing.T, name string) (*jit.Target, *[]string) {
	t.Helper()
	var said []string
	o := &source.Opener{Processor: processor, Cache: t.TempDir(), Say: func(s string) { said = append(said, s) }}
	target, err := o.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	again, err := o.Open(name) // from the cache
	if err != nil || again.Emitter == nil {
		t.Fatal(err)
	}
	return target, &said
}

const compileStart = "struct bpf_prog *bpf_int_jit_compile(struct bpf_prog *prog)\n{\n"

// TestNames uses what kernel code of any kind takes for granted.
func TestNames(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles kernel sources")
	}
	dir := patched(t, replace{ktree.JITFile, compileStart, compileStart + "\tif (!tcsim_try_names())\n\t\treturn prog;\n"})
	target, said := openedWith(t, dir+"?extra=testdata/names.c")
	if err := tailCall(t, target); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"all names are there, program type 6", "printk: 0", "printk: 0x1"} {
		if !slices.ContainsFunc(*said, func(s string) bool { return strings.Contains(s, want) }) {
			t.Errorf("said %q, expected %q", *said, want)
		}
	}
}

// TestPatchedHeaders uses what a patch adds to headers: constants, macros, functions, fields.
func TestPatchedHeaders(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles kernel sources")
	}
	dir := patched(t,
		replace{"include/linux/bpf.h", "struct bpf_prog_aux {\n", "#define TRY_SHIFT(x) ((x) << TRY_BITS)\nenum try_bits { TRY_NONE, TRY_FIRST = 3, TRY_BITS };\n" +
			"struct try_inner { u32 a, b; };\nstatic inline u32 try_twice(u32 x)\n{\n\treturn x * 2;\n}\nstruct bpf_prog_aux {\n\tu32 try_plain, *try_pointer;\n\tstruct try_inner try_inside;\n"},
		replace{"arch/x86/net/try.h", "", "#define TRY_LOCAL 7\n"},
		replace{ktree.JITFile, compileStart, "#include \"try.h\"\n" + compileStart + "\tprog->aux->try_inside.b = TRY_SHIFT(1);\n" +
			"\tif (prog->aux->try_plain || prog->aux->try_pointer || try_twice(prog->aux->try_inside.b) != 32 || TRY_LOCAL != 7)\n\t\treturn prog;\n"},
	)
	target, said := openedWith(t, dir)
	if err := tailCall(t, target); err != nil {
		t.Fatal(err)
	}
	facts := target.Emitter.(*source.JIT).Facts()
	for _, name := range []string{"TRY_SHIFT", "TRY_BITS", "try_inner", "try_twice", "bpf_prog_aux.try_plain", "bpf_prog_aux.try_pointer", "bpf_prog_aux.try_inside"} {
		at := slices.IndexFunc(facts.Taken, func(f ktree.Fact) bool { return f.Name == name })
		if at < 0 || !strings.Contains(facts.Taken[at].From, "include/linux/bpf.h:") {
			t.Errorf("%s was not taken from the header: %+v", name, facts.Taken)
		}
	}
	if !slices.ContainsFunc(*said, func(s string) bool { return strings.Contains(s, "field try_plain of struct bpf_prog_aux is 0") }) {
		t.Errorf("said %q", *said)
	}
}
