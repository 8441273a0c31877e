// SPDX-License-Identifier: GPL-2.0-only

package symbols_test

import (
	"bytes"
	"debug/dwarf"
	"debug/elf"
	"testing"

	_ "github.com/tcsim/tcsim/fixtures/golden" // for go test ./... -update

	"github.com/tcsim/tcsim/emu/symbols"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit/image"
)

// TestNames gives functions names that no debugger takes, and one name twice; scenarios/debug tests the rest, on runs.
func TestNames(t *testing.T) {
	code := []byte{0x90, 0xc3}
	f := symbols.File{
		Listing: "code.lst", Folder: "/somewhere",
		Others: []symbols.Other{
			{Name: "", Addr: 0xffffffff81000000, Code: code}, {Name: "a b:c'é", Addr: 0xffffffff81000100, Code: code},
			{Name: "twice", Addr: 0xffffffff81000200, Code: code}, {Name: "twice", Addr: 0xffffffff81000300, Code: code, Outermost: true},
		},
	}
	img := &image.Image{Funcs: []image.FuncImage{{Name: "far", Addr: 0xffffffffc0000000, Code: append(bytes.Repeat([]byte{0x90}, 70_000), 0x55, 0xc3), Frame: image.Frame{Landing: -1}}}}
	c, err := trace.NewCode([]*image.Image{img}, trace.Options{})
	if err != nil {
		t.Fatal(err)
	}
	f.Funcs = []symbols.Func{{Fn: c.Funcs()[0], Code: img.Funcs[0].Code}}
	listing, data := f.Encode()
	if n := bytes.Count([]byte(listing), []byte("\n")); n != 70_004 {
		t.Errorf("the listing has %d lines", n)
	}
	e, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	symbolsOf, err := e.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range symbolsOf {
		names = append(names, s.Name)
	}
	want := []string{"code.lst", "far", "function", "a_b.c__", "twice", "twice.2"}
	if len(names) != len(want) {
		t.Fatalf("symbols %q", names)
	}
	for i := range want {
		if names[i] != want[i] {
			t.Errorf("symbol %d is %q, want %q", i, names[i], want[i])
		}
	}
	d, err := e.DWARF()
	if err != nil {
		t.Fatal(err)
	}
	unit, err := d.Reader().Next()
	if err != nil {
		t.Fatal(err)
	}
	lines, err := d.LineReader(unit)
	if err != nil {
		t.Fatal(err)
	}
	var at dwarf.LineEntry
	if err := lines.SeekPC(0xffffffffc0000000+70_001, &at); err != nil || at.Line != 70_003 {
		t.Errorf("%v: line %d", err, at.Line)
	}
}
