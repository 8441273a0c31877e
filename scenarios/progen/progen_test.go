// SPDX-License-Identifier: GPL-2.0-only

package progen_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/verify"
	"github.com/tcsim/tcsim/jit/verify/rewrite"
	"github.com/tcsim/tcsim/scenarios/choices"
	"github.com/tcsim/tcsim/scenarios/progen"
)

func target(t *testing.T, name string) *jit.Target {
	t.Helper()
	tg, err := jit.TargetByName(name)
	if err != nil {
		t.Fatal(err)
	}
	return tg
}

// TestAccepted has the verifier of every kernel that is listed take programs that are made for it.
func TestAccepted(t *testing.T) {
	n := 120
	if testing.Short() {
		n = 40
	}
	var names []string
	for _, name := range jit.TargetNames() {
		if tg := target(t, name); !slices.Contains(names, tg.Base) {
			names = append(names, tg.Base)
		}
	}
	for _, name := range names {
		tg := target(t, name)
		can := progen.Of(&tg.Kernel)
		for i := range n {
			p := progen.Random(choices.New(1, uint64(i)), can)
			rewritten, err := rewrite.Program(p.BPF, &tg.Kernel)
			if err == nil {
				_, err = verify.Analyse(rewritten, &tg.Kernel)
			}
			if err != nil {
				t.Errorf("%s: program %d: %v\n%s", name, i, err, p.Asm())
				break
			}
		}
	}
}

// TestReplayed has the choices of a program give it again, and none the simplest one.
func TestReplayed(t *testing.T) {
	can := progen.Of(&target(t, "7.2").Kernel)
	for i := range 50 {
		c := choices.New(3, uint64(i))
		p := progen.Random(c, can)
		q := progen.Random(choices.Replay(c.Used()), can)
		if !slices.Equal(p.BPF.Insns, q.BPF.Insns) || p.In != q.In || p.BPF.Type != q.BPF.Type {
			t.Fatalf("program %d differs when its choices are replayed", i)
		}
	}
	const simplest = "r0 = 0\nr1 = r0\nr1 >>= 32\nr0 ^= r1\nexit\n"
	if got := progen.Random(choices.Replay(nil), can).Asm(); got != simplest {
		t.Errorf("no choices give\n%s", got)
	}
}

// TestOpcodes counts what instructions are in the programs for the newest kernel: every one that users can write.
func TestOpcodes(t *testing.T) {
	can := progen.Of(&target(t, "7.2").Kernel)
	seen := map[string]int{}
	for i := range 3000 {
		p := progen.Random(choices.New(5, uint64(i)), can)
		for k := bpf.InsnIndex(0); int(k) < len(p.BPF.Insns); k += p.BPF.Insns[k].Width() {
			seen[form(p.BPF.Insns[k])]++
		}
	}
	for _, want := range forms() {
		if seen[want] == 0 {
			t.Errorf("no program has %s", want)
		}
	}
}

// form names an instruction without its operands.
func form(in bpf.Insn) string {
	switch c := in.Class(); {
	case c == bpf.ClassSTX && in.Op&bpf.ModeMask == bpf.ModeAtomic:
		return fmt.Sprintf("%#02x imm %#x", in.Op, in.Imm)
	case (c == bpf.ClassALU || c == bpf.ClassALU64) && in.Off != 0:
		return fmt.Sprintf("%#02x off %d", in.Op, in.Off)
	case in.IsLdImm64(), in.Op == bpf.OpCall:
		return fmt.Sprintf("%#02x src %d", in.Op, in.Src)
	}
	return fmt.Sprintf("%#02x", in.Op)
}

// forms are those of 7.2 that programs can have, but for what verifiers alone write.
func forms() (out []string) {
	add := func(in bpf.Insn) { out = append(out, form(in)) }
	for _, class := range []uint8{bpf.ClassALU, bpf.ClassALU64} {
		for op := 0; op <= bpf.ALUEnd; op += 0x10 {
			op := uint8(op)
			add(bpf.Insn{Op: class | op})
			if op != bpf.ALUNeg && !(op == bpf.ALUEnd && class == bpf.ClassALU64) {
				add(bpf.Insn{Op: class | op | bpf.SrcReg})
			}
			if op == bpf.ALUDiv || op == bpf.ALUMod {
				add(bpf.Insn{Op: class | op, Off: 1})
				add(bpf.Insn{Op: class | op | bpf.SrcReg, Off: 1})
			}
		}
		add(bpf.Insn{Op: class | bpf.ALUMov | bpf.SrcReg, Off: 8})
		add(bpf.Insn{Op: class | bpf.ALUMov | bpf.SrcReg, Off: 16})
	}
	add(bpf.Insn{Op: bpf.OpMovReg, Off: 32})
	add(bpf.Insn{Op: bpf.OpMovReg, Off: bpf.AddrSpaceCast})
	for _, size := range []uint8{bpf.SizeB, bpf.SizeH, bpf.SizeW, bpf.SizeDW} {
		add(bpf.Insn{Op: bpf.ClassLDX | bpf.ModeMem | size})
		add(bpf.Insn{Op: bpf.ClassST | bpf.ModeMem | size})
		add(bpf.Insn{Op: bpf.ClassSTX | bpf.ModeMem | size})
		for _, imm := range []int32{bpf.AtomicLoadAcq, bpf.AtomicStRel} {
			add(bpf.Insn{Op: bpf.ClassSTX | bpf.ModeAtomic | size, Imm: imm})
		}
		if size != bpf.SizeDW {
			add(bpf.Insn{Op: bpf.ClassLDX | bpf.ModeMemSX | size})
			add(bpf.Insn{Op: bpf.ClassLD | bpf.ModeAbs | size})
			add(bpf.Insn{Op: bpf.ClassLD | bpf.ModeInd | size})
		}
	}
	for _, size := range []uint8{bpf.SizeW, bpf.SizeDW} {
		for _, op := range []int32{
			bpf.ALUAdd, bpf.ALUOr, bpf.ALUAnd, bpf.ALUXor, bpf.ALUAdd | bpf.AtomicFetch, bpf.ALUOr | bpf.AtomicFetch,
			bpf.ALUAnd | bpf.AtomicFetch, bpf.ALUXor | bpf.AtomicFetch, bpf.AtomicXchg, bpf.AtomicCmpXchg,
		} {
			add(bpf.Insn{Op: bpf.ClassSTX | bpf.ModeAtomic | size, Imm: op})
		}
	}
	for _, class := range []uint8{bpf.ClassJmp, bpf.ClassJmp32} {
		for _, op := range []uint8{
			bpf.JmpEq, bpf.JmpGt, bpf.JmpGe, bpf.JmpSet, bpf.JmpNe, bpf.JmpSgt, bpf.JmpSge, bpf.JmpLt, bpf.JmpLe, bpf.JmpSlt, bpf.JmpSle,
		} {
			add(bpf.Insn{Op: class | op})
			add(bpf.Insn{Op: class | op | bpf.SrcReg})
		}
	}
	for _, op := range []uint8{bpf.OpJA, bpf.OpJA32, bpf.OpMayGoto, bpf.OpExit} {
		add(bpf.Insn{Op: op})
	}
	for _, src := range []uint8{0, bpf.PseudoMap, bpf.PseudoMapValue, bpf.PseudoFunc} {
		add(bpf.Insn{Op: bpf.OpLdImm64, Src: src})
	}
	for _, src := range []uint8{0, bpf.PseudoCall, bpf.PseudoKfunc} {
		add(bpf.Insn{Op: bpf.OpCall, Src: src})
	}
	return out
}
