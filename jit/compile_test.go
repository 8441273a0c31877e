// SPDX-License-Identifier: GPL-2.0-only

package jit_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/emit"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/jittest"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/verify"
	"github.com/tcsim/tcsim/jit/x86"
)

// program makes a verified program of one function.
func program(depth int32, reachable bool, insns ...bpf.Insn) *verify.Verified {
	return &verify.Verified{
		Program: &bpf.Program{Name: "p"},
		Insns:   insns,
		Funcs:   []verify.FuncInfo{{Name: "p", End: bpf.InsnIndex(len(insns)), StackDepth: depth, TailCallReachable: reachable}},
		Pokes:   []verify.PokeDesc{{Map: 1, Key: 7}},
	}
}

var (
	exit  = bpf.Insn{Op: bpf.OpExit}
	mov0  = bpf.Insn{Op: bpf.OpMov} // r0 = 0
	useR7 = bpf.Insn{Op: bpf.OpMov, Dst: 7, Imm: 1}
)

func compile(t testing.TB, target string, v *verify.Verified) (*image.Image, error) {
	t.Helper()
	tgt, err := jit.TargetByName(target)
	must(t, err)
	return jit.Compile(v, tgt, &fixedEnv{next: fuzzBase})
}

// TestNotSettled compiles the programs that the 5.10 kernel accepted but had no machine code for.
func TestNotSettled(t *testing.T) {
	c := readCapture(t, "5.10-off")
	n := 0
	for i := range c.Scenarios {
		s := &c.Scenarios[i]
		for j := range s.Progs {
			p := &s.Progs[j]
			if p.LoadError != "not JITed" {
				continue
			}
			n++
			p.Xlated = p.Insns // nothing in them is rewritten
			p.Funcs = nil
			v := jittest.Captured{Scenario: s, Prog: p}.Verified()
			v.Funcs = []verify.FuncInfo{{Name: "main", End: bpf.InsnIndex(len(v.Insns))}}
			if _, err := compile(t, "5.10", v); !errors.Is(err, emit.ErrNotJITed) {
				t.Errorf("%s: error is %v, expected ErrNotJITed", s.Name, err)
			}
			if _, err := compile(t, "6.1", v); err != nil {
				t.Errorf("%s on 6.1: %v", s.Name, err)
			}
		}
	}
	if n == 0 {
		t.Error("the capture has no such program any more")
	}
}

func TestErrors(t *testing.T) {
	for _, row := range []struct {
		name, target string
		v            *verify.Verified
		is           error
		want         string
	}{
		{"unknown opcode", "6.12", program(0, false, mov0, bpf.Insn{Op: 0xff}, exit), kernels.ErrUnsupported,
			"compile p for 6.12: insn 1 (BUG_alu_ff): unknown opcode 0xff"},
		{"no fetching atomics", "5.10", program(8, false, bpf.Insn{Op: bpf.ClassSTX | bpf.ModeAtomic | bpf.SizeDW, Dst: 10, Off: -8, Imm: 1}, exit), kernels.ErrUnsupported, "insn 0"},
		{"no sign extension", "6.1", program(0, false, bpf.Insn{Op: bpf.OpMovReg, Off: 8}, exit), kernels.ErrUnsupported, "insn 0"},
		{"no load-acquire", "6.12", program(8, false, bpf.Insn{Op: bpf.ClassSTX | bpf.ModeAtomic | bpf.SizeDW, Dst: 1, Src: 10, Off: -8, Imm: 0x100}, exit), kernels.ErrUnsupported, "insn 0"},
		{"byte atomic", "7.2", program(8, false, bpf.Insn{Op: bpf.ClassSTX | bpf.ModeAtomic | bpf.SizeB, Dst: 10, Off: -8}, exit), nil, "1- and 2-byte atomics"},
		{"register", "6.12", program(0, false, bpf.Insn{Op: bpf.OpMovReg, Dst: 12}, exit), nil, "register number"},
		{"jump out", "6.12", program(0, false, bpf.Insn{Op: bpf.OpJA, Off: 5}, exit), nil, "jump to slot 6"},
		{"jump into a load", "6.12", program(0, false, bpf.Insn{Op: bpf.OpJA, Off: 1}, bpf.Insn{Op: bpf.OpLdImm64}, bpf.Insn{}, exit), nil, "jump to slot 2"},
		{"half a load", "6.12", program(0, false, bpf.Insn{Op: bpf.OpLdImm64}), nil, "second half"},
		{"poke", "6.12", program(0, false, bpf.Insn{Op: bpf.OpTailCall, Imm: 2}, exit), nil, "poke descriptor 1 of 1"},
		{"function", "6.12", program(0, false, bpf.Insn{Op: bpf.OpCall, Src: 1, Imm: 1}, exit), nil, "call of function 1 of 1"},
		{"map", "6.12", program(0, false, bpf.Insn{Op: bpf.OpLdImm64, Src: 1, Imm: 9}, bpf.Insn{}, exit), nil, "no map 9"},
		{"empty", "6.12", &verify.Verified{}, nil, "no functions"},
	} {
		img, err := compile(t, row.target, row.v)
		if err == nil || img != nil {
			t.Errorf("%s: no error", row.name)
			continue
		}
		if !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: error is %q, expected it to contain %q", row.name, err, row.want)
		}
		if row.is != nil && !errors.Is(err, row.is) {
			t.Errorf("%s: error %q does not wrap %q", row.name, err, row.is)
		}
	}
}

