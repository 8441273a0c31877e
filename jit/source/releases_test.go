// SPDX-License-Identifier: GPL-2.0-only

//go:build cgo

package source_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/source"
	"github.com/tcsim/tcsim/jit/source/compiler"
	"github.com/tcsim/tcsim/jit/source/ktree"
)

// TestSay has the JIT print something and go on: it is shown once, with its line.
func TestSay(t *testing.T) {
	if testing.Short() {
		t.Skip("only in full runs")
	}
	const begin = "proglen = 0;\n\tu8 *prog = temp;"
	tree := edit(t, begin, "proglen = 0;\n\tu8 *prog = (pr_info(\"hello %d\\n\", 7), temp);")
	var said []string
	o := &source.Opener{Processor: processor, Say: func(what string) { said = append(said, what) }}
	dir := t.TempDir() + "/linux"
	for _, name := range []string{"Makefile", ktree.JITFile} {
		text, err := tree.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		write(t, dir+"/"+name, string(text))
	}
	target, err := o.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := tailCall(t, target); err != nil {
			t.Fatal(err)
		}
	}
	if len(said) != 1 || !strings.Contains(said[0], ktree.JITFile+":") || !strings.HasSuffix(said[0], ": printk: hello 7") {
		t.Errorf("said %q", said)
	}
}

// TestUnedited checks that releases are recognised, that their code is compared with ours, and that a difference is said
// to be our mistake.
func TestUnedited(t *testing.T) {
	if testing.Short() {
		t.Skip("only in full runs")
	}
	tree := open(t, "6.12")
	v, err := ktree.TreeVersion(tree)
	if err != nil {
		t.Fatal(err)
	}
	if v.String() != "6.12.107" {
		t.Skipf("the source is of Linux %s, the captures are of 6.12.107", v)
	}
	var said []string
	o := &source.Opener{Processor: processor, Cache: compiler.CacheDir(), Say: func(what string) { said = append(said, what) }}
	target, err := o.Open(strings.TrimSuffix(tree.Shown(ktree.JITFile), "/"+ktree.JITFile))
	if err != nil {
		t.Fatal(err)
	}
	j := target.Emitter.(*source.JIT)
	if !slices.Equal(j.Releases(), []string{"6.12.107"}) || !j.Compared() {
		t.Errorf("taken for %q, compared: %t", j.Releases(), j.Compared())
	}
	if err := tailCall(t, target); err != nil || len(said) > 0 {
		t.Errorf("error %v, said %q", err, said)
	}
	other, err := jit.TargetByName("6.12")
	if err != nil {
		t.Fatal(err)
	}
	other.Emit.SLS = false
	j.CompareWith(other, "6.12.107")
	if err := tailCall(t, target); err != nil {
		t.Error(err)
	}
	const want = "the file is that of Linux 6.12.107, unedited, and emits other code than tcsim's own 6.12: function 0 (main) differs at offset 0x"
	if len(said) != 1 || !strings.HasPrefix(said[0], want) || !strings.HasSuffix(said[0], "This is a mistake of tcsim, not of the file") {
		t.Errorf("said %q", said)
	}
	edited, err := opened(t, "6.12", "", map[string][2]string{ktree.JITFile: {"static bool is_imm8(int value)\n{", "static bool is_imm8(int value)\n{ "}})
	if err != nil {
		t.Fatal(err)
	}
	if j := edited.Emitter.(*source.JIT); len(j.Releases()) > 0 || j.Compared() {
		t.Errorf("an edited file is taken for %q", j.Releases())
	}
	edited, err = opened(t, "6.12", "", map[string][2]string{"include/linux/bpf.h": {"MAX_TAIL_CALL_CNT 33", "MAX_TAIL_CALL_CNT 34"}})
	if err != nil {
		t.Fatal(err)
	}
	if edited.Emitter.(*source.JIT).Compared() {
		t.Error("an edited header makes a mistake of tcsim")
	}
}
