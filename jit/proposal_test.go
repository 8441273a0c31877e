// SPDX-License-Identifier: GPL-2.0-only

package jit_test

import (
	"bytes"
	_ "embed"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/verify"
	"github.com/tcsim/tcsim/jit/x86"
)

//go:embed testdata/proposals.txt
var proposalListings string

// byteLine is one instruction of a listing with its bytes.
type byteLine struct {
	at   image.Addr
	code []byte
	text string
}

// byteListings reads sections headed "== name" of lines "address: bytes | text".
func byteListings(t *testing.T) map[string][]byteLine {
	t.Helper()
	all := map[string][]byteLine{}
	name := ""
	for line := range strings.Lines(proposalListings) {
		line = strings.TrimSuffix(line, "\n")
		if n, ok := strings.CutPrefix(line, "== "); ok {
			name = n
			continue
		}
		if line == "" || line[0] == '#' {
			continue
		}
		at, rest, _ := strings.Cut(line, ": ")
		code, text, ok := strings.Cut(rest, " | ")
		if !ok {
			t.Fatalf("bad line %q", line)
		}
		all[name] = append(all[name], byteLine{image.Addr(unhex64(t, at)), unhex(t, strings.ReplaceAll(code, " ", "")), text})
	}
	return all
}

// compareListing compares code with the lines of a listing, which may have gaps, one by one.
func compareListing(t *testing.T, f *image.FuncImage, want []byteLine) {
	t.Helper()
	if len(want) == 0 {
		t.Fatal("no such listing")
	}
	for _, w := range want {
		off := int(w.at - f.Addr)
		if off < 0 || off+len(w.code) > len(f.Code) {
			t.Errorf("%#x: %s: our code is at %#x to %#x", uint64(w.at), w.text, uint64(f.Addr), uint64(f.End()))
			continue
		}
		in, err := x86.Decode(f.Code[off:], w.at)
		must(t, err)
		if int(in.Len) != len(w.code) || !bytes.Equal(f.Code[off:off+len(w.code)], w.code) {
			t.Errorf("%#x: %s: ours is %s, % x instead of % x", uint64(w.at), w.text, in.String(), f.Code[off:off+int(in.Len)], w.code)
		}
	}
}

// placedEnv has the addresses of a listing.
type placedEnv struct {
	fixedEnv
	at      []image.Addr
	mapAddr image.Addr
}

func (e *placedEnv) Place(i, _ int, _ image.CodeOff) (image.Addr, error) { return e.at[i], nil }
func (e *placedEnv) MapAddr(int) (image.Addr, error)                     { return e.mapAddr, nil }

func movReg(dst, src uint8) bpf.Insn { return bpf.Insn{Op: bpf.OpMovReg, Dst: dst, Src: src} }

func setReg(dst uint8, v int32) bpf.Insn { return bpf.Insn{Op: bpf.OpMov, Dst: dst, Imm: v} }

func loadMap(dst uint8) []bpf.Insn {
	return []bpf.Insn{{Op: bpf.OpLdImm64, Dst: dst, Src: bpf.PseudoMap}, {}}
}

var (
	callSub      = bpf.Insn{Op: bpf.OpCall, Src: bpf.PseudoCall, Imm: 1}
	tailDirect   = bpf.Insn{Op: bpf.OpTailCall, Imm: 1}
	tailIndirect = bpf.Insn{Op: bpf.OpTailCall}
)

func insns(parts ...any) (out []bpf.Insn) {
	for _, p := range parts {
		switch p := p.(type) {
		case bpf.Insn:
			out = append(out, p)
		case []bpf.Insn:
			out = append(out, p...)
		default:
			panic(fmt.Sprintf("BUG: %T", p))
		}
	}
	return out
}

// verified makes a program of main and sub, both on the way to a tail call.
func verified(depth int32, main, sub []bpf.Insn) *verify.Verified {
	all := append(append([]bpf.Insn(nil), main...), sub...)
	n, end := bpf.InsnIndex(len(main)), bpf.InsnIndex(len(all))
	v := &verify.Verified{
		Program: &bpf.Program{Name: "p"}, Insns: all, Pokes: []verify.PokeDesc{{}},
		Funcs: []verify.FuncInfo{{Name: "main", End: n, StackDepth: depth, TailCallReachable: true}},
	}
	if sub != nil {
		v.Funcs = append(v.Funcs, verify.FuncInfo{Name: "sub", Start: n, End: end, TailCallReachable: true})
	}
	return v
}

