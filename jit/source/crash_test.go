// SPDX-License-Identifier: GPL-2.0-only

//go:build cgo

package source_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/fixtures"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/emit"
	"github.com/tcsim/tcsim/jit/source"
	"github.com/tcsim/tcsim/jit/source/compiler"
	"github.com/tcsim/tcsim/jit/source/ktree"
	"github.com/tcsim/tcsim/jit/verify"
)

// edited is a tree with another JIT file.
type edited struct {
	ktree.Tree
	text []byte
}

func (e edited) ReadFile(name string) ([]byte, error) {
	if name == ktree.JITFile {
		return e.text, nil
	}
	return e.Tree.ReadFile(name)
}

func (e edited) Shown(name string) string { return name }

// edit returns the tree of 6.12 with one change of its JIT.
func edit(t *testing.T, from, to string) ktree.Tree {
	t.Helper()
	tree := open(t, "6.12")
	text, err := tree.ReadFile(ktree.JITFile)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(text), from) != 1 {
		t.Fatalf("%q is %d times in the file, expected once", from, strings.Count(string(text), from))
	}
	return edited{tree, []byte(strings.Replace(string(text), from, to, 1))}
}

// tailCall compiles the first program with a tail call of the captures of 6.12 with the target's own
// compiler or with the JIT of a tree.
func tailCall(t *testing.T, target *jit.Target) error {
	t.Helper()
	src, err := capture.OpenFS(fixtures.FS, "kernels/6.12-off.jsonl.gz", "6.12-off")
	if err != nil {
		t.Fatal(err)
	}
	for i := range src.Len() {
		s, err := src.Scenario(i)
		if err != nil {
			t.Fatal(err)
		}
		if s.Name != "tail/main/const/stack0" {
			continue
		}
		sym := src.Symbols.Table()
		p, err := s.Xlated(0, &src.Header, sym)
		if err != nil {
			t.Fatal(err)
		}
		v, err := verify.Analyse(p, &target.Kernel)
		if err != nil {
			t.Fatal(err)
		}
		_, err = jit.Compile(v, target, s.Env(0, &src.Header, sym))
		return err
	}
	t.Fatal("no such scenario")
	return nil
}

func TestCrashes(t *testing.T) {
	const push = "EMIT1(0x50);             /* push rax */\n\t\t/* Make rax as tail_call_cnt_ptr. */"
	for n, c := range []struct {
		name, from, to string
		want           []string
	}{
		{
			"unknown function", push, "emit_frob(&prog); " + push,
			[]string{"the JIT uses emit_frob in emit_prologue_tail_call", ktree.JITFile + ":", "which tcsim does not know"},
		},
		{
			"unknown symbol in the image", push, "extern char frob_cnt[]; EMIT1_off32(0xB8, (u32)(long)frob_cnt); " + push,
			[]string{"function 0 (main): the code refers to frob_cnt at offset"},
		},
		{
			"loop", push, "for (;;) barrier(); " + push,
			[]string{"the JIT does not come to an end", "emit_prologue_tail_call"},
		},
		{
			"outside its image", "memcpy(rw_image + proglen, temp, ilen);\n\tproglen += ilen;\n\taddrs[0] = proglen;",
			"memcpy(rw_image + proglen, temp, ilen);\n\t*(rw_image ? rw_image + oldproglen + 64 : temp) = 1;\n\tproglen += ilen;\n\taddrs[0] = proglen;",
			[]string{"the JIT writes past the end of the image of function 0", "do_jit"},
		},
		{
			"null pointer", push, "*(volatile int *)8 = 1; " + push,
			[]string{"the JIT accesses 0x8", "emit_prologue_tail_call"},
		},
		{
			"BUG", push, "BUG_ON(prog); " + push,
			[]string{"the JIT stops the kernel", "BUG: BUG_ON(prog)", ktree.JITFile + ":"},
		},
		{
			"WARN", push, "WARN_ON(prog); " + push,
			[]string{"the JIT warns", "WARN: WARN_ON(prog)"},
		},
		{
			"messages and no code", "proglen = 0;\n\tu8 *prog = temp;", "proglen = 0;\n\tu8 *prog = (pr_err(\"no: %d %x %s %llx\\n\", -1, 255, \"why\", 1ull << 40), temp); return -EINVAL;",
			[]string{"the JIT makes no code for function 0", "printk: no: -1 ff why 10000000000"},
		},
		{
			"does not converge", push, "static int flip; if (flip++ & 1) EMIT1(0x90); " + push,
			[]string{"makes no code for function 0"},
		},
	} {
		if testing.Short() && n%4 != 0 {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			target, err := jit.TargetByName("6.12")
			if err != nil {
				t.Fatal(err)
			}
			target.Emitter = compile(t, edit(t, c.from, c.to), target)
			for range 2 { // a crash leaves nothing behind
				err = tailCall(t, target)
				if err == nil {
					t.Fatal("no error")
				}
				for _, w := range c.want {
					if !strings.Contains(err.Error(), w) {
						t.Errorf("%v\nexpected %q in it", err, w)
					}
				}
			}
			if failed := errors.Is(err, emit.ErrNotJITed); failed != strings.Contains(err.Error(), "makes no code") {
				t.Errorf("%v: is ErrNotJITed: %t", err, failed)
			}
		})
	}
}

