// SPDX-License-Identifier: GPL-2.0-only

package image_test

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/jit/image"
)

// TestATTListing has labels in order of address, one for two jumps to a place, and lock on a line
// of its own.
func TestATTListing(t *testing.T) {
	code, err := hex.DecodeString(strings.ReplaceAll("41baefbeadde 31c0 7408 7506 f0480101 eb01 c9 ebf7 e9e9ffffff c3", " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	f := &image.FuncImage{Name: "f", Addr: 0xffffffffc0000000, Entry: 6, Code: code}
	lines, err := image.ATTListing(f, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range lines {
		got = append(got, l.String())
	}
	want := []string{
		"xorl %eax, %eax", "je L1", "jne L1", "L0: lock", "addq %rax, (%rcx)", "jmp L2", "L1: leave", "L2: jmp L0",
		"jmp 0xffffffffc0000003", "retq",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestATTListingBad refuses text of another size and what does not decode.
func TestATTListingBad(t *testing.T) {
	f := &image.FuncImage{Name: "f", Code: []byte{0xc3, 0x06}}
	for _, code := range [][]byte{nil, {0xc3}} {
		if lines, err := image.ATTListing(f, code); err == nil || lines != nil {
			t.Errorf("% x: %v, %v", code, lines, err)
		}
	}
}
