// SPDX-License-Identifier: GPL-2.0-only

package jit_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/emit"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/recognise"
	"github.com/tcsim/tcsim/jit/x86"
)

// trampEnv places one trampoline and knows every symbol.
type trampEnv struct {
	image.Env
	at image.Addr
}

func (e trampEnv) Place(int, int, image.CodeOff) (image.Addr, error) { return e.at, nil }
func (e trampEnv) Symbol(string) (image.Addr, error)                 { return e.at - 0x1000, nil }

const (
	trampAt  image.Addr = 0xffffffffc0004000
	tracedAt image.Addr = 0xffffffffc0001000
	progAt   image.Addr = 0xffffffffc0002000
)

func traced(args int, tailCalls bool, kinds ...emit.TraceKind) *emit.Traced {
	f := &emit.Traced{Name: "f", Func: tracedAt, TailCalls: tailCalls, Image: 0xffff888004000000}
	for range args {
		f.Args = append(f.Args, 8)
	}
	for i, k := range kinds {
		f.Attach(k, emit.TracingProg{Func: progAt + image.Addr(i)*64, Prog: 0xffffc90000001000 + image.Addr(i)*4096})
	}
	return f
}

// walk decodes a trampoline and follows rsp from the entry to the return. It returns the depth at each
// instruction, counted from the entry.
func walk(t *testing.T, f *image.FuncImage) (depth map[image.CodeOff]int32, end int32) {
	t.Helper()
	depth = map[image.CodeOff]int32{}
	rsp, rbp := int32(0), int32(0)
	for off := 0; off < len(f.Code); {
		in, err := x86.Decode(f.Code[off:], f.Addr+image.Addr(off))
		if err != nil {
			t.Fatalf("+%#x: %v", off, err)
		}
		depth[image.CodeOff(off)] = rsp
		switch text := in.String(); {
		case in.Op == "push":
			rsp -= 8
		case in.Op == "pop":
			rsp += 8
		case in.Op == "leave":
			rsp = rbp + 8
		case text == "mov rbp, rsp":
			rbp = rsp
		case in.Op == "sub" || in.Op == "add":
			n := int32(0)
			if _, err := fmt.Sscanf(text, in.Op+" rsp, 0x%x", &n); err != nil {
				t.Fatalf("+%#x: %s: %v", off, text, err)
			}
			if in.Op == "sub" {
				n = -n
			}
			rsp += n
		}
		if in.Branch == x86.BranchRet || in.Branch == x86.BranchJump {
			return depth, rsp
		}
		off += int(in.Len)
	}
	t.Fatal("no return")
	return nil, 0
}

// TestTrampolineFrame checks that the frame that is described is the one that the code makes, for
// every style and combination of programs.
func TestTrampolineFrame(t *testing.T) {
	kinds := [][]emit.TraceKind{{emit.Fentry}, {emit.Fexit}, {emit.Fentry, emit.Fexit}, {emit.FmodRet}, {emit.Fentry, emit.Fentry, emit.FmodRet, emit.Fexit, emit.Fexit}}
	for _, name := range []string{"5.10", "6.1", "6.12", "6.12-stuff", "6.18", "7.2", "7.2-retpoline-its"} {
		for args := range 7 {
			for _, ks := range kinds {
				for _, tailCalls := range []bool{false, true} {
					tg := named(t, name)
					tr, err := jit.CompileTrampoline(traced(args, tailCalls, ks...), tg, trampEnv{at: trampAt})
					if err != nil {
						t.Fatal(err)
					}
					depth, end := walk(t, &tr.Func)
					low, at := int32(0), int32(16)
					for _, s := range tr.Func.Frame.Slots {
						if s.Off+s.Size != at {
							t.Errorf("%s %v %d args: slot at %d ends at %d, expected %d", name, ks, args, s.Off, s.Off+s.Size, at)
						}
						at, low = s.Off, s.Off
					}
					for _, c := range tr.Func.Calls {
						if got := depth[c.Off] + 8; got != low {
							t.Errorf("%s %v %d args: rsp is rbp%+d at a call, the frame goes down to %d", name, ks, args, got, low)
						}
					}
					want := int32(0)
					if tr.Site.New[0] == 0xe8 && ks[len(ks)-1] != emit.Fentry {
						want = 8 // over the return into the traced function
					}
					if end != want {
						t.Errorf("%s %v: leaves with rsp at %+d of the entry, expected %+d", name, ks, end, want)
					}
				}
			}
		}
	}
}

