// SPDX-License-Identifier: GPL-2.0-only

//go:build cgo

package source_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/fixtures"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/source"
	"github.com/tcsim/tcsim/jit/source/compiler"
	"github.com/tcsim/tcsim/jit/source/ktree"
	"github.com/tcsim/tcsim/scenarios/object"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// opened opens a target of a tree, such as "6.12", of which a copy is edited first: files by name, each with pairs of
// texts. One that has no text before is new.
func opened(t *testing.T, version, rest string, edits map[string][2]string) (*jit.Target, error) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "linux")
	from := strings.TrimSuffix(open(t, version).Shown(ktree.JITFile), "/"+ktree.JITFile)
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	for name, e := range edits {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil && e[0] != "" {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), e[0]) {
			t.Fatalf("%s has no %q", name, e[0])
		}
		write(t, filepath.Join(dir, name), strings.Replace(string(text), e[0], e[1], 1))
	}
	o := &source.Opener{Processor: processor, Cache: t.TempDir()}
	return o.Open(dir + rest)
}

// taken plays chain33 and returns how many tail calls were taken and whether a limit was violated.
func taken(t *testing.T, target *jit.Target) (n uint64, violated bool) {
	t.Helper()
	b, err := object.Load("chain33", object.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := runner.Compile(b, target)
	if err != nil {
		t.Fatal(err)
	}
	s, err := runner.Open(c, runner.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	res, err := s.Play(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return res.Runs[0].Counts.Taken, res.Runs[0].Violation != nil
}

// TestLimitOfHeader edits MAX_TAIL_CALL_CNT.
func TestLimitOfHeader(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles kernel sources")
	}
	for value, want := range map[string]string{"33": "33 false", "32": "32 true", "34": "34 true"} {
		target, err := opened(t, "6.12", "", map[string][2]string{
			"include/linux/bpf.h": {"#define MAX_TAIL_CALL_CNT 33", "#define MAX_TAIL_CALL_CNT " + value},
		})
		if err != nil {
			t.Fatal(err)
		}
		n, violated := taken(t, target)
		if got := fmt.Sprint(n, violated); got != want {
			t.Errorf("MAX_TAIL_CALL_CNT %s: taken and violated %s, expected %s", value, got, want)
		}
	}
}

// TestLayout compares the offsets in structures that the headers of trees show with those of captures of the same
// kernels.
func TestLayout(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles kernel sources")
	}
	names, err := fs.Glob(fixtures.FS, "kernels/[5-9]*-off.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range names {
		kernel, _, _ := strings.Cut(filepath.Base(file), "-")
		t.Run(kernel, func(t *testing.T) {
			target, err := opened(t, kernel, "", nil)
			if err != nil {
				t.Fatal(err)
			}
			src, err := capture.OpenFS(fixtures.FS, file, kernel)
			if err != nil {
				t.Fatal(err)
			}
			of, err := src.Header.Target()
			if err != nil {
				t.Fatal(err)
			}
			if target.Offsets != of.Offsets {
				t.Errorf("the headers say %+v, the capture %+v", target.Offsets, of.Offsets)
			}
			from := ""
			for _, f := range target.Emitter.(*source.JIT).Facts().List {
				if f.Name == "TCSIM_PTRS" {
					from = f.From
				}
			}
			if !strings.Contains(from, "include/linux/bpf.h:") {
				t.Errorf("the offset is from %q, expected a line of include/linux/bpf.h", from)
			}
		})
	}
}

// TestLayoutEdited adds fields: code must find the pointers where the structure has them now.
func TestLayoutEdited(t *testing.T) {
	if testing.Short() {
		t.Skip("only in full runs")
	}
	target, err := opened(t, "6.12", "", map[string][2]string{
		"include/linux/bpf.h": {"struct bpf_array {\n\tstruct bpf_map map;", "struct bpf_array {\n\tstruct bpf_map map;\n\tu64 frob[2];"},
	})
	if err != nil {
		t.Fatal(err)
	}
	own, err := jit.TargetByName("6.12")
	if err != nil {
		t.Fatal(err)
	}
	if want := own.Offsets.ArrayPtrs + 16; target.Offsets.ArrayPtrs != want {
		t.Errorf("pointers at %#x, expected %#x", target.Offsets.ArrayPtrs, want)
	}
	if n, violated := taken(t, target); n != 33 || violated {
		t.Errorf("%d taken, violated: %t", n, violated)
	}
}

// TestConfig reads .config.
func TestConfig(t *testing.T) {
	if testing.Short() {
		t.Skip("only in full runs")
	}
	const usual = "CONFIG_SECURITY=y\nCONFIG_MEMCG=y\nCONFIG_UNWINDER_ORC=y\nCONFIG_MITIGATION_RETPOLINE=y\n"
	emission := func(config, rest string) (*kernels.Emission, error) {
		target, err := opened(t, "6.12", rest, map[string][2]string{".config": {"", config}})
		if err != nil {
			return nil, err
		}
		return &target.Emit, nil
	}
	for config, want := range map[string]string{
		usual:                                 "endbr false sls false jump true cfi 0",
		usual + "CONFIG_X86_KERNEL_IBT=y\n":   "endbr true sls false jump true cfi 0",
		usual + "CONFIG_MITIGATION_SLS=y\n":   "endbr false sls true jump true cfi 0",
		"CONFIG_SECURITY=y\n":                 "endbr false sls false jump false cfi 0",
		usual + "# CONFIG_SLS is not set\n":   "endbr false sls false jump true cfi 0",
		usual + "CONFIG_CFI_CLANG=y\n":        "endbr false sls false jump true cfi 1",
		usual + "CONFIG_X86_KERNEL_IBT=m\n\n": "endbr false sls false jump true cfi 0",
	} {
		e, err := emission(config, "")
		if err != nil {
			t.Errorf("%q: %v", config, err)
			continue
		}
		if got := fmt.Sprintf("endbr %t sls %t jump %t cfi %d", e.ENDBR, e.SLS, e.JumpSLS, e.CFI); got != want {
			t.Errorf("%q: %s, expected %s", config, got, want)
		}
	}
	if e, err := emission(usual, "+endbr"); err != nil || !e.ENDBR {
		t.Errorf("a feature of the name has no precedence: %v", err)
	}
	for config, want := range map[string]string{
		"CONFIG_SECURITY=y\n": `feature "retpoline": `,
		"nothing\n":           "it sets no CONFIG_ option",
	} {
		if _, err := emission(config, "+retpoline"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, expected %q", config, err, want)
		}
	}
}

// TestUnknownNames checks that a name that nothing declares is found when it is used.
func TestUnknownNames(t *testing.T) {
	if testing.Short() {
		t.Skip("only in full runs")
	}
	const push = "EMIT1(0x50);             /* push rax */\n\t\t/* Make rax as tail_call_cnt_ptr. */"
	for _, use := range []string{"emit_nops(&prog, frob_size);", "memcpy(prog, frob_bytes, 0);", "if (frob.x) EMIT1(0x90);"} {
		unused := map[string][2]string{ktree.JITFile: {push, "if (bpf_jit_harden == 77) { " + use + " } " + push}}
		target, err := opened(t, "6.12", "", unused)
		if strings.Contains(use, ".x") { // a structure of which nothing is known
			var msg *compiler.CompileError
			if !errors.As(err, &msg) || !strings.Contains(msg.Text, "'frob'") {
				t.Errorf("%s: error %v, expected the compiler's first messages", use, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", use, err)
			continue
		}
		if err := tailCall(t, target); err != nil {
			t.Errorf("%s is not used: %v", use, err)
		}
		target, err = opened(t, "6.12", "", map[string][2]string{ktree.JITFile: {push, use + " " + push}})
		if err != nil {
			t.Errorf("%s: %v", use, err)
			continue
		}
		err = tailCall(t, target)
		if !errors.Is(err, kernels.ErrUnsupported) || !strings.Contains(err.Error(), "the JIT uses frob_") || !strings.Contains(err.Error(), ktree.JITFile+":") {
			t.Errorf("%s: error %v", use, err)
		}
	}
}
