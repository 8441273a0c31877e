// SPDX-License-Identifier: GPL-2.0-only

package jit_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/recognise"
	"github.com/tcsim/tcsim/jit/verify"
	"github.com/tcsim/tcsim/jit/verify/rewrite"
	"github.com/tcsim/tcsim/jit/x86"
)

// featureEnv answers for arenas and private stacks too.
type featureEnv struct{ plainEnv }

func (featureEnv) Arena(int) (kernel, user image.Addr, err error) {
	return 0xffffc90020009000, 1 << 44, nil
}

func (featureEnv) PrivateStack(_ int, size int32) (image.Addr, error) {
	return 0xffffffff83de2000 + image.Addr(size), nil
}

// plainEnv places functions one after the other and knows this_cpu_off.
type plainEnv struct{}

func (plainEnv) Place(fn, _ int, _ image.CodeOff) (image.Addr, error) {
	return 0xffffffffc0001000 + image.Addr(fn)*0x1000, nil
}
func (plainEnv) Helper(int32) (image.Addr, error) { return 0xffffffff81000000, nil }
func (plainEnv) MapAddr(int) (image.Addr, error)  { return 0xffff888100000000, nil }
func (plainEnv) MapValue(int) (image.Addr, error) { return 0xffff888100000400, nil }
func (plainEnv) Symbol(n string) (image.Addr, error) {
	a, ok := map[string]image.Addr{
		"this_cpu_off": 0xffffffff83dbd028, "bpf_throw": 0xffffffff815eeec0, "arch_bpf_timed_may_goto": 0xffffffff81370040,
	}[n]
	if !ok {
		return 0, errors.New("no symbol " + n)
	}
	return a, nil
}

var (
	returnInsn = bpf.Insn{Op: bpf.OpExit}
	zeroR0     = bpf.Insn{Op: bpf.OpMov}
)

// verify analyses a program for a target.
func verifiedFor(t *testing.T, p *bpf.Program, target string) (*verify.Verified, *jit.Target, error) {
	t.Helper()
	tgt, err := jit.TargetByName(target)
	must(t, err)
	if p.Funcs == nil {
		p.Funcs = []bpf.Func{{Name: "main"}}
	}
	v, err := verify.Analyse(p, &tgt.Kernel)
	return v, tgt, err
}

// TestArenaCast compares the code of a cast to user space, which no capture has, with what the
// source of 6.12 (do_jit, insn_is_cast_user) gives for it.
func TestArenaCast(t *testing.T) {
	for _, c := range []struct {
		name     string
		dst, src uint8
		want     string
	}{
		{"same register", 0, 0, "48c1e020480d0010000048c1c0204d31db85c0490f44c3"},
		{"other register", 7, 1, "4189fd49c1e5204981cd0010000049c1c5204d31db4585ed4d0f44eb"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &bpf.Program{Maps: []bpf.Map{{Name: "arena", Type: bpf.ArenaMap}}, Insns: []bpf.Insn{
				{Op: bpf.OpLdImm64, Dst: 0, Src: bpf.PseudoMap}, {},
				{Op: bpf.OpMovReg, Dst: c.dst, Src: c.src, Off: 1, Imm: 1 << 16},
				zeroR0, returnInsn,
			}}
			v, tgt, err := verifiedFor(t, p, "6.12")
			must(t, err)
			img, err := jit.Compile(v, tgt, featureEnv{})
			must(t, err)
			f := &img.Funcs[0]
			if got := hex.EncodeToString(f.Code[f.InsnOff[2]:f.InsnOff[3]]); got != c.want {
				t.Errorf("code %s, expected %s", got, c.want)
			}
		})
	}
}