func compileAt(t *testing.T, name string, v *verify.Verified, at ...image.Addr) *image.Image {
	t.Helper()
	target, err := jit.TargetByName(name)
	must(t, err)
	img, err := jit.Compile(v, target, &placedEnv{at: at, mapAddr: 0xffff88810c737c00})
	must(t, err)
	return img
}

// TestProposalListings compares with the machine code that the mails show: of rework-6.7, entry and
// subprog_tail with the program in its own slot; of maciej-hidden16, the entry of tailcall_bpf2bpf3.
func TestProposalListings(t *testing.T) {
	all := byteListings(t)
	t.Run("rework-6.7", func(t *testing.T) {
		v := verified(0, insns(callSub, setReg(0, 0), exit),
			insns(movReg(6, 1), loadMap(7), movReg(1, 6), movReg(2, 7), setReg(3, 0), tailDirect, exit))
		img := compileAt(t, "6.1-nosls", v, 0xffffffffc0012c60, 0xffffffffc0012ca8)
		landing, ok := img.Landing()
		if !ok || landing != 0xffffffffc0012c6b {
			t.Errorf("landing %#x", uint64(landing))
		}
		plan, err := named(t, "6.1-nosls").UpdatePlan(img.PokeSites(0, 0), 0, landing)
		must(t, err)
		must(t, image.ApplyPatches(plan, img))
		for i, name := range []string{"rework-6.7 entry", "rework-6.7 subprog_tail"} {
			compareListing(t, &img.Funcs[i], all[name])
			last := all[name][len(all[name])-1]
			if end := last.at + image.Addr(len(last.code)); img.Funcs[i].End() != end {
				t.Errorf("%s ends at %#x, in the mail at %#x", name, uint64(img.Funcs[i].End()), uint64(end))
			}
		}
	})
	t.Run("maciej-hidden16", func(t *testing.T) {
		main := insns(setReg(2, 0))
		for off := int16(8); off <= 128; off += 8 {
			main = append(main, bpf.Insn{Op: bpf.ClassSTX | bpf.ModeMem | bpf.SizeDW, Dst: 10, Src: 2, Off: -off})
		}
		main = append(main, bpf.Insn{Op: bpf.ClassLDX | bpf.ModeMem | bpf.SizeB, Dst: 2, Src: 10, Off: -1}, bpf.Insn{Op: bpf.ClassSTX | bpf.ModeMem | bpf.SizeB, Dst: 10, Src: 2, Off: -1}, callSub, exit)
		v := verified(128, main, insns(tailDirect, exit))
		img := compileAt(t, "maciej-hidden16", v, 0xffffffffc0012cb4, 0xffffffffc0012d60)
		compareListing(t, &img.Funcs[0], all["maciej-hidden16 entry"])
		if n := len(img.Funcs[0].Code); n != 0xd32-0xcb4 {
			t.Errorf("%d bytes of code", n)
		}
	})
	t.Run("pop-nop-push", func(t *testing.T) {
		// The instructions between are not shown; there is room for these, and for a prologue of 20
		// bytes before them if the function begins at a multiple of 4 as all do.
		v := verified(0, insns(movReg(6, 1), movReg(1, 6), loadMap(2), setReg(3, 0), tailDirect, movReg(1, 6), callSub, exit),
			insns(setReg(0, 0), exit))
		img := compileAt(t, "pop-nop-push", v, 0xffffffffc03702f8, 0xffffffffc0372548)
		compareListing(t, &img.Funcs[0], all["pop-nop-push"])
	})
	t.Run("ip-aux", func(t *testing.T) {
		v := verified(0, insns(movReg(6, 1), movReg(1, 6), loadMap(2), setReg(3, 0), tailDirect, movReg(1, 6), callSub, exit),
			insns(setReg(0, 0), exit))
		off := compileAt(t, "ip-aux", v, 0, 0x1000).Funcs[0].TailCalls[0].Bypass
		img := compileAt(t, "ip-aux", v, 0xffffffffc0513aa1-image.Addr(off), 0xffffffffc0514000)
		compareListing(t, &img.Funcs[0], all["ip-aux"])
	})
}

