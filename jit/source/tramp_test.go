// SPDX-License-Identifier: GPL-2.0-only

//go:build cgo

package source_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/arch/x86/x86asm"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/emit"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/jittest"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/source/ktree"
)

// tracedEnv places a trampoline far enough from what it calls, which has addresses by name.
type tracedEnv struct{ jittest.FlatEnv }

func (tracedEnv) Place(int, int, image.CodeOff) (image.Addr, error) { return 0xffffffffc0100000, nil }

func (tracedEnv) Symbol(name string) (image.Addr, error) {
	a := image.Addr(0xffffffff81000000)
	for _, c := range name {
		a += image.Addr(c) * 16
	}
	return a, nil
}

// TestTrampolines compares trampolines of every shape with what the kernels' own arch_prepare_bpf_trampoline makes, of
// all kernels whose source is there.
func TestTrampolines(t *testing.T) {
	found, err := filepath.Glob(filepath.Join(sourceDir(), "*", ktree.JITFile))
	if err != nil {
		t.Fatal(err)
	}
	if len(found) < len(needed) {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%d kernel sources in %s: run .ci/setup-sources", len(found), sourceDir())
		}
		t.Skipf("%d kernel sources in %s: run .ci/setup-sources", len(found), sourceDir())
	}
	for _, file := range found {
		dir := filepath.Dir(filepath.Dir(filepath.Dir(filepath.Dir(file))))
		version := filepath.Base(dir)
		t.Run(version, func(t *testing.T) {
			own, err := jit.TargetByName(version)
			if err != nil && os.Getenv("CI") == "true" {
				t.Fatal(err)
			}
			if err != nil {
				t.Skip(err) // a folder of somebody's own
			}
			if !own.Emit.Tramp.Exists {
				t.Skip("no trampolines")
			}
			tree, err := ktree.Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			theirs := *own
			theirs.Emitter = compile(t, tree, own)
			n := 0
			for shape := range uint(3 * 3 * 3 * 4 * 2) {
				if shape%27 == 0 || testing.Short() && shape%7 != 0 { // 0 of each kind are no programs
					continue
				}
				f, what := traced(shape)
				want, werr := jit.CompileTrampoline(f, &theirs, tracedEnv{})
				got, err := jit.CompileTrampoline(f, own, tracedEnv{})
				switch {
				case errors.Is(err, kernels.ErrUnsupported) && werr != nil:
					continue
				case errors.Is(werr, kernels.ErrUnsupported):
					t.Skip("the driver has no call for these trampolines: ", werr)
				}
				if err != nil || werr != nil {
					t.Errorf("%s: ours: %v, the source: %v", what, err, werr)
					continue
				}
				n++
				if !bytes.Equal(got.Func.Code, want.Func.Code) || got.Site != want.Site {
					t.Errorf("%s: ours, then the source's:\n%s\n%s\n%v\n%v", what, listed(t, got.Func.Code), listed(t, want.Func.Code), got.Site, want.Site)
					return
				}
			}
			t.Logf("%d trampolines", n)
		})
	}
}

// traced makes a traced function of a number: how many programs of each kind, arguments, and whether it can tail call.
func traced(shape uint) (f *emit.Traced, what string) {
	take := func(n uint) uint {
		v := shape % n
		shape /= n
		return v
	}
	f = &emit.Traced{Name: "f", Func: 0xffffffffc0200040, Image: 0xffff888101234500}
	next := image.Addr(0xffffffffc0300000)
	for _, k := range []emit.TraceKind{emit.Fentry, emit.FmodRet, emit.Fexit} {
		n := take(3)
		what += fmt.Sprintf("%d %v, ", n, k)
		for range n {
			f.Attach(k, emit.TracingProg{Func: next, Prog: 0xffffc90000000000 + next&0xffffff})
			next += 0x1000
		}
	}
	f.Args = [][]uint8{{8}, {8, 8}, {4, 8, 1, 2}, {1, 2, 4, 8, 4, 8}}[take(4)]
	f.TailCalls = take(2) == 1
	return f, what + fmt.Sprintf("arguments %v, tail calls %v", f.Args, f.TailCalls)
}

// listed is machine code as text, an instruction a line.
func listed(t *testing.T, code []byte) string {
	t.Helper()
	var b strings.Builder
	for at := 0; at < len(code); {
		in, err := x86asm.Decode(code[at:], 64)
		if err != nil {
			t.Fatalf("at %#x: %v", at, err)
		}
		fmt.Fprintf(&b, "%4x  %-24x %s\n", at, code[at:at+in.Len], x86asm.GNUSyntax(in, 0, nil))
		at += in.Len
	}
	return b.String()
}