// TestArenaAccess compiles every access to an arena and requires of decoding that it goes through
// r12, and of Recognise that it finds the same faults.
func TestArenaAccess(t *testing.T) {
	p := &bpf.Program{Maps: []bpf.Map{{Name: "arena", Type: bpf.ArenaMap}}, Insns: []bpf.Insn{
		{Op: bpf.OpLdImm64, Dst: 0, Src: bpf.PseudoMap}, {}, {Op: bpf.OpMov, Dst: 1}, {Op: bpf.OpMov, Dst: 2}, {Op: bpf.ClassALU | bpf.ALUMov | bpf.SrcReg, Dst: 1, Src: 1},
	}}
	first := len(p.Insns)
	for _, size := range []uint8{0x00, 0x08, 0x10, 0x18} {
		p.Insns = append(p.Insns,
			bpf.Insn{Op: 0x61 | size, Dst: 3, Src: 1, Off: 8},
			bpf.Insn{Op: 0x63 | size, Dst: 1, Src: 2, Off: 500},
			bpf.Insn{Op: 0x62 | size, Dst: 1, Off: -8, Imm: 1})
		if size != 0x18 {
			p.Insns = append(p.Insns, bpf.Insn{Op: 0x81 | size, Dst: 4, Src: 1})
		}
		if size == 0x18 || size == 0 {
			p.Insns = append(p.Insns, bpf.Insn{Op: 0xc3 | size, Dst: 1, Src: 2}, bpf.Insn{Op: 0xe3 | size, Dst: 1, Src: 2, Imm: 0xe1})
		}
	}
	last := len(p.Insns)
	p.Insns = append(p.Insns, zeroR0, returnInsn)
	v, tgt, err := verifiedFor(t, p, "7.2")
	must(t, err)
	img, err := jit.Compile(v, tgt, featureEnv{})
	must(t, err)
	f := &img.Funcs[0]
	if len(f.Faults) != last-first {
		t.Fatalf("%d accesses may fault, expected %d", len(f.Faults), last-first)
	}
	for i, s := range f.Faults {
		if s.Off != f.InsnOff[first+i] || s.Next != f.InsnOff[first+i+1] {
			t.Errorf("insn %d: fault at %d to %d", first+i, s.Off, s.Next)
		}
		in, err := x86.Decode(f.Code[s.Off:s.Next], f.Addr+image.Addr(s.Off))
		must(t, err)
		if in.Mem.Index != x86.R12 || (p.Insns[first+i].Class() == 1) != (s.Clear != x86.RegNone) {
			t.Errorf("insn %d (%s): %s, clears %s", first+i, p.Insns[first+i].Text(), in.Op, s.Clear)
		}
	}
	got, err := recognise.RecogniseImage(img.Funcs)
	must(t, err)
	if d := cmp.Diff(f.Faults, got.Funcs[0].Faults); d != "" {
		t.Errorf("(-compiler +recognised):\n%s", d)
	}
	if _, err := jit.Compile(v, tgt, plainEnv{}); err == nil || !strings.Contains(err.Error(), "arenas have no addresses") {
		t.Errorf("without an arena's address: %v", err)
	}
}

// throwing is main calling sub, which throws; callback says whether it has one of its own.
func throwing(callback bool) *bpf.Program {
	p := &bpf.Program{
		Name: "p", Type: bpf.SchedCLS, Kfuncs: []string{"bpf_throw"},
		Funcs: []bpf.Func{{Name: "main"}, {Name: "sub", Start: 3, Origin: 3}},
		Insns: []bpf.Insn{
			{Op: bpf.OpCall, Src: bpf.PseudoCall, Imm: 2}, zeroR0, returnInsn,
			{Op: bpf.OpMov, Dst: 1, Imm: 77}, {Op: bpf.OpCall, Src: bpf.PseudoKfunc}, zeroR0, returnInsn,
		},
	}
	if callback {
		p.Funcs = append(p.Funcs, bpf.Func{Name: "handler", Start: 7, Origin: 7, ExceptionCB: true})
		p.Insns = append(p.Insns, bpf.Insn{Op: bpf.OpMovReg, Src: 1}, returnInsn)
	}
	return p
}

