// SPDX-License-Identifier: GPL-2.0-only

package verify_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/verify"
	"github.com/tcsim/tcsim/jit/verify/rewrite"
)

func texts(insns []bpf.Insn) (out []string) {
	for i := 0; i < len(insns); i++ {
		out = append(out, bpf.TextAt(insns, bpf.InsnIndex(i)))
		if insns[i].Op == bpf.OpLdImm64 {
			i++
		}
	}
	return out
}

// TestRewrite shows what becomes of the instructions between "r0 = r1" style setup and exit.
func TestRewrite(t *testing.T) {
	known := code(movImm(1, 7), movImm(2, 3))
	for name, c := range map[string]struct {
		target string
		typ    bpf.ProgType
		insns  []bpf.Insn
		want   []string
	}{
		"div": {"6.12", 3, code(load32(2, 1, 0), load32(1, 1, 8), bpf.Insn{Op: bpf.ClassALU64 | bpf.ALUDiv | bpf.SrcReg, Dst: 1, Src: 2}, movImm(0, 0), leave()), []string{
			"r2 = *(u32 *)(r1 +112)", "r1 = *(u32 *)(r1 +168)",
			"if r2 != 0 goto pc+2", "w1 ^= w1", "goto pc+1", "r1 /= r2", "r0 = 0", "exit"}},
		"mod32": {"5.10", 3, code(known, bpf.Insn{Op: bpf.ClassALU | bpf.ALUMod | bpf.SrcReg, Dst: 1, Src: 2}, movImm(0, 0), leave()), []string{
			"r1 = 7", "r2 = 3", "if w2 == 0 goto pc+2", "w1 %= w2", "goto pc+1", "w1 = w1", "r0 = 0", "exit"}},
		"sdiv": {"7.2", 3, code(known, bpf.Insn{Op: bpf.ClassALU64 | bpf.ALUDiv | bpf.SrcReg, Dst: 1, Src: 2, Off: 1}, movImm(0, 0), leave()), []string{
			"r1 = 7", "r2 = 3", "r12 = r2", "r12 += 1", "if r12 > 1 goto pc+4", "if r12 == 0 goto pc+1",
			"r1 = 0", "r1 = -r1", "goto pc+1", "r1 s/= r2", "r0 = 0", "exit"}},
		"sdiv by -1": {"6.12", 3, code(known, bpf.Insn{Op: bpf.ClassALU | bpf.ALUDiv, Dst: 1, Imm: -1, Off: 1}, movImm(0, 0), leave()), []string{
			"r1 = 7", "r2 = 3", "w1 = -w1", "r0 = 0", "exit"}},
		"dead branch": {"6.1", 3, code(movImm(0, 5), jeq(0, 5, 2), addImm(0, 1), addImm(0, 2), leave()), []string{
			"r0 = 5", "exit"}},
		"jump over a guard": {"6.12", 3, code(load32(2, 1, 0), movImm(0, 1), jeq(2, 0, 1), bpf.Insn{Op: bpf.ClassALU64 | bpf.ALUDiv | bpf.SrcReg, Dst: 0, Src: 2}, leave()), []string{
			"r2 = *(u32 *)(r1 +112)", "r0 = 1", "if r2 == 0 goto pc+4",
			"if r2 != 0 goto pc+2", "w0 ^= w0", "goto pc+1", "r0 /= r2", "exit"}},
		"jump of no distance": {"6.1", 3, code(movImm(0, 5), ja(0), leave()), []string{"r0 = 5", "exit"}},
		"branch decided, both ways reached, 6.18": {"6.18", 3, code(movImm(0, 5), jlt(0, 3, 1), addImm(0, 1), leave()), []string{
			"r0 = 5", "if r0 < 3 goto pc+1", "r0 += 1", "exit"}},
		"branch decided, both ways reached, 7.2": {"7.2", 3, code(movImm(0, 5), jlt(0, 3, 1), addImm(0, 1), leave()), []string{
			"r0 = 5", "r0 += 1", "exit"}},
		"context byte": {"6.12", 3, code(bpf.Insn{Op: bpf.ClassLDX | bpf.ModeMem | bpf.SizeB, Dst: 0, Src: 1, Off: 17}, leave()), []string{
			"r0 = *(u16 *)(r1 +180)", "w0 >>= 8", "w0 &= 255", "exit"}},
		"context store": {"6.1", 3, code(movImm(0, 0), bpf.Insn{Op: bpf.ClassSTX | bpf.ModeMem | bpf.SizeW, Dst: 1, Src: 0, Off: 8}, leave()), []string{
			"r0 = 0", "*(u32 *)(r1 +168) = r0", "exit"}},
		"xdp": {"6.12", bpf.XDP, code(load32(2, 1, 0), load32(3, 1, 4), load32(0, 1, 12), leave()), []string{
			"r2 = *(u64 *)(r1 +0)", "r3 = *(u64 *)(r1 +8)",
			"r0 = *(u64 *)(r1 +32)", "r0 = *(u64 *)(r0 +0)", "r0 = *(u32 *)(r0 +224)", "exit"}},
		"kprobe": {"6.12", bpf.Kprobe, code(load(0, 1, 96), leave()), []string{"r0 = *(u64 *)(r1 +96)", "exit"}},
		"array lookup": {"6.1", 3, code(storeB(10, -4, 0), ldMap(1, 3), mov(2, 10), addImm(2, -4), call(1), movImm(0, 0), leave()), []string{
			"*(u8 *)(r10 -4) = 0", "r1 = map[3] ll", "r2 = r10", "r2 += -4",
			"r1 += 272", "r0 = *(u32 *)(r2 +0)", "if r0 >= 7 goto pc+3", "r0 *= 24", "r0 += r1", "goto pc+1", "r0 = 0",
			"r0 = 0", "exit"}},
		"hash lookup": {"6.1", 3, code(ldMap(1, 0), mov(2, 10), addImm(2, -16), call(1), movImm(0, 0), leave()), []string{
			"r1 = map[0] ll", "r2 = r10", "r2 += -16", "call #1", "r0 = 0", "exit"}},
		"cmpxchg read in full": {"6.12", 3, code(movImm(0, 1), mov(2, 10), store(2, -8, 0), bpf.Insn{Op: bpf.ClassSTX | bpf.ModeAtomic | bpf.SizeW, Dst: 10, Src: 0, Off: -8, Imm: 0xf1}, leave()), []string{
			"r0 = 1", "r2 = r10", "*(u64 *)(r2 -8) = r0", "w0 = atomic_cmpxchg((u32 *)(r10 -8), w0, w0)", "w0 = w0", "exit"}},
		"may_goto": {"6.12", 3, code(movImm(0, 0), addImm(0, 1), bpf.Insn{Op: bpf.OpMayGoto, Off: 1}, ja(-3), leave()), []string{
			"*(u64 *)(r10 -8) = 8388608", "r0 = 0", "r0 += 1",
			"r11 = *(u64 *)(r10 -8)", "if r11 == 0 goto pc+3", "r11 -= 1", "*(u64 *)(r10 -8) = r11",
			"goto pc-6", "exit"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := testProgram(c.insns)
			p.Type = c.typ
			got, err := rewrite.Program(p, &named(t, c.target).Kernel)
			must(t, err)
			if d := cmp.Diff(c.want, texts(got.Insns)); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
			if got.Submitted != p {
				t.Error("the result does not lead back to what was submitted")
			}
		})
	}
}