// TestSplat compares with the bytes around rip in the report of 11 December 2023: an indirect tail call
// of 6.7 in a subprogram that saves rbx and r13, 0x59 bytes long, at +0x49.
func TestSplat(t *testing.T) {
	v := verified(0, insns(callSub, setReg(0, 0), exit),
		insns(movReg(6, 1), movReg(7, 2), tailIndirect, movReg(1, 6), exit))
	f := &compileAt(t, "6.1", v, 0xffffffffc0001000, 0xffffffffc0002000).Funcs[1]
	want := assemble(t, "395624 7630 8b85fcffffff 83f821 7325 83c001 8985fcffffff 488b8cd610010000 4885c9 740f 415d 5b 58 488b4930 4883c10b ffe1 cc")
	at := bytes.Index(f.Code, want)
	if at < 0 {
		t.Fatalf("% x has not % x", f.Code, want)
	}
	if tail := assemble(t, "415d 5b c9 c3 cc"); !bytes.HasSuffix(f.Code, tail) {
		t.Errorf("epilogue % x", f.Code[len(f.Code)-len(tail):])
	}
}

// proposal is what a design emits for one program, as text of the described instructions.
type proposal struct {
	target           string
	main, leaf, sub  string // prologues
	indirect, direct string // of sub
	reload, back     string // around a call of sub
	epilogue         string // of sub
	landing          image.CodeOff
}