// TestThrow compiles a program that throws and requires of Recognise that it finds the same frames.
func TestThrow(t *testing.T) {
	v, tgt, err := verifiedFor(t, throwing(true), "7.2")
	must(t, err)
	img, err := jit.Compile(v, tgt, plainEnv{})
	must(t, err)
	all := []x86.Reg{x86.R12, x86.RBX, x86.R13, x86.R14, x86.R15}
	if d := cmp.Diff(all, img.Funcs[0].Frame.Saved); d != "" {
		t.Errorf("registers that main saves (-want +got):\n%s", d)
	}
	cb := img.Funcs[2].Code
	if want, _ := hex.DecodeString("4889f44889d5415f415e415d5b415c4889ec"); !bytes.Contains(cb, want) {
		t.Errorf("the callback is %x", cb)
	}
	got, err := recognise.RecogniseImage(img.Funcs)
	must(t, err)
	for i := range img.Funcs {
		if d := cmp.Diff(img.Funcs[i].Frame, got.Funcs[i].Frame); d != "" {
			t.Errorf("function %d (-compiler +recognised):\n%s", i, d)
		}
	}
}

// TestThrowRefused has what is no program with exceptions.
func TestThrowRefused(t *testing.T) {
	if _, _, err := verifiedFor(t, throwing(false), "7.2"); err == nil || !strings.Contains(err.Error(), "no exception callback") {
		t.Errorf("without a callback: %v", err)
	}
	p := throwing(true)
	p.Funcs[1].ExceptionCB = true
	if _, _, err := verifiedFor(t, p, "7.2"); err == nil || !strings.Contains(err.Error(), "both exception callbacks") {
		t.Errorf("with two callbacks: %v", err)
	}
	v, tgt, err := verifiedFor(t, throwing(true), "6.1")
	must(t, err)
	if _, err := jit.Compile(v, tgt, plainEnv{}); !errors.Is(err, kernels.ErrUnsupported) {
		t.Errorf("for 6.1: %v", err)
	}
}

// TestPrivateStack says which functions get a private stack.
func TestPrivateStack(t *testing.T) {
	store := func(off int16) bpf.Insn {
		return bpf.Insn{Op: bpf.ClassST | bpf.ModeMem | bpf.SizeDW, Dst: 10, Off: off}
	}
	tail := []bpf.Insn{{Op: bpf.OpLdImm64, Dst: 2, Src: bpf.PseudoMap}, {}, {Op: bpf.OpMov, Dst: 3}, {Op: bpf.OpCall, Imm: bpf.HelperTailCall}}
	for _, c := range []struct {
		name   string
		typ    bpf.ProgType
		target string
		insns  []bpf.Insn
		want   bool
	}{
		{"48 bytes", bpf.Kprobe, "7.2", []bpf.Insn{store(-48)}, false},
		{"56 bytes", bpf.Kprobe, "7.2", []bpf.Insn{store(-56)}, true},
		{"tracing", bpf.Tracing, "6.18", []bpf.Insn{store(-64)}, true},
		{"before 6.13", bpf.Tracing, "6.12", []bpf.Insn{store(-64)}, false},
		{"not interrupted by itself", bpf.SchedCLS, "7.2", []bpf.Insn{store(-64)}, false},
		{"tail call", bpf.Kprobe, "7.2", append([]bpf.Insn{store(-64)}, tail...), false},
		{"may_goto's counter", bpf.Kprobe, "7.2", []bpf.Insn{{Op: bpf.ClassST | bpf.ModeMem | bpf.SizeDW, Dst: 10, Off: -56, Imm: 0xffff}, store(-48), store(-40)}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &bpf.Program{Type: c.typ, Insns: append(c.insns, zeroR0, returnInsn), Maps: []bpf.Map{{Type: bpf.ProgArray, MaxEntries: 1}}}
			v, tgt, err := verifiedFor(t, p, c.target)
			must(t, err)
			if got := v.Funcs[0].PrivateStack; got != c.want {
				t.Errorf("private stack %t, expected %t", got, c.want)
			}
			img, err := jit.Compile(v, tgt, featureEnv{})
			must(t, err)
			if got := bytes.Contains(img.Funcs[0].Code, []byte{0x65, 0x4c, 0x03, 0x0c, 0x25}); got != c.want {
				t.Errorf("r9 is loaded: %t", got)
			}
		})
	}
}

