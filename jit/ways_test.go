// SPDX-License-Identifier: GPL-2.0-only

package jit_test

import (
	"maps"
	"testing"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/bpf"
)

// Ways are the same for other registers and numbers, and others where the emitter goes another way: in an instruction, in the
// prologue, in the code of the design.
func TestWays(t *testing.T) {
	ways := func(target string, insns ...bpf.Insn) map[uint64]bool {
		t.Helper()
		v, tgt, err := verifiedFor(t, &bpf.Program{Maps: []bpf.Map{{Name: "jt", Type: bpf.ProgArray, MaxEntries: 1}}, Insns: insns}, target)
		must(t, err)
		plain, err := jit.Compile(v, tgt, plainEnv{})
		must(t, err)
		own, seen := *tgt, map[uint64]bool{}
		own.Ways = func(w uint64) { seen[w] = true }
		img, err := jit.Compile(v, &own, plainEnv{})
		must(t, err)
		if string(img.Funcs[0].Code) != string(plain.Funcs[0].Code) {
			t.Error("who asks for ways gets other code")
		}
		return seen
	}
	add := func(dst uint8, imm int32) []bpf.Insn {
		return []bpf.Insn{{Op: bpf.OpMov, Dst: dst}, {Op: bpf.ClassALU64 | bpf.ALUAdd, Dst: dst, Imm: imm}, zeroR0, returnInsn}
	}
	base := ways("6.12", add(1, 5)...)
	if len(base) < 5 {
		t.Errorf("%d ways", len(base))
	}
	if !maps.Equal(base, ways("6.12", add(2, 100)...)) {
		t.Error("another register and number is another way")
	}
	for name, other := range map[string]map[uint64]bool{
		"constant of four bytes": ways("6.12", add(1, 1000)...),
		"register to save":       ways("6.12", add(6, 5)...),
		"tail call": ways("6.12", bpf.Insn{Op: bpf.OpLdImm64, Dst: 2, Src: bpf.PseudoMap}, bpf.Insn{}, bpf.Insn{Op: bpf.OpMov, Dst: 3},
			bpf.Insn{Op: bpf.OpCall, Imm: bpf.HelperTailCall}, zeroR0, returnInsn),
		"other design": ways("5.10", add(1, 5)...),
	} {
		if maps.Equal(base, other) {
			t.Errorf("%s: no other way", name)
		}
	}
}
