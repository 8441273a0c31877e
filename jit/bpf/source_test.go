// SPDX-License-Identifier: GPL-2.0-only

package bpf_test

import (
	"testing"

	"github.com/tcsim/tcsim/jit/bpf"
)

// TestSourceAt asks before, at, between and after the places where lines begin.
func TestSourceAt(t *testing.T) {
	p := &bpf.Program{Source: []bpf.SourceLine{{Insn: 2, File: "a.c", Line: 7}, {Insn: 5, File: "a.c", Line: 9}, {Insn: 8}}}
	for insn, want := range map[bpf.InsnIndex]int{0: 0, 1: 0, 2: 7, 4: 7, 5: 9, 7: 9, 8: 0, 100: 0} {
		if l, ok := p.SourceAt(insn); l.Line != want || ok != (want != 0) {
			t.Errorf("instruction %d: line %d, %v, want %d", insn, l.Line, ok, want)
		}
	}
	if _, ok := new(bpf.Program).SourceAt(0); ok {
		t.Error("a program without lines has one")
	}
}