// TestRewriteThrow: a program that throws gets a callback unless it has one.
func TestRewriteThrow(t *testing.T) {
	tgt, err := jit.TargetByName("7.2")
	must(t, err)
	for _, own := range []bool{true, false} {
		p := throwing(own)
		n := len(p.Insns)
		out, err := rewrite.Program(p, &tgt.Kernel)
		must(t, err)
		last := out.Funcs[len(out.Funcs)-1]
		if len(out.Funcs) != 3 || !last.ExceptionCB {
			t.Fatalf("functions %v", out.Funcs)
		}
		if own {
			if last.Origin != 7 || len(out.Insns) >= n {
				t.Errorf("callback %v; %d instructions of %d: what follows the exception is dead", last, len(out.Insns), n)
			}
			continue
		}
		if d := cmp.Diff([]bpf.Insn{{Op: bpf.OpMovReg, Src: 1}, returnInsn}, out.Insns[last.Start:]); d != "" || last.Name != "hidden2" || last.Origin != -1 {
			t.Errorf("callback %v (-want +got):\n%s", last, d)
		}
	}
	p := throwing(true)
	p.Kfuncs = nil
	if _, err := rewrite.Program(p, &tgt.Kernel); err == nil || !strings.Contains(err.Error(), "no kernel function 0") {
		t.Errorf("with an unknown kernel function: %v", err)
	}
	old, err := jit.TargetByName("6.1")
	must(t, err)
	if _, err := rewrite.Program(throwing(true), &old.Kernel); !errors.Is(err, kernels.ErrUnsupported) {
		t.Errorf("for 6.1: %v", err)
	}
}

// TestMayGotoTimed compiles a loop for 7.2, without a running kernel that would give addresses: the
// call of the function that looks at the clock keeps registers.
func TestMayGotoTimed(t *testing.T) {
	p := &bpf.Program{Funcs: []bpf.Func{{Name: "main"}}, Insns: []bpf.Insn{
		zeroR0, {Op: bpf.OpMayGoto, Off: 2}, {Op: bpf.ClassALU64 | bpf.ALUAdd, Imm: 1}, {Op: bpf.OpJA, Off: -3}, returnInsn,
	}}
	tgt, err := jit.TargetByName("7.2")
	must(t, err)
	out, err := rewrite.Program(p, &tgt.Kernel)
	must(t, err)
	v, err := verify.Analyse(out, &tgt.Kernel)
	must(t, err)
	img, err := jit.Compile(v, tgt, plainEnv{})
	must(t, err)
	if c := img.Funcs[0].Calls; len(c) != 1 || c[0].Target != 0xffffffff81370040 || v.Funcs[0].StackDepth != 16 {
		t.Errorf("calls %v, stack of %d bytes", c, v.Funcs[0].StackDepth)
	}
}