// TestTrampolineSite checks the patched instruction: after endbr64, a jump only on 7.2 and only if
// the traced function is called.
func TestTrampolineSite(t *testing.T) {
	for _, c := range []struct {
		target string
		kind   emit.TraceKind
		at     image.Addr
		op     byte
	}{
		{"5.10", emit.Fexit, tracedAt, 0xe8},
		{"6.12", emit.Fexit, tracedAt + 4, 0xe8},
		{"6.18", emit.Fexit, tracedAt, 0xe8},
		{"7.2", emit.Fentry, tracedAt + 4, 0xe8},
		{"7.2", emit.FmodRet, tracedAt + 4, 0xe9},
	} {
		tr, err := jit.CompileTrampoline(traced(1, true, c.kind), named(t, c.target), trampEnv{at: trampAt})
		if err != nil {
			t.Fatal(err)
		}
		rel := trampAt - c.at - image.PokeSize
		want := image.Patch{
			Kind: image.PatchText, Part: image.PartJump, Addr: c.at, Old: [5]byte{0x0f, 0x1f, 0x44, 0, 0},
			New: [5]byte{c.op, byte(rel), byte(rel >> 8), byte(rel >> 16), byte(rel >> 24)},
		}
		if d := cmp.Diff(want, tr.Site); d != "" {
			t.Errorf("%s %v: %s", c.target, c.kind, d)
		}
	}
}

// TestTrampolineKeepsRAX checks who puts rax back before the traced function goes on.
func TestTrampolineKeepsRAX(t *testing.T) {
	for name, want := range map[string]int{"5.10": 0, "6.1": 1, "6.1-losesrax": 0, "6.12": 1, "6.18": 1, "7.2": 1, "hier-rfc2": 1} {
		for _, kinds := range [][]emit.TraceKind{{emit.Fentry}, {emit.Fexit}} {
			for _, tailCalls := range []bool{true, false} {
				tr, err := jit.CompileTrampoline(traced(1, tailCalls, kinds...), named(t, name), trampEnv{at: trampAt})
				if err != nil {
					t.Fatal(err)
				}
				n := 0
				for off := 0; off < len(tr.Func.Code); {
					in, err := x86.Decode(tr.Func.Code[off:], 0)
					if err != nil {
						t.Fatal(err)
					}
					if in.Op == "mov" && in.Len == 7 && in.Load { // disp32, though disp8 would do
						n++
					}
					off += int(in.Len)
				}
				if !tailCalls && n != 0 || tailCalls && n != want {
					t.Errorf("%s %v, tail calls %v: rax is put back %d times, expected %d", name, kinds, tailCalls, n, want)
				}
			}
		}
	}
}

func TestTrampolineMistakes(t *testing.T) {
	for what, c := range map[string]struct {
		f           *emit.Traced
		target      string
		at          image.Addr
		unsupported bool
	}{
		"no program":        {traced(1, false), "7.2", trampAt, false},
		"seven arguments":   {traced(7, false, emit.Fentry), "7.2", trampAt, true},
		"three bytes":       {&emit.Traced{Args: []uint8{3}}, "7.2", trampAt, false},
		"no trampolines":    {traced(1, false, emit.Fentry), "fp53", trampAt, true},
		"unaligned":         {traced(1, false, emit.Fentry), "7.2", trampAt + 8, false},
		"too far from here": {traced(1, false, emit.Fentry), "7.2", 0xffff888000000000, false},
	} {
		_, err := jit.CompileTrampoline(c.f, named(t, c.target), trampEnv{at: c.at})
		if err == nil || errors.Is(err, kernels.ErrUnsupported) != c.unsupported {
			t.Errorf("%s: error %v", what, err)
		}
	}
}

