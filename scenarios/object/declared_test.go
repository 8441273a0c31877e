// SPDX-License-Identifier: GPL-2.0-only

//go:build cgo

package object_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/verify"
)

// TestDeclared: what loaders read of a file, and the library that reads it for us does not.
func TestDeclared(t *testing.T) {
	f := open(t, "loader/declared.o")
	prog := func(name string) *bpf.Program {
		i := slices.IndexFunc(f.Programs, func(p bpf.Program) bool { return p.Name == name })
		if i < 0 {
			t.Fatalf("no program %s", name)
		}
		if err := f.LeftOutOf(i); err != nil && name != "typed" {
			t.Fatalf("%s: %v", name, err)
		}
		return &f.Programs[i]
	}
	if len(f.Programs) != 5 {
		t.Errorf("%d programs, expected 5: functions are none", len(f.Programs))
	}
	throws := prog("throws")
	if n := len(throws.Funcs); n != 2 || throws.Funcs[1].Name != "caught" || !throws.Funcs[1].ExceptionCB || !throws.Funcs[1].Global || len(throws.Funcs[1].Params) != 1 {
		t.Errorf("functions of throws: %+v, expected the callback for exceptions", throws.Funcs)
	}
	if m := throws.MapsUsed(); len(m) != 1 || throws.Maps[m[0]].ValueSize != 8 {
		t.Errorf("maps of throws: %v, expected that of a section of zeroes", m)
	}
	if p := prog("sleeps"); p.Type != bpf.RawTracepoint || !p.Sleepable || p.AttachTo != "sys_enter" {
		t.Errorf("sleeps: %v, may sleep: %v, of %q", p.Type, p.Sleepable, p.AttachTo)
	}
	if p := prog("many"); p.Type != bpf.Tracing || p.AttachType != 59 {
		t.Errorf("many: %v, attach type %d", p.Type, p.AttachType)
	}
	if p := prog("untyped"); len(p.Symbols) != 1 || p.Symbols[0].Name != "bpf_sym_untyped" || p.Symbols[0].Kind != bpf.SymbolAddress {
		t.Errorf("symbols of untyped: %+v", p.Symbols)
	}
	i := slices.IndexFunc(f.Programs, func(p bpf.Program) bool { return p.Name == "typed" })
	if err := f.LeftOutOf(i); err == nil || !strings.Contains(err.Error(), "kernel symbol bpf_sym_typed: the kernel's types do not have it") {
		t.Errorf("typed: %v", err)
	}
	target, err := jit.TargetByName("6.12")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"throws", "untyped"} {
		if _, err := verify.Check(prog(name), &target.Kernel); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