// TestArenaRewrite: arithmetic on addresses of an arena becomes 32 bits wide, casts to user space stay.
func TestArenaRewrite(t *testing.T) {
	tgt, err := jit.TargetByName("6.12")
	must(t, err)
	arena := []bpf.Map{{Name: "arena", Type: bpf.ArenaMap}}
	body := []bpf.Insn{
		{Op: bpf.OpMov, Dst: 2, Imm: 64}, {Op: bpf.OpMovReg, Dst: 2, Src: 2, Off: 1, Imm: 1}, {Op: bpf.ClassALU64 | bpf.ALUAdd, Dst: 2, Imm: 8},
		{Op: bpf.ClassLDX | bpf.ModeMem | bpf.SizeDW, Dst: 3, Src: 2}, {Op: bpf.ClassSTX | bpf.ModeAtomic | bpf.SizeDW, Dst: 2, Src: 3}, {Op: bpf.OpMovReg, Dst: 4, Src: 2, Off: 1, Imm: 1 << 16}, zeroR0, returnInsn,
	}
	load := []bpf.Insn{{Op: bpf.OpLdImm64, Dst: 1, Src: bpf.PseudoMap}, {}}
	out, err := rewrite.Program(&bpf.Program{Maps: arena, Funcs: []bpf.Func{{Name: "main"}}, Insns: append(load, body...)}, &tgt.Kernel)
	must(t, err)
	want := []bpf.Insn{
		{Op: bpf.OpMov, Dst: 2, Imm: 64}, {Op: bpf.ClassALU | bpf.ALUMov | bpf.SrcReg, Dst: 2, Src: 2}, {Op: bpf.ClassALU | bpf.ALUAdd, Dst: 2, Imm: 8},
		{Op: bpf.ClassLDX | bpf.ModeMem | bpf.SizeDW, Dst: 3, Src: 2}, {Op: bpf.ClassSTX | bpf.ModeProbeAtomic | bpf.SizeDW, Dst: 2, Src: 3}, {Op: bpf.OpMovReg, Dst: 4, Src: 2, Off: 1, Imm: 1 << 16}, zeroR0, returnInsn,
	}
	if d := cmp.Diff(want, out.Insns[2:]); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	v, err := verify.Analyse(out, &tgt.Kernel)
	must(t, err)
	img, err := jit.Compile(v, tgt, featureEnv{})
	must(t, err)
	if n := len(img.Funcs[0].Faults); n != 2 {
		t.Errorf("%d accesses may fault, expected 2", n)
	}
	cast := []bpf.Insn{body[0], body[1], zeroR0, returnInsn}
	_, err = rewrite.Program(&bpf.Program{Funcs: []bpf.Func{{Name: "main"}}, Insns: cast}, &tgt.Kernel)
	if err == nil || !strings.Contains(err.Error(), "associated arena") {
		t.Errorf("without an arena: %v", err)
	}
}

// TestArenaOperands compiles loads, stores and additions with every base, operand and size of
// displacement and compares the decoded operands.
func TestArenaOperands(t *testing.T) {
	regs := []x86.Reg{x86.RAX, x86.RDI, x86.RSI, x86.RDX, x86.RCX, x86.R8, x86.RBX, x86.R13, x86.R14, x86.R15}
	tgt, err := jit.TargetByName("7.2")
	must(t, err)
	for base := range uint8(len(regs)) {
		for other := range uint8(len(regs)) {
			for _, off := range []int16{0, 127, 128, -128, -129, 32767} {
				insns := []bpf.Insn{
					{Op: bpf.ClassLDX | bpf.ModeProbe32 | bpf.SizeB, Dst: other, Src: base, Off: off}, {Op: bpf.ClassSTX | bpf.ModeProbe32 | bpf.SizeB, Dst: base, Src: other, Off: off}, {Op: bpf.ClassSTX | bpf.ModeProbeAtomic | bpf.SizeDW, Dst: base, Src: other, Off: off},
				}
				v := &verify.Verified{Insns: append(insns, zeroR0, returnInsn), Arena: 1, Funcs: []verify.FuncInfo{{Name: "main", End: 5}}}
				img, err := jit.Compile(v, tgt, featureEnv{})
				must(t, err)
				f := &img.Funcs[0]
				for i := range insns {
					in, err := x86.Decode(f.Code[f.InsnOff[i]:f.InsnOff[i+1]], 0)
					must(t, err)
					operand := in.Operands[0]
					if i > 0 {
						operand = in.Operands[1]
					}
					if in.Mem.Base != regs[base] || in.Mem.Index != x86.R12 || in.Mem.Scale != 1 || in.Mem.Disp != int64(off) || operand.Reg != regs[other] {
						t.Errorf("insn %s: %s with %s at %+v", insns[i].Text(), in.Op, operand.Reg, in.Mem)
					}
				}
			}
		}
	}
}
