// SPDX-License-Identifier: GPL-2.0-only

package trace_test

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// function makes code of a function at 0x1000 whose body begins at an offset.
func function(t *testing.T, text string, body image.CodeOff, tails ...image.TailCallSite) *trace.Fn {
	t.Helper()
	code, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	img := &image.Image{Limit: 33, Funcs: []image.FuncImage{{Name: "f", Addr: 0x1000, Code: code, Frame: image.Frame{Body: body, Landing: -1}, TailCalls: tails}}}
	c, err := trace.NewCode([]*image.Image{img}, trace.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return c.Funcs()[0]
}

// TestLevels follows rsp and rbp through code: before each instruction, in bytes from the return address, a star where it
// goes on as in the body.
func TestLevels(t *testing.T) {
	const prologue = "55 4889e5 4883ec10 " // push rbp; mov rbp, rsp; sub rsp, 16: the body begins at 8
	const begin = "0/? -8/? -8/-8 "
	for _, tc := range []struct{ name, code, want string }{
		{"nothing", "4889c1 4889c2", begin + "-24/-8 -24/-8"},
		{"push and pop", "50 58 c3", begin + "-24/-8 -32/-8 -24/-8"},
		{"push of a number", "6a07 90", begin + "-24/-8 -32/-8"},
		{"leave, and what a jump leads to", "c9 c3 90 90", begin + "-24/-8 0/? -24/-8* -24/-8"},
		{"after a jump", "eb01 90 90", begin + "-24/-8 -24/-8* -24/-8"},
		{"after an indirect jump", "50 ffe0 90", begin + "-24/-8 -32/-8 -24/-8*"},
		{"after an indirect call", "50 ffd0 90", begin + "-24/-8 -32/-8 -32/-8"},
		{"after a trap", "50 0f0b 90", begin + "-24/-8 -32/-8 -24/-8*"},
		{"after a condition", "50 7401 90 90", begin + "-24/-8 -32/-8 -32/-8 -32/-8"},
		{"add", "4883c408 90", begin + "-24/-8 -16/-8"},
		{"sub of rbp", "4883ed08 90", begin + "-24/-8 -24/-16"},
		{"add to rbp", "4883c508 90", begin + "-24/-8 -24/0"},
		{"add of a register", "4801c4 90", begin + "-24/-8 ?/-8"},
		{"and", "4883e4f0 90 50", begin + "-24/-8 ?/-8 ?/-8"},
		{"xor of rbp", "4831ed c9 90", begin + "-24/-8 -24/? ?/?"},
		{"mov of another", "4889c5 90", begin + "-24/-8 -24/?"},
		{"mov of rbp", "50 4889ec 90", begin + "-24/-8 -32/-8 -8/-8"},
		{"lea", "488d65f0 90", begin + "-24/-8 -24/-8"},
		{"lea with another base", "488d60f8 90", begin + "-24/-8 ?/-8"},
		{"lea with an index", "488d6405f0 90", begin + "-24/-8 ?/-8"},
		{"lea of another, of elsewhere", "488d45e0 90", begin + "-24/-8 -24/-8"},
		{"lea of another", "488d45f0 90", begin + "-24/-8 -24/-8"},
		{"add to another", "4883c008 90", begin + "-24/-8 -24/-8"},
		{"call inside", "e802000000 ebfe 90 c3", begin + "-24/-8 -24/-8 -32/-8* -32/-8"},
	} {
		var got []string
		function(t, prologue+tc.code, 8).Levels(func(_ *x86.Inst, rsp, rbp int32, body bool) {
			text := level(rsp) + "/" + level(rbp)
			if body {
				text += "*"
			}
			got = append(got, text)
		})
		if text := strings.Join(got, " "); text != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, text, tc.want)
		}
	}
	// In a prologue jumps say where rsp is at their target; in a body it is the body's.
	var got []string
	function(t, "50 eb02 50 50 90 4889c1", 6).Levels(func(_ *x86.Inst, rsp, _ int32, _ bool) { got = append(got, level(rsp)) })
	if text := strings.Join(got, " "); text != "0 -8 ? ? -8 -8" {
		t.Errorf("a jump in a prologue: %s", text)
	}
	// Where a tail call ends, its unwinding has not happened.
	for _, n := range []int{1, 40} { // of many there is a map
		got = nil
		tails := slices.Repeat([]image.TailCallSite{{Start: 8, End: 14}}, n)
		function(t, prologue+"50 4883c410 90 90", 8, tails...).Levels(func(in *x86.Inst, rsp, _ int32, _ bool) {
			got = append(got, fmt.Sprintf("%x:%s", uint64(in.PC)-0x1000, level(rsp)))
		})
		if text := strings.Join(got, " "); text != "0:0 1:-8 4:-8 8:-24 9:-32 d:-16 e:-24" {
			t.Errorf("after a tail call, of %d: %s", n, text)
		}
	}
}

func level(v int32) string {
	if v == trace.Unlevel {
		return "?"
	}
	return fmt.Sprint(v)
}

// TestBelow: of stores, those that are below rsp as far as the code tells.
func TestBelow(t *testing.T) {
	const prologue = "55 4889e5 4883ec10 " // rsp is 16 bytes below rbp
	for _, tc := range []struct {
		name, code string
		want       bool
	}{
		{"at rsp", "48890424", false},
		{"below rsp", "48894424f8", true},
		{"above rsp", "4889442408", false},
		{"by rbp, at rsp", "488945f0", false},
		{"by rbp, below rsp", "488945e8", true},
		{"by another register", "488940e8", false},
		{"with an index", "488944c5e8", false},
		{"per CPU", "65488945e8", false},
		{"a load", "488b45e8", false},
		{"after a push", "90", false},
	} {
		f := function(t, prologue+tc.code+" c3", 8)
		if got := f.OpAt(8)&trace.OpBelow != 0; got != tc.want {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
	for name, code := range map[string]string{ // where nothing is known
		"rsp is not known": "55 4889e5 4801c4 48894424f8 c3", "rbp is not known": "55 4889c5 4883ec10 488945e8 c3",
	} {
		f := function(t, code, 4)
		for off := range f.Code {
			if f.OpAt(image.CodeOff(off))&trace.OpBelow != 0 {
				t.Errorf("%s: +%#x is below rsp", name, off)
			}
		}
	}
}

// TestLookup finds functions by address: none in gaps and beyond ends.
func TestLookup(t *testing.T) {
	images := []*image.Image{
		{Limit: 33, Funcs: []image.FuncImage{{Name: "f", Addr: 0x1000, Code: []byte{0x90, 0xc3}}, {Name: "g", Addr: 0x1010, Code: []byte{0xc3}}}},
		{Limit: 33, Funcs: []image.FuncImage{{Name: "h", Addr: 0x2000, Code: []byte{0xc3}}}},
	}
	c, err := trace.NewCode(images, trace.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for a, want := range map[image.Addr]string{
		0xfff: "?", 0x1000: "f", 0x1001: "f", 0x1002: "?", 0x100f: "?", 0x1010: "g", 0x1011: "?", 0x1fff: "?", 0x2000: "h", 0x2001: "?", ^image.Addr(0): "?",
	} {
		f := c.Lookup(a)
		if f.String() != want {
			t.Errorf("%#x is in %v, want %s", uint64(a), f, want)
		}
		for _, of := range c.Funcs() {
			if of.Contains(a) != (of == f) {
				t.Errorf("%v contains %#x: %v", of, uint64(a), of.Contains(a))
			}
		}
	}
}