// TestFuncArgs reads the number of arguments off functions.
func TestFuncArgs(t *testing.T) {
	mov := func(dst, src uint8) bpf.Insn { return bpf.Insn{Op: bpf.OpMovReg, Dst: dst, Src: src} }
	add := func(dst, src uint8) bpf.Insn {
		return bpf.Insn{Op: bpf.ClassALU64 | bpf.ALUAdd | bpf.SrcReg, Dst: dst, Src: src}
	}
	exit, call := bpf.Insn{Op: bpf.OpExit}, bpf.Insn{Op: bpf.OpCall, Imm: 5}
	p := &bpf.Program{}
	for i, f := range [][]bpf.Insn{
		{add(0, 5), exit},            // an entry has its context
		{mov(0, 1), exit},            // r1
		{mov(0, 1), add(0, 3), exit}, // r1 to r3
		{mov(3, 1), add(0, 3), exit}, // r3 is written first
		{call, mov(6, 4), exit},      // and here by the call
		{{Op: bpf.OpMov}, exit},      // none
		{{Op: bpf.ClassLDX | bpf.ModeMem | bpf.SizeDW, Dst: 0, Src: 5}, exit},  // a load through r5
		{{Op: bpf.ClassSTX | bpf.ModeMem | bpf.SizeDW, Dst: 10, Src: 2}, exit}, // a store of r2
		{{Op: bpf.ClassJmp | bpf.JmpEq | bpf.SrcReg, Dst: 4, Src: 2}, exit},    // a comparison
		{{Op: bpf.OpLdImm64, Dst: 2}, {}, add(0, 2), exit},                     // ld_imm64 writes r2
	} {
		p.Funcs = append(p.Funcs, bpf.Func{Name: fmt.Sprint(i), Start: bpf.InsnIndex(len(p.Insns))})
		p.Insns = append(p.Insns, f...)
	}
	for i, want := range []int{1, 1, 3, 1, 1, 1, 5, 2, 4, 1} {
		if got := len(jit.FuncArgs(p, i)); got != want {
			t.Errorf("function %d has %d arguments, expected %d", i, got, want)
		}
	}
}

// TestRecogniseTrampoline reads calls and the size of the frame back from the code of every style.
func TestRecogniseTrampoline(t *testing.T) {
	for _, name := range []string{"5.10", "6.1", "6.12", "6.12-stuff", "6.18", "7.2"} {
		for _, tailCalls := range []bool{false, true} {
			want, err := jit.CompileTrampoline(traced(3, tailCalls, emit.Fentry, emit.FmodRet, emit.Fexit), named(t, name), trampEnv{at: trampAt})
			if err != nil {
				t.Fatal(err)
			}
			got, err := recognise.RecogniseTrampoline("tramp_f", trampAt, want.Func.Code)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want.Func.Calls, got.Calls); d != "" {
				t.Errorf("%s: calls (-compiled +recognised):\n%s", name, d)
			}
			low := func(f *image.FuncImage) int32 { return f.Frame.Slots[len(f.Frame.Slots)-1].Off }
			if !got.Trampoline || low(got) != low(&want.Func) {
				t.Errorf("%s, tail calls %v: the frame goes down to rbp%+d, recognised as %+d", name, tailCalls, low(&want.Func), low(got))
			}
		}
	}
	for what, code := range map[string][]byte{
		"nothing": nil, "no frame": {0xc3}, "no code": {0x0f}, "another register": {0x55, 0x48, 0x89, 0xe5, 0x48, 0x83, 0xe8, 0x08, 0xc3},
	} {
		if f, err := recognise.RecogniseTrampoline("x", trampAt, code); err == nil {
			t.Errorf("%s is recognised as %+v", what, f)
		}
	}
}