// TestLimit checks that the limit of the target, and no constant, is compared with.
func TestLimit(t *testing.T) {
	v := program(0, true, bpf.Insn{Op: bpf.OpTailCall, Imm: 1}, mov0, exit)
	for target, want := range map[string]string{
		"5.10": "83f80477",   // cmp eax, 4; ja
		"6.1":  "83f80573",   // cmp eax, 5; jae
		"6.12": "4883380573", // cmp qword ptr [rax], 5; jae
	} {
		tgt, err := jit.TargetByName(target)
		must(t, err)
		tgt.Limit = 5
		img, err := jit.Compile(v, tgt, &fixedEnv{next: fuzzBase})
		must(t, err)
		code := fmt.Sprintf("%x", img.Funcs[0].Code)
		if !strings.Contains(code, want) {
			t.Errorf("%s: no comparison %s in %s", target, want, code)
		}
	}
	for _, limit := range []uint32{0, 128} {
		tgt, err := jit.TargetByName("6.12")
		must(t, err)
		tgt.Limit = limit
		if _, err := jit.Compile(v, tgt, &fixedEnv{next: fuzzBase}); err == nil {
			t.Errorf("limit %d was accepted", limit)
		}
	}
}

func TestFrame(t *testing.T) {
	v := program(20, true, useR7, bpf.Insn{Op: bpf.OpTailCall, Imm: 1}, mov0, exit)
	for target, want := range map[string]image.Frame{
		"6.1": {
			Slots: []image.FrameSlot{
				{Off: 8, Size: 8, Kind: image.SlotReturn},
				{Off: 0, Size: 8, Kind: image.SlotSavedReg, Reg: x86.RBP},
				{Off: -24, Size: 24, Kind: image.SlotBPFStack},
				{Off: -32, Size: 8, Kind: image.SlotTailCallCnt},
				{Off: -40, Size: 8, Kind: image.SlotSavedReg, Reg: x86.R13},
			},
			Body: 21, Landing: 11, Depth: 24,
			Counter: image.Counter{Form: image.CounterValue, Off: -28, Size: 4},
			Saved:   []x86.Reg{x86.R13},
		},
		"6.12": {
			Slots: []image.FrameSlot{
				{Off: 8, Size: 8, Kind: image.SlotReturn},
				{Off: 0, Size: 8, Kind: image.SlotSavedReg, Reg: x86.RBP},
				{Off: -24, Size: 24, Kind: image.SlotBPFStack},
				{Off: -32, Size: 8, Kind: image.SlotTailCallCntOrPtr},
				{Off: -40, Size: 8, Kind: image.SlotTailCallPtr},
				{Off: -48, Size: 8, Kind: image.SlotSavedReg, Reg: x86.R13},
			},
			Body: 43, Landing: 16, Depth: 24,
			Counter: image.Counter{Form: image.CounterPtr, Off: -40, Size: 8},
			Saved:   []x86.Reg{x86.R13},
		},
	} {
		img, err := compile(t, target, v)
		must(t, err)
		if diff := cmp.Diff(want, img.Funcs[0].Frame); diff != "" {
			t.Errorf("%s (-want +got):\n%s", target, diff)
		}
		s := img.Funcs[0].TailCalls[0]
		if s.Map != 1 || s.Key != 7 || !s.Direct || s.Insn != 1 {
			t.Errorf("%s: site is %+v", target, s)
		}
		if got := img.PokeSites(1, 7); len(got) != 1 || got[0] != img.Funcs[0].PokeSite(&s) {
			t.Errorf("%s: sites of the slot are %+v", target, got)
		}
	}
}