// someKernel knows every symbol and function.
type someKernel struct{}

func (someKernel) Symbol(name string) (image.Addr, bool) {
	a, ok := map[string]image.Addr{"jiffies": 0xffffffff82c079c0, "cpu_number": 0x3500c, "current_task": 0x35000}[name]
	return a, ok
}

func (someKernel) Call(name string) (int32, bool) {
	n, ok := map[string]int32{"__htab_map_lookup_elem": 1001, "array_map_update_elem": 1002, "bpf_ktime_get_ns": 1003, "bpf_skb_load_helper_16_no_cache": 1004}[name]
	return n, ok
}

func TestRewriteFor(t *testing.T) {
	for name, c := range map[string]struct {
		target string
		insns  []bpf.Insn
		want   []string
	}{
		"jiffies": {"6.1", code(call(118), leave()), []string{"r0 = 0xffffffff82c079c0 ll", "r0 = *(u64 *)(r0 +0)", "exit"}},
		"cpu":     {"6.12", code(call(8), leave()), []string{"w0 = 217100", "r0 = &(void __percpu *)(r0)", "r0 = *(u32 *)(r0 +0)", "exit"}},
		"cpu 6.1": {"6.1", code(call(8), leave()), []string{"call #8", "exit"}},
		"task":    {"7.2", code(call(35), leave()), []string{"r0 = 217088", "r0 = &(void __percpu *)(r0)", "r0 = *(u64 *)(r0 +0)", "exit"}},
		"hash": {"6.1", code(ldMap(1, 0), mov(2, 10), addImm(2, -16), call(1), movImm(0, 0), leave()), []string{
			"r1 = map[0] ll", "r2 = r10", "r2 += -16", "call #1001", "if r0 == 0 goto pc+1", "r0 += 64", "r0 = 0", "exit"}},
		"ktime": {"6.1", code(call(5), leave()), []string{"call #1003", "exit"}},
		"tail":  {"6.1", code(mov(6, 1), tail(1, 0), movImm(0, 0), leave()), []string{"r6 = r1", "r1 = r6", "r2 = map[1] ll", "r3 = 0", "call #12", "r0 = 0", "exit"}},
		"ld_abs": {"6.12", code(mov(6, 1), bpf.Insn{Op: bpf.ClassLD | bpf.ModeAbs | bpf.SizeH, Imm: 12}, leave()), []string{
			"r6 = r1", "r2 = 12", "r1 = r6", "call #1004", "if r0 s>= 0 goto pc+2", "w0 ^= w0", "exit", "exit"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := rewrite.For(testProgram(c.insns), &named(t, c.target).Kernel, someKernel{})
			must(t, err)
			if d := cmp.Diff(c.want, texts(got.Insns)); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}

func TestRewriteRemovesFunctions(t *testing.T) {
	p := testProgram(code(movImm(7, 0), jeq(7, 0, 1), callFn(3), callFn(4), movImm(0, 0), leave(),
		movImm(0, 1), leave(), movImm(0, 2), leave()), 6, 8)
	got, err := rewrite.Program(p, &named(t, "6.12").Kernel)
	must(t, err)
	want := []bpf.Func{{Name: "main"}, {Name: "sub", Start: 4, Origin: 8}}
	if d := cmp.Diff(want, got.Funcs); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	if d := cmp.Diff([]string{"r7 = 0", "call pc+2", "r0 = 0", "exit", "r0 = 2", "exit"}, texts(got.Insns)); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// TestRewriteLenient accepts what the verifier would refuse and drops what is out of reach.
func TestRewriteLenient(t *testing.T) {
	p := testProgram(code(addReg(0, 2), jeq(3, 0, 1), ja(-2), leave(), movImm(0, 1), leave()))
	lenient := *named(t, "6.12")
	lenient.Verifier.Lenient = true
	got, err := rewrite.Program(p, &lenient.Kernel)
	must(t, err)
	if d := cmp.Diff([]string{"r0 += r2", "if r3 == 0 goto pc+1", "goto pc-2", "exit"}, texts(got.Insns)); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// TestRewriteCallback keeps a function that only a helper calls, and the distance to it.
func TestRewriteCallback(t *testing.T) {
	callback := []bpf.Insn{{Op: bpf.OpLdImm64, Dst: 2, Src: bpf.PseudoFunc, Imm: 10}, {}}
	insns := code(ldMap(1, 0), callback, movImm(3, 0), movImm(4, 0), call(164),
		bpf.Insn{Op: bpf.ClassALU64 | bpf.ALUDiv | bpf.SrcReg, Dst: 0, Src: 0}, movImm(7, 0), jeq(7, 0, 1), addImm(0, 5), movImm(0, 0), leave(), // main: 0 to 12
		movImm(0, 1), leave())
	got, err := rewrite.Program(testProgram(insns, 13), &named(t, "6.12").Kernel)
	must(t, err)
	if got.Insns[2].Imm != 11 || len(got.Funcs) != 2 || got.Funcs[1].Start != 14 {
		t.Errorf("callback is %d slots after, functions %+v of\n%v", got.Insns[2].Imm, got.Funcs, texts(got.Insns))
	}
	_, err = verify.Analyse(got, &named(t, "6.12").Kernel)
	must(t, err)
}

// TestRewriteLoop compares a loop with what a 6.18 kernel made of such a program.
func TestRewriteLoop(t *testing.T) {
	callback := []bpf.Insn{{Op: bpf.OpLdImm64, Dst: 2, Src: bpf.PseudoFunc, Imm: 6}, {}}
	insns := code(movImm(1, 3), callback, movImm(3, 0), movImm(4, 0), call(181), movImm(0, 0), leave(), // main: 0 to 7
		movImm(0, 0), leave())
	got, err := rewrite.Program(testProgram(insns, 8), &named(t, "6.18").Kernel)
	must(t, err)
	want := []string{
		"r1 = 3", "r2 = 0x18 ll", "r3 = 0", "r4 = 0",
		"if r1 <= 8388608 goto pc+2", "w0 = -7", "goto pc+16",
		"*(u64 *)(r10 -24) = r6", "*(u64 *)(r10 -16) = r7", "*(u64 *)(r10 -8) = r8",
		"r6 = r1", "w7 = 0", "r8 = r3", "if r7 >= r6 goto pc+5", "r1 = r7", "r2 = r8", "call pc+8",
		"r7 += 1", "if r0 == 0 goto pc-6", "r0 = r7",
		"r6 = *(u64 *)(r10 -24)", "r7 = *(u64 *)(r10 -16)", "r8 = *(u64 *)(r10 -8)",
		"r0 = 0", "exit", "r0 = 0", "exit",
	}
	if d := cmp.Diff(want, texts(got.Insns)); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func TestRewriteMistakes(t *testing.T) {
	deep := func(n int32) []bpf.Insn { return code(storeB(10, int16(-n), 0), callFn(2), movImm(0, 0), leave()) }
	for name, c := range map[string]struct {
		insns  []bpf.Insn
		starts []bpf.InsnIndex
		want   []string
	}{
		"unreachable":    {code(movImm(0, 0), leave(), movImm(0, 1), leave()), nil, []string{"insn 2 (r0 = 1): no path leads here", "insn 3 (exit): no path"}},
		"unset register": {code(mov(0, 3), leave()), nil, []string{"insn 0 (r0 = r3): r3 is not initialised"}},
		"clobbered":      {code(call(5), mov(0, 1), leave()), nil, []string{"insn 1 (r0 = r1): r1 is not initialised"}},
		"argument":       {code(call(23), leave()), nil, []string{"insn 0 (call #23): argument r2 is not initialised"}},
		"no result":      {code(mov(6, 1), leave()), nil, []string{"insn 1 (exit): r0 is not initialised"}},
		"stack":          {code(storeB(10, -513, 0), movImm(0, 0), leave()), nil, []string{"access outside the stack"}},
		"above":          {code(storeB(10, 0, 0), movImm(0, 0), leave()), nil, []string{"access outside the stack: r10+0 to r10+1"}},
		"endless":        {code(movImm(0, 0), addImm(0, 1), ja(-2)), nil, []string{"too complex: more than 1000000 instructions"}},
		"context":        {code(load32(0, 1, 100), leave()), nil, []string{"insn 0 (r0 = *(u32 *)(r1 +100)): invalid bpf_context access off=100 size=4"}},
		"read only field": {
			code(movImm(0, 0), bpf.Insn{Op: bpf.ClassSTX | bpf.ModeMem | bpf.SizeW, Dst: 1, Src: 0, Off: 4}, leave()), nil,
			[]string{"invalid bpf_context access off=4 size=4"},
		},
		"tail call too deep": {
			code(deep(256), mov(6, 1), tail(1, 0), movImm(0, 0), leave()), []bpf.InsnIndex{4},
			[]string{"function 1 (sub) makes tail calls: 256 bytes of stack"},
		},
		"too deep": {
			code(deep(400), storeB(10, -200, 0), movImm(0, 0), leave()), []bpf.InsnIndex{4},
			[]string{"down to function 1 (sub) need 608 bytes of stack, more than 512"},
		},
		"rewritten form": {code(bpf.Insn{Op: bpf.OpMovReg, Dst: 11, Src: 1}, leave()), nil, []string{"there is no register r11"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := rewrite.Program(testProgram(c.insns, c.starts...), &named(t, "6.12").Kernel)
			for _, w := range c.want {
				if err == nil || !strings.Contains(err.Error(), w) {
					t.Errorf("got %v, expected %s", err, w)
				}
			}
		})
	}
}

// TestRewritePacketLoads: without a kernel's numbers, functions that loads from the packet become calls
// of are named, each once.
func TestRewritePacketLoads(t *testing.T) {
	p := testProgram(code(mov(6, 1), bpf.Insn{Op: bpf.ClassLD | bpf.ModeAbs | bpf.SizeB, Imm: 1}, bpf.Insn{Op: bpf.ClassLD | bpf.ModeAbs | bpf.SizeH, Imm: 12}, bpf.Insn{Op: bpf.ClassLD | bpf.ModeAbs | bpf.SizeB, Imm: 2}, leave()))
	p.Kfuncs = []string{"bpf_rcu_read_lock"}
	got, err := rewrite.Program(p, &named(t, "6.12").Kernel)
	must(t, err)
	want := []string{"bpf_rcu_read_lock", "bpf_skb_load_helper_8_no_cache", "bpf_skb_load_helper_16_no_cache"}
	if d := cmp.Diff(want, got.Kfuncs); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	var calls []int32
	for _, in := range got.Insns {
		if in.Op == 0x85 && in.Src == bpf.PseudoKfunc {
			calls = append(calls, in.Imm)
		}
	}
	if d := cmp.Diff([]int32{1, 2, 1}, calls); d != "" {
		t.Errorf("calls: -want +got:\n%s", d)
	}
}

// TestUnknownField reads a context field that kernels have at a place that nothing shows for 5.10.
func TestUnknownField(t *testing.T) {
	p := testProgram(code(load(0, 1, 44), leave()))
	p.Insns[0].Op = bpf.ClassLDX | bpf.ModeMem | bpf.SizeW
	if _, err := rewrite.Program(p, &named(t, "6.1").Kernel); err != nil {
		t.Error(err)
	}
	_, err := rewrite.Program(p, &named(t, "5.10").Kernel)
	if !errors.Is(err, kernels.ErrUnsupported) || !strings.Contains(err.Error(), "where this kernel has the context field at offset 44 is not known") {
		t.Errorf("5.10: %v", err)
	}
}