// TestProposals compares prologues, tail calls and epilogues with the bytes in the patches and
// descriptions: a main program with 16 bytes of stack, one that reaches no tail call, and a subprogram
// that uses R6. Displacements of calls are 0 here; "@" is a jump to the end of the tail call.
func TestProposals(t *testing.T) {
	const (
		bounds = "89d2 395624 76@ "
		load   = "488b8cd610010000 4885c9 74@ "
		leave  = "488b4930 4883c1"
		ptr    = "488b85e8ffffff "
		ptrSub = "488b85f8ffffff "
		count  = "833821 73@ 830001 "
		hook   = "0f1f440000 "
		frame  = "55 4889e5 "
		sub16  = "4881ec10000000 "
		call   = "e800000000 "
	)
	nop15, filler := "66662e0f1f840000000000 0f1f4000 ", "66662e0f1f840000000000 6690 "
	value := "8b85fcffffff 83f820 77@ 83c001 8985fcffffff "
	zero := "4881c400000000 "
	for _, p := range []proposal{
		{
			target: "hier-rfc2", landing: 22,
			main: hook + "31c0 50 4889e0 e802000000 59 c3 " + frame + sub16 + "50", leaf: hook + filler + frame, sub: hook + filler + frame + "50 53",
			indirect: bounds + ptrSub + count + load + "5b 58 " + leave + "16 ffe1", direct: ptrSub + count + "e907000000 5b 58 0f1f440000",
			reload: ptr, epilogue: "5b c9 c3",
		},
		{
			target: "hier-rfc1", landing: 24,
			main:     hook + frame + "4889e8 482d20000000 c70000000000 50 8b00 8985e0ffffff 58 488985e8ffffff 4881ec20000000",
			leaf:     hook + frame + "0f1f00 660f1f440000 660f1f440000",
			sub:      hook + frame + "0f1f00 660f1f440000 660f1f440000 488985f8ffffff 4881ec10000000 53",
			indirect: bounds + ptrSub + count + load + "5b 58 58 " + leave + "18 ffe1", direct: ptrSub + count + "e908000000 5b 58 58 0f1f440000",
			reload: ptr, epilogue: "5b c9 c3",
		},
		{
			target: "maciej-hidden16", landing: 29,
			main: hook + frame + "4883ec10 488965f8 48c7042400000000 488b45f8 50 " + sub16,
			leaf: hook + frame + "4883ec10 0f1f840000000000 0f1f840000000000", sub: hook + frame + "4883ec10 488945f8 50 53",
			indirect: bounds + ptrSub + count + load + "5b 58 " + leave + "1d ffe1", direct: ptrSub + count + "e907000000 5b 58 0f1f440000",
			reload: ptrSub, epilogue: "5b c9 c3",
		},
		{
			target: "pop-nop-push", landing: 11,
			main: hook + "6690 " + frame + sub16, leaf: hook + "6690 " + frame + "4881ec00000000", sub: hook + "31c0 " + frame + "4881ec00000000 50 53",
			indirect: bounds + value + load + "5b 58 " + zero + leave + "0b ffe1",
			direct:   value + "5b 58 " + zero + "0f1f440000 4881ec00000000 50 53", epilogue: "5b 59 c9 c3",
		},
		{
			target: "ip-aux", landing: 11,
			main: hook + "6690 " + frame + sub16, leaf: hook + "6690 " + frame + "4881ec00000000", sub: hook + "31c0 " + frame + "4881ec00000000 50 53",
			indirect: bounds + value + load + "5b 58 " + zero + leave + "0b ffe1",
			direct:   value + "e90e000000 5b 58 " + zero + "0f1f440000", epilogue: "5b 59 c9 c3",
		},
		{
			target: "jmp-always-valid", landing: 11,
			main: hook + "6690 " + frame + sub16, leaf: hook + "6690 " + frame + "4881ec00000000", sub: hook + "31c0 " + frame + "4881ec00000000 50 53",
			indirect: bounds + value + load + "5b 58 " + zero + leave + "0b ffe1",
			direct:   value + "e90e000000 5b 58 " + zero + "0f1f440000", epilogue: "5b 59 c9 c3",
		},
		{
			target: "hier-percpu", landing: 14,
			main: hook + call + frame + sub16, leaf: hook + hook + frame, sub: hook + hook + frame + "53",
			indirect: bounds + call + "83f821 73@ " + load + "5b " + leave + "0e ffe1", direct: call + "83f821 73@ e906000000 5b 0f1f440000",
			epilogue: "5b c9 c3",
		},
		{
			target: "hier-percpu-dec", landing: 14,
			main: hook + call + frame + sub16, leaf: hook + hook + frame, sub: hook + hook + frame + "53",
			indirect: bounds + call + "833800 74@ ff08 " + load + "5b " + leave + "0e ffe1",
			direct:   call + "833800 74@ ff08 e906000000 5b 0f1f440000", epilogue: "5b c9 c3",
		},
		{
			target: "hier-task", landing: 14,
			main: hook + call + frame + sub16, leaf: hook + hook + frame, sub: hook + hook + frame + "53",
			indirect: bounds + call + "833821 73@ ff00 " + load + "5b " + leave + "0e ffe1",
			direct:   call + "833821 73@ ff00 e906000000 5b 0f1f440000", epilogue: "5b c9 c3",
		},
		{
			target: "hier-percpu-prog-a", landing: 24,
			main: hook + "48b8efbeaddeffffffff " + call + frame + sub16 + "50", leaf: hook + nop15 + frame, sub: hook + nop15 + frame + "50 53",
			indirect: bounds + ptrSub + count + load + "5b 58 " + leave + "18 ffe1", direct: ptrSub + count + "e907000000 5b 58 0f1f440000",
			reload: ptr, epilogue: "5b c9 c3",
		},
		{
			target: "hier-percpu-prog-b", landing: 24,
			main: hook + "48b8efbeaddeffffffff " + call + frame + sub16, leaf: hook + nop15 + frame, sub: hook + nop15 + frame + "53",
			indirect: bounds + "48b8efbeaddeffffffff " + call + "83f821 73@ " + load + "5b " + leave + "18 ffe1",
			direct:   "48b8efbeaddeffffffff " + call + "83f821 73@ e906000000 5b 0f1f440000", epilogue: "5b c9 c3",
		},
		{
			target: "hier-runctx", landing: 16,
			main: hook + "488b4708 488b3f " + frame + sub16 + "50", leaf: hook + "0f1f8000000000 " + frame, sub: hook + "0f1f8000000000 " + frame + "50 53",
			indirect: bounds + ptrSub + count + load + "5b 58 " + leave + "10 ffe1", direct: ptrSub + count + "e907000000 5b 58 0f1f440000",
			reload: ptr, epilogue: "5b c9 c3",
		},
		{
			target: "backprop-poke", landing: 11,
			main: hook + "31c0 " + frame + sub16 + "50", leaf: hook + "31c0 " + frame + "50", sub: hook + "6690 " + frame + "50 53",
			indirect: bounds + "8b85fcffffff 83f821 73@ 83c001 8985fcffffff " + load + "5b 58 " + leave + "0b ffe1",
			direct:   "8b85fcffffff 83f821 73@ 83c001 8985fcffffff e907000000 5b 58 0f1f440000",
			reload:   ptr, back: "48898de8ffffff", epilogue: "5b 488b4c2400 c9 c3",
		},
		{
			target: "backprop-check", landing: 11,
			main: hook + "31c0 " + frame + sub16 + "50", leaf: hook + "6690 " + frame, sub: hook + "6690 " + frame + "50 53",
			indirect: bounds + "8b85fcffffff 83f821 73@ 83c001 8985fcffffff " + load + "5b 58 " + leave + "0b ffe1",
			direct:   "8b85fcffffff 83f821 73@ 83c001 8985fcffffff e907000000 5b 58 0f1f440000",
			reload:   ptr, back: "48898de8ffffff", epilogue: "83bdfcffffff00 7407 488b8df8ffffff 5b c9 c3",
		},
	} {
		t.Run(p.target, func(t *testing.T) { p.check(t) })
	}
}