// TestUnrounded shows the bug of early 5.10: with a depth of 1 the count is loaded from [rbp-9].
func TestUnrounded(t *testing.T) {
	v := program(1, true, bpf.Insn{Op: bpf.OpCall, Imm: 5}, exit)
	for target, want := range map[string]string{
		"5.10":           "488b85f0ffffff", // mov rax, [rbp-16]
		"5.10-unrounded": "488b85f7ffffff", // mov rax, [rbp-9]
	} {
		img, err := compile(t, target, v)
		must(t, err)
		if code := fmt.Sprintf("%x", img.Funcs[0].Code); !strings.Contains(code, want) {
			t.Errorf("%s: no %s in %s", target, want, code)
		}
	}
}

// TestPreambles has the CFI preambles as the sources of 6.12 and 7.2 give them.
func TestPreambles(t *testing.T) {
	v := program(0, false, mov0, exit)
	for target, want := range map[string]string{
		"6.12-kcfi":       "b86e69616d" + "9090909090909090909090" + "f30f1efa" + "0f1f440000",
		"6.12-fineibt":    "f30f1efa" + "4181ea6e69616d" + "7407" + "0f0b" + "90" + "660f1f00" + "0f1f440000",
		"7.2-fineibt":     "f30f1efa" + "2d6e69616d" + "2e0f8503000000" + "0f1f40d6" + "0f1f440000",
		"7.2-fineibt-bhi": "f30f1efa" + "2d6e69616d" + "2e2ee8" + "100000c2" + "0f1f40d6" + "0f1f440000",
	} {
		img, err := compile(t, target, v)
		must(t, err)
		f := &img.Funcs[0]
		if got := fmt.Sprintf("%x", f.Code[:len(want)/2]); got != want {
			t.Errorf("%s:\n got %s\nwant %s", target, got, want)
		}
		if f.Entry != 16 || f.Frame.Landing != 16+16 {
			t.Errorf("%s: entry %d, landing %d, %s", target, f.Entry, f.Frame.Landing, named(t, target).Evidence)
		}
	}
}

// TestFuncPointer loads the address of a callback; until 6.1 a kernel address takes all 10 bytes.
func TestFuncPointer(t *testing.T) {
	v := program(0, false, bpf.Insn{Op: bpf.OpLdImm64, Dst: 2, Src: bpf.PseudoFunc, Imm: 2}, bpf.Insn{}, exit, mov0, exit)
	v.Funcs[0].End = 3
	v.Funcs = append(v.Funcs, verify.FuncInfo{Name: "callback", Start: 3, End: 5})
	for target, want := range map[string]string{"6.1": "48be400000c0ffffffff", "6.12": "48c7c6400000c0"} {
		img, err := compile(t, target, v)
		must(t, err)
		if code := fmt.Sprintf("%x", img.Funcs[0].Code); !strings.Contains(code, want) {
			t.Errorf("%s: no %s in %s", target, want, code)
		}
	}
	v.Insns[0].Imm = 1
	if _, err := compile(t, "6.12", v); err == nil {
		t.Error("a pointer into a function was accepted")
	}
}

// TestInlineRetpoline has the retpoline of kernels before 5.12, nospec-branch.h's
// RETPOLINE_RCX_BPF_JIT, which the refusals of the tail call jump over.
func TestInlineRetpoline(t *testing.T) {
	img, err := compile(t, "5.10-inline", program(0, true, bpf.Insn{Op: bpf.OpTailCall}, mov0, exit))
	must(t, err)
	f := &img.Funcs[0]
	s := f.TailCalls[0]
	want := "e807000000" + "f390" + "0faee8" + "ebf9" + "48890c24" + "c3"
	if got := fmt.Sprintf("%x", f.Code[s.Jump:s.End]); got != want {
		t.Errorf("jump is %s, expected %s", got, want)
	}
	for _, at := range []image.CodeOff{s.Bounds, s.Limit, s.Null} {
		if to := at + 2 + image.CodeOff(f.Code[at+1]); to != s.End {
			t.Errorf("the refusal at %d goes to %d, expected %d", at, to, s.End)
		}
	}
}
