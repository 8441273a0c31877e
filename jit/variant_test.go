// SPDX-License-Identifier: GPL-2.0-only

package jit_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/emit"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/verify"
	"github.com/tcsim/tcsim/jit/x86"
)

// compileVariant compiles a program with an indirect and a direct tail call, in main or in a subprogram.
func compileVariant(t *testing.T, target string, inSub bool, v *emit.Variant) (*image.Image, error) {
	t.Helper()
	body := insns(movReg(6, 1), tailIndirect, movReg(1, 6), tailDirect, exit)
	main, sub := body, []bpf.Insn(nil)
	if inSub {
		main, sub = insns(movReg(7, 1), callSub, exit), body
	}
	tg, err := jit.TargetByName(target)
	must(t, err)
	varied := *tg
	varied.Variant = v
	return jit.Compile(verified(40, main, sub), &varied, &placedEnv{at: []image.Addr{0xffffffffc0001000, 0xffffffffc0002000}})
}

// TestVariantSame: laying out again what was emitted gives the same code.
func TestVariantSame(t *testing.T) {
	same := &emit.Variant{
		Depth: func(d int32) int32 { return (d + 7) &^ 7 },
		Saved: func(used [4]bool) [4]bool { return used },
		Code:  func(_ emit.CodePart, _ *verify.FuncInfo, code []emit.Piece) []emit.Piece { return code },
	}
	compared := 0
	for _, name := range jit.TargetNames() {
		for _, inSub := range []bool{false, true} {
			want, err := compileVariant(t, name, inSub, nil)
			if errors.Is(err, kernels.ErrUnsupported) {
				continue
			}
			must(t, err)
			got, err := compileVariant(t, name, inSub, same)
			must(t, err)
			if d := cmp.Diff(want.Funcs, got.Funcs); d != "" {
				t.Errorf("%s: %s", name, d)
			}
			compared++
		}
	}
	if compared < 50 {
		t.Errorf("%d programs compared", compared)
	}
}

// drop leaves out the instructions that begin so.
func drop(text string) *emit.Variant {
	return &emit.Variant{Code: func(_ emit.CodePart, _ *verify.FuncInfo, code []emit.Piece) []emit.Piece {
		return slices.DeleteFunc(code, func(p emit.Piece) bool { return strings.HasPrefix(p.Inst.String(), text) })
	}}
}

// TestVariantShorter: without some instructions all others are there, and jumps lead to the same ones.
func TestVariantShorter(t *testing.T) {
	for _, target := range []string{"5.10", "5.10-retpoline", "6.1", "6.12", "7.2-retpoline", "hier-rfc2", "hier-percpu"} {
		for _, text := range []string{"pop rbx", "add rsp", "mov edx, edx", "push rbp", "jae", "test rcx"} {
			want, err := compileVariant(t, target, true, nil)
			must(t, err)
			got, err := compileVariant(t, target, true, drop(text))
			must(t, err)
			for i := range want.Funcs {
				a, b := flow(t, &want.Funcs[i], text), flow(t, &got.Funcs[i], "")
				if d := cmp.Diff(a, b); d != "" {
					t.Errorf("%s without %s (-want +got):\n%s", target, text, d)
				}
				for j, s := range got.Funcs[i].TailCalls {
					if old := want.Funcs[i].TailCalls[j]; (s.Null < 0) != (old.Null < 0) || text != "jae" && (s.Limit < 0) != (old.Limit < 0) {
						t.Errorf("%s without %s: site %+v was %+v", target, text, s, old)
					}
				}
			}
		}
	}
}

// flow lists the instructions of a function, but for those that begin with without: where a jump goes
// is the number of the instruction there.
func flow(t *testing.T, f *image.FuncImage, without string) (out []string) {
	t.Helper()
	var all []x86.Inst
	for off := 0; off < len(f.Code); {
		in, err := x86.Decode(f.Code[off:], f.Addr+image.Addr(off))
		must(t, err)
		all = append(all, in)
		off += int(in.Len)
	}
	left := func(in *x86.Inst) bool { return without != "" && strings.HasPrefix(in.String(), without) }
	number, n := map[image.Addr]int{f.End(): -1}, 0
	for i := range all {
		number[all[i].PC] = n
		if !left(&all[i]) {
			n++
		}
	}
	for i := range all {
		in := &all[i]
		if left(in) {
			continue
		}
		text := in.String()
		if to, inside := number[in.Target]; in.Branch.Direct() && inside {
			text = in.Op + " to " + string(rune('0'+to))
		}
		out = append(out, text)
	}
	return out
}

// TestVariantBroken: what cannot be laid out is an error.
func TestVariantBroken(t *testing.T) {
	far := &emit.Variant{Code: func(p emit.CodePart, _ *verify.FuncInfo, code []emit.Piece) []emit.Piece {
		if p != emit.CodeIndirect {
			return code
		}
		return append(code, emit.Piece{Code: bytes.Repeat([]byte{0x90}, 100)})
	}}
	if _, err := compileVariant(t, "6.12", false, far); err == nil || !strings.Contains(err.Error(), "does not fit a byte") {
		t.Errorf("100 bytes more: %v", err)
	}
}

// TestVariantPoke: the index of a wait counts the steps of one site.
func TestVariantPoke(t *testing.T) {
	tg, err := jit.TargetByName("6.12")
	must(t, err)
	varied := *tg
	sites := []image.PokeSite{{Bypass: 0x1000, Jump: 0x1010, Out: 0x1020}, {Bypass: 0x2000, Jump: 0x2010, Out: 0x2020}}
	want, err := tg.UpdatePlan(sites, 0x3000, 0)
	must(t, err)
	seen := 0
	varied.Variant = &emit.Variant{Poke: func(steps []image.Patch) []image.Patch {
		for i := range steps {
			if steps[i].Kind == image.PatchWait && steps[i].After == 0 {
				seen++
			}
		}
		return steps
	}}
	got, err := varied.UpdatePlan(sites, 0x3000, 0)
	must(t, err)
	for i := range want {
		if want[i].Kind == image.PatchWait && got[i].After != want[i].After {
			t.Errorf("step %d waits for %d, want %d", i, got[i].After, want[i].After)
		}
	}
	if seen != 2 {
		t.Errorf("%d waits after the first step of a site", seen)
	}
}