// TestCompilerMessages checks that they name the user's file and line.
func TestCompilerMessages(t *testing.T) {
	target, err := jit.TargetByName("6.12")
	if err != nil {
		t.Fatal(err)
	}
	const is = "static bool is_imm8(int value)\n{"
	tree := edit(t, is, is+" frob_t x;")
	text, _ := tree.ReadFile(ktree.JITFile)
	where := fmt.Sprintf("%s:%d:", ktree.JITFile, 1+strings.Count(strings.Split(string(text), "frob_t")[0], "\n"))
	_, err = source.New(context.Background(), tree, target, source.Options{Processor: processor})
	var msg *compiler.CompileError
	if !errors.As(err, &msg) || !strings.Contains(msg.Text, where) || !strings.Contains(msg.Text, "frob_t") {
		t.Errorf("error %v, expected one of the C compiler at %s", err, where)
	}
}

// TestOpen checks what is no kernel source.
func TestOpen(t *testing.T) {
	dir := t.TempDir()
	loop := filepath.Join(dir, "loop")
	if err := os.Symlink(loop, loop); err != nil {
		t.Fatal(err)
	}
	arm := filepath.Join(dir, "arm.c")
	if err := os.WriteFile(arm, []byte("struct bpf_prog *bpf_int_jit_compile(struct bpf_prog *prog);\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"":                            "no kernel source named",
		dir:                           "no such file (expected the root of a kernel tree)",
		loop:                          "too many levels of symbolic links",
		filepath.Join(dir, "nowhere"): "no such file or directory",
		dir + "@v6.6":                 "not a git repository",
		os.DevNull:                    "neither a folder nor a C file",
	} {
		if _, err := ktree.Open(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("open %q: error %v, expected %q", name, err, want)
		}
	}
	target, err := jit.TargetByName("6.12")
	if err != nil {
		t.Fatal(err)
	}
	tree, err := ktree.Open(arm)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := source.New(context.Background(), tree, target, source.Options{Processor: processor}); !errors.Is(err, ktree.ErrNoVersion) {
		t.Errorf("a lone file: error %v, expected ErrNoVersion", err)
	}
	opts := source.Options{Processor: processor, Version: ktree.Version{Major: 6, Minor: 12}}
	if _, err := source.New(context.Background(), tree, target, opts); err == nil || !strings.Contains(err.Error(), "is no BPF JIT of x86-64") {
		t.Errorf("another architecture's file: error %v", err)
	}
}