// farEnv answers for kernel routines near the code and for counters of programs.
type farEnv struct{ placedEnv }

func (e *farEnv) Routine(r image.Routine) (image.Addr, error) {
	if r.Kind == image.ProgramCounter {
		return 0xffffffffdeadbeef, nil
	}
	return 0xffffffffc0008000, nil
}

func (p *proposal) check(t *testing.T) {
	target, err := jit.TargetByName(p.target)
	must(t, err)
	env := &farEnv{placedEnv{at: []image.Addr{0xffffffffc0001000, 0xffffffffc0002000}}}
	v := verified(16, insns(callSub, exit), insns(movReg(6, 1), tailIndirect, tailDirect, exit))
	img, err := jit.Compile(v, target, env)
	must(t, err)
	leafProg := program(0, false, mov0, exit)
	leaf, err := jit.Compile(leafProg, target, env)
	must(t, err)

	main, sub := &img.Funcs[0], &img.Funcs[1]
	if main.Frame.Landing != p.landing || sub.Frame.Landing != -1 || leaf.Funcs[0].Frame.Landing != p.landing {
		t.Errorf("landings %d %d %d, want %d", main.Frame.Landing, sub.Frame.Landing, leaf.Funcs[0].Frame.Landing, p.landing)
	}
	same := func(what, want string, got []byte) {
		t.Helper()
		w := assemble(t, strings.ReplaceAll(want, "@", " @ ")+" :")
		if !bytes.Equal(w, got) {
			t.Errorf("%s (-want +got)\n%s", what, cmp.Diff(fmt.Sprintf("% x", w), fmt.Sprintf("% x", got)))
		}
	}
	same("prologue of main", p.main, noCalls(t, main, 0, main.Frame.Body))
	same("prologue of a leaf", p.leaf, noCalls(t, &leaf.Funcs[0], 0, leaf.Funcs[0].Frame.Body))
	same("prologue of sub", p.sub, noCalls(t, sub, 0, sub.Frame.Body))
	c := main.Calls[0]
	same("reload", p.reload, main.Code[main.Frame.Body:c.Off])
	same("after the call", p.back, main.Code[c.Off+5:main.InsnOff[1]])
	if (c.TakeBack != 0) != (p.back != "") {
		t.Errorf("call site %+v", c)
	}
	i, d := sub.TailCalls[0], sub.TailCalls[1]
	same("indirect", p.indirect, noCalls(t, sub, i.Start, i.End))
	same("direct", p.direct, noCalls(t, sub, d.Start, d.End))
	same("epilogue", p.epilogue, sub.Code[d.End:])
}

// noCalls returns a part of the code with the displacements of calls out of the function set to 0.
func noCalls(t *testing.T, f *image.FuncImage, from, to image.CodeOff) []byte {
	t.Helper()
	code := bytes.Clone(f.Code[from:to])
	for off := 0; off < len(code); {
		in, err := x86.Decode(code[off:], f.Addr+image.Addr(from)+image.Addr(off))
		must(t, err)
		if in.Branch == x86.BranchCall && (in.Target < f.Addr || in.Target >= f.End()) {
			if in.Target != 0xffffffffc0008000 {
				t.Errorf("call of %#x", uint64(in.Target))
			}
			copy(code[off+1:], make([]byte, 4))
		}
		off += int(in.Len)
	}
	return code
}
