// SPDX-License-Identifier: GPL-2.0-only

package verify_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/verify"
	"github.com/tcsim/tcsim/jit/verify/rewrite"
)

// writesR10 is what no path may lead to.
var writesR10 = movImm(10, 0)

func jump(op uint8, d uint8, v int32, off int16) bpf.Insn {
	return bpf.Insn{Op: bpf.ClassJmp | op, Dst: d, Off: off, Imm: v}
}

func jump32(op uint8, d uint8, v int32, off int16) bpf.Insn {
	return bpf.Insn{Op: bpf.ClassJmp32 | op, Dst: d, Off: off, Imm: v}
}

// TestRanges: numbers of which kernels know, and others do not yet, that a path is dead.
func TestRanges(t *testing.T) {
	random := call(7)
	sx := func(op uint8, d, s uint8, bits int16) bpf.Insn {
		return bpf.Insn{Op: op | bpf.ALUMov | bpf.SrcReg, Dst: d, Src: s, Off: bits}
	}
	ranged := func(and, or int32) []bpf.Insn {
		return code(random, andImm(0, and), bpf.Insn{Op: bpf.ClassALU64 | bpf.ALUOr, Dst: 0, Imm: or})
	}
	tail := code(writesR10, movImm(0, 0), leave())
	wide := func(r uint8, v uint64) []bpf.Insn {
		return []bpf.Insn{{Op: bpf.OpLdImm64, Dst: r, Imm: int32(v)}, {Imm: int32(v >> 32)}}
	}
	against := func(op, r uint8, off int16) bpf.Insn {
		return bpf.Insn{Op: bpf.ClassJmp | op | bpf.SrcReg, Dst: 0, Src: r, Off: off}
	}
	for _, c := range []struct {
		name    string
		insns   []bpf.Insn
		dead    string // targets that know
		unknown string // and that do not
	}{
		{"64 bits that cross the sign", code(random, sx(bpf.ClassALU64, 0, 0, 8), movImm(1, -256),
			bpf.Insn{Op: bpf.ClassJmp | bpf.JmpGt | bpf.SrcReg, Dst: 0, Src: 1, Off: 2}, jlt(0, 128, 1), tail), "6.12 6.18 7.2", "6.6"},
		{"32 bits that cross the sign", code(random, bpf.Insn{Op: bpf.ClassALU | bpf.ALUAnd, Imm: -1}, jump32(bpf.JmpLt, 0, 3, 3),
			jump32(bpf.JmpSgt, 0, 1, 2), jump32(bpf.JmpSlt, 0, 0, 1), tail), "6.12 6.18 7.2", "6.6"},
		{"a sign-extended move of negative numbers", code(ranged(15, 0x80), sx(bpf.ClassALU, 1, 0, 8), jump32(bpf.JmpSlt, 1, -5, 1), tail), "6.6 6.12 7.2", ""},
		{"a sign-extended move to 64 bits of negative numbers", code(ranged(15, 0x8000), sx(bpf.ClassALU64, 1, 0, 16), jump(bpf.JmpSlt, 1, -5, 1), tail), "6.6 6.12 7.2", ""},
		{"the sign of a number and a mask", code(random, bpf.Insn{Op: bpf.ClassALU | bpf.ALUMov | bpf.SrcReg, Dst: 2}, bpf.Insn{Op: bpf.ClassALU | bpf.ALUArsh, Dst: 2, Imm: 31},
			bpf.Insn{Op: bpf.ClassALU | bpf.ALUAnd, Dst: 2, Imm: -134}, jump32(bpf.JmpSgt, 2, -1, 2), jump32(bpf.JmpNe, 2, -136, 1), tail), "6.12 7.2", "6.6"},
		{"one of numbers of either sign", code(ranged(15, 0x78), sx(bpf.ClassALU, 1, 0, 8), jump32(bpf.JmpSgt, 1, 0, 1), tail), "6.12", ""},
		{"one multiple within bounds", code(random, jump(bpf.JmpSet, 0, 63, 4), jlt(0, 0xfd0, 3), jump(bpf.JmpGt, 0, 0x1030, 2), jeq(0, 0x1000, 1), tail), "6.18 7.0 7.3", "6.12"},
		{"the higher of two numbers", code(ranged(16, 8), jeq(0, 8, 2), jeq(0, 24, 1), tail), "6.18 7.0 7.3", "6.12"},
		{"the lower of two numbers", code(ranged(16, 8), jeq(0, 24, 2), jeq(0, 8, 1), tail), "6.18 7.0 7.3", "6.12"},
		{"two multiples within bounds", code(random, jump(bpf.JmpSet, 0, 63, 4), jlt(0, 0xfd0, 3), jump(bpf.JmpGt, 0, 0x1040, 2), jeq(0, 0x1000, 1), tail), "", "6.18 7.3"},
		{"one of two numbers", code(ranged(16, 8), jeq(0, 8, 1), tail), "", "6.12 7.3"},
		{"a number that equals none with its bits", code(random, mov(5, 0), andImm(5, -8), mov(1, 0), andImm(1, 1), addImm(1, 41),
			bpf.Insn{Op: bpf.ClassJmp32 | bpf.JmpNe | bpf.SrcReg, Dst: 5, Src: 1, Off: 1}, tail), "7.1 7.3", "6.18 7.0"},
		{"a number that equals one with its bits", code(random, mov(5, 0), andImm(5, -8), mov(1, 0), andImm(1, 1), addImm(1, 40),
			bpf.Insn{Op: bpf.ClassJmp32 | bpf.JmpNe | bpf.SrcReg, Dst: 5, Src: 1, Off: 1}, tail), "", "7.3"},
		{"64 bits whose lower half is within bounds", code(random, wide(1, 5<<32|16), wide(2, 7<<32|3), wide(3, 6<<32|7), wide(4, 6<<32|9), against(bpf.JmpLt, 1, 6), against(bpf.JmpGt, 2, 5),
			jump32(bpf.JmpLt, 0, 7, 4), jump32(bpf.JmpGt, 0, 9, 3), against(bpf.JmpLt, 3, 1), against(bpf.JmpLe, 4, 1), tail), "7.2 7.3", "6.18"},
		{"64 bits whose lower half is of either sign", code(random, wide(1, 5<<32|16), wide(2, 6<<32|0xffff_ff00), wide(3, 5<<32|0xffff_fff8), wide(4, 6<<32|9), against(bpf.JmpLt, 1, 6), against(bpf.JmpGt, 2, 5),
			jump32(bpf.JmpSlt, 0, -8, 4), jump32(bpf.JmpSgt, 0, 9, 3), against(bpf.JmpLt, 3, 1), against(bpf.JmpLe, 4, 1), tail), "7.2 7.3", "6.18"},
		{"bounds of 64 bits that those of 32 widened", code(random, jump32(bpf.JmpLt, 0, 5, 5), jump32(bpf.JmpGt, 0, 6, 4), jump(bpf.JmpSgt, 0, 5, 3), jump(bpf.JmpGt, 0, 40, 2),
			jeq(0, 5, 1), tail), "7.2 7.3", "6.18"},
		{"one of numbers that differ above the sign", code(ranged(255, 0), sx(bpf.ClassALU, 1, 0, 8), jump32(bpf.JmpSgt, 1, 0, 1), tail), "", "6.6 6.12 7.2"},
	} {
		for _, target := range strings.Fields(c.dead) {
			if _, err := verify.Check(testProgram(c.insns), &named(t, target).Kernel); err != nil {
				t.Errorf("%s, %s: %v", c.name, target, err)
			}
		}
		for _, target := range strings.Fields(c.unknown) {
			if _, err := verify.Check(testProgram(c.insns), &named(t, target).Kernel); err == nil || !strings.Contains(err.Error(), "r10 is read only") {
				t.Errorf("%s, %s: %v, expected a path to the store", c.name, target, err)
			}
		}
	}
}

// TestLimitedLoop: the number of rounds that bpf_loop may still make counts when states are compared. The function stores
// 42 in one of two places, so that after two rounds both may have it.
func TestLimitedLoop(t *testing.T) {
	set := func(off int16, v int32) bpf.Insn {
		return bpf.Insn{Op: bpf.ClassST | bpf.ModeMem | bpf.SizeDW, Dst: 6, Off: off, Imm: v}
	}
	get := func(off int16, v int32, to int16) []bpf.Insn {
		return code(load(1, 10, off), jump(bpf.JmpNe, 1, v, to))
	}
	main := code(movImm(1, 7), store(10, -8, 1), store(10, -16, 1), store(10, -24, 1), movImm(1, 2), bpf.Insn{Op: bpf.OpLdImm64, Dst: 2, Src: bpf.PseudoFunc, Imm: 15}, bpf.Insn{},
		onStack(3, -24), movImm(4, 0), call(181), get(-24, 42, 5), get(-16, 42, 3), get(-8, 7, 1), writesR10, movImm(0, 0), leave())
	main[5].Imm = int32(len(main)) - 6
	callback := code(mov(6, 2), call(7), jeq(0, 1, 4), jeq(0, 2, 5), set(16, 42), movImm(0, 0), leave(), set(0, 42), ja(-4), set(8, 42), ja(-6))
	for _, target := range []string{"6.12", "7.2"} {
		_, err := verify.Check(testProgram(code(main, callback), bpf.InsnIndex(len(main))), &named(t, target).Kernel)
		if err == nil || !strings.Contains(err.Error(), "r10 is read only") {
			t.Errorf("%s: %v, expected a path to the store", target, err)
		}
	}
}

// TestFastcall: stores and loads around an inlined call that keeps registers go, and the stack that they use with them,
// unless something else uses it.
func TestFastcall(t *testing.T) {
	around := func(helper int32) []bpf.Insn {
		return code(movImm(1, 5), store(10, -8, 1), call(helper), load(1, 10, -8), mov(0, 1))
	}
	kept := []string{"r1 = 5", "*(u64 *)(r10 -8) = r1", "call #8", "r1 = *(u64 *)(r10 -8)", "r0 = r1", "exit"}
	for _, c := range []struct {
		name, target string
		insns        []bpf.Insn
		want         []string
		stack        int32
	}{
		{"they go", "6.12", code(around(8), leave()), []string{"r1 = 5", "w0 = 217100", "r0 = &(void __percpu *)(r0)", "r0 = *(u32 *)(r0 +0)", "r0 = r1", "exit"}, 0},
		{"before 6.12 they stay", "6.6", code(around(8), leave()), kept, 32},
		{"a helper that is not inlined", "6.12", code(around(7), leave()), nil, 16},
		{"a read of their slot", "6.12", code(around(8), load(0, 10, -8), leave()), nil, 16},
		{"a jump between them", "6.12", code(movImm(1, 5), store(10, -8, 1), jeq(1, 6, 0), call(8), load(1, 10, -8), mov(0, 1), leave()), nil, 16},
		{"above them something else", "6.12", code(bpf.Insn{Op: bpf.ClassST | bpf.ModeMem | bpf.SizeDW, Dst: 10, Off: -8}, movImm(1, 5), store(10, -16, 1), call(8), load(1, 10, -16), load(0, 10, -8), leave()),
			[]string{"*(u64 *)(r10 -8) = 0", "r1 = 5", "w0 = 217100", "r0 = &(void __percpu *)(r0)", "r0 = *(u32 *)(r0 +0)", "r0 = *(u64 *)(r10 -8)", "exit"}, 16},
	} {
		k := &named(t, c.target).Kernel
		stats, err := verify.Check(testProgram(c.insns), k)
		if err != nil || stats.Stack != c.stack {
			t.Errorf("%s: %d bytes of stack, %v, expected %d", c.name, stats.Stack, err, c.stack)
			continue
		}
		// Where the address that the inlined call reads is not known it stays a call, and they stay.
		if p, err := rewrite.Program(testProgram(c.insns), k); err != nil || len(p.Insns) < len(c.insns)-1 {
			t.Errorf("%s, without addresses: %v: %s", c.name, err, strings.Join(texts(p.Insns), "; "))
		}
		p, err := rewrite.For(testProgram(c.insns), k, someKernel{})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		} else if diff := cmp.Diff(c.want, texts(p.Insns)); c.want != nil && diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		} else if c.want == nil && len(p.Insns) < len(c.insns)-1 {
			t.Errorf("%s: %s", c.name, strings.Join(texts(p.Insns), "; "))
		}
	}
}

// TestEmptyFrames: with a JIT a frame without stack costs none since 6.9, and 32 bytes before.
func TestEmptyFrames(t *testing.T) {
	insns := code(movImm(1, 0), store(10, -512, 1), callFn(1), leave(), movImm(0, 0), leave())
	for target, want := range map[string]string{"6.12": "", "6.6": "544 bytes of stack"} {
		_, err := verify.Check(testProgram(insns, 4), &named(t, target).Kernel)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, expected %q", target, err, want)
		}
	}
}

// TestPointersInMaps: objects of the kernel that maps point to.
func TestPointersInMaps(t *testing.T) {
	kernel := structures{
		"prog_test+0": {Name: "next", Type: "prog_test"}, "in prog_test": {}, "in file": {}, "in path": {},
		"task_struct+16": {Name: "pid"}, "task_struct+24": {Name: "in_union", Type: "task_struct", Union: true}, "in task_struct": {},
		"in task_struct+32": {Type: "path"},
	}
	maps := []bpf.Map{{Name: "arr", Type: bpf.ArrayMap, KeySize: 4, ValueSize: 24, MaxEntries: 1, Special: &bpf.Special{Fields: []bpf.SpecialField{
		{Kind: bpf.SpecialPointer, Off: 0, Size: 8, Type: "task_struct"}, {Kind: bpf.SpecialUntrusted, Off: 8, Size: 8, Type: "prog_test"},
	}}}}
	value := code(bpf.Insn{Op: bpf.ClassST | bpf.ModeMem | bpf.SizeW, Dst: 10, Off: -4}, ldMap(1, 0), onStack(2, -4), call(1), jump(bpf.JmpNe, 0, 0, 2), end(), mov(6, 0))
	notNull := func(r uint8) []bpf.Insn { return code(jump(bpf.JmpNe, r, 0, 2), end()) }
	owned, loose := code(value, load(1, 6, 0)), code(value, load(1, 6, 8))
	names := append([]string{"bpf_path_d_path"}, kfuncNames...)
	sigs := map[string]bpf.Signature{"bpf_path_d_path": {Params: []bpf.Param{{Kind: bpf.ParamMemory, Type: "path", Opaque: true}, {Kind: bpf.ParamMemory}, {Name: "n__sz"}}}}
	for k, v := range signatures {
		sigs[k] = v
	}
	path := code(onStack(2, -8), movImm(3, 8), kfn(0), end())
	for _, c := range []struct {
		name  string
		typ   bpf.ProgType
		insns []bpf.Insn
		want  string
	}{
		{"one with a reference", bpf.SchedCLS, code(owned, notNull(1), load(2, 1, 16), end()), ""},
		{"before it is asked for null", bpf.SchedCLS, code(owned, load(2, 1, 16), end()), "r1 invalid mem access 'ptr__or_null'"},
		{"one is acquired that RCU protects", bpf.SchedCLS, code(owned, notNull(1), kfn(1+kAcquire), jump(bpf.JmpEq, 0, 0, 2), mov(1, 0), kfn(1+kRelease), end()), ""},
		{"one is acquired that may be null", bpf.SchedCLS, code(owned, kfn(1+kAcquire), end()), "possibly NULL pointer passed to trusted arg0"},
		{"one without a reference for per-CPU data", bpf.SchedCLS, code(loose, notNull(1), call(154), end()), "expected=percpu_ptr_"},
		{"one that a union holds", bpf.SchedCLS, code(owned, notNull(1), load(1, 1, 24), kfn(1+kAcquire), end()), "must be a rcu pointer"},
		{"one is stored", bpf.SchedCLS, code(loose, notNull(1), store(6, 8, 1), end()), ""},
		{"null is stored", bpf.SchedCLS, code(value, movImm(1, 0), store(6, 8, 1), end()), ""},
		{"a number is stored", bpf.SchedCLS, code(value, movImm(1, 5), store(6, 8, 1), end()), "invalid kptr access, r1 type=scalar"},
		{"a map's value is stored", bpf.SchedCLS, code(value, store(6, 8, 6), end()), "invalid kptr access, r6 type=map_value"},
		{"a moved one is stored", bpf.SchedCLS, code(loose, notNull(1), addImm(1, 4), store(6, 8, 1), end()), "off=4 expected=ptr_prog_test"},
		{"one of another type is stored", bpf.SchedCLS, code(owned, notNull(1), store(6, 8, 1), end()), "type=ptr_task_struct off=0 expected=ptr_prog_test"},
		{"the part that a function asks for", bpf.LSM, code(call(158), mov(1, 0), addImm(1, 32), path), ""},
		{"another part", bpf.LSM, code(call(158), mov(1, 0), addImm(1, 40), path), "expected pointer to STRUCT path but r1 has a pointer to STRUCT task_struct"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := testProgram(c.insns)
			p.Type, p.Kfuncs, p.Signatures, p.Objects, p.Maps = c.typ, names, sigs, kernel, maps
			_, err := verify.Check(p, &named(t, "6.12").Kernel)
			if (c.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// TestIterated: what iterators of the kernel hand to programs may be null, and is trusted for some.
func TestIterated(t *testing.T) {
	hook := &bpf.Signature{Params: []bpf.Param{
		{Kind: bpf.ParamPointer, Name: "meta", Type: "bpf_iter_meta"}, {Kind: bpf.ParamPointer, Name: "task", Type: "task_struct"}, {Kind: bpf.ParamPointer, Name: "key"},
	}}
	kernel := structures{"bpf_iter_meta+0": {Name: "seq", Type: "seq_file"}, "task_struct+16": {Name: "pid"}}
	asked := jump(bpf.JmpEq, 1, 0, 1)
	for _, c := range []struct {
		name  string
		insns []bpf.Insn
		want  string
	}{
		{"the iterator's own state", code(load(1, 1, 0), load(1, 1, 0), end()), ""},
		{"an object", code(load(1, 1, 8), asked, load(1, 1, 16), end()), ""},
		{"an object that may be null", code(load(1, 1, 8), load(1, 1, 16), end()), "invalid mem access 'ptr__or_null'"},
		{"a key", code(load(1, 1, 16), asked, load(1, 1, 0), end()), ""},
		{"a key is written", code(load(1, 1, 16), asked, storeB(1, 0, 0), end()), "cannot write into rdonly_buf"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := testProgram(c.insns)
			p.Type, p.AttachType, p.AttachTo, p.Hook, p.Objects = bpf.Tracing, 28, "task", hook, kernel
			_, err := verify.Check(p, &named(t, "6.12").Kernel)
			if (c.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// TestReadByKernel: kernel functions and global ones read the memory that they are handed, too, so no dynptr may be in it.
func TestReadByKernel(t *testing.T) {
	makes := code(ldMap(1, 0), movImm(2, 8), movImm(3, 0), onStack(4, -16), call(198))
	drops := code(onStack(1, -16), movImm(2, 0), call(200))
	sigs := map[string]bpf.Signature{"fills": {Params: []bpf.Param{{Kind: bpf.ParamMemory, Size: 1}, {Name: "n__sz"}}}}
	for size, want := range map[int32]string{8: "", 9: "invalid indirect read from stack"} {
		p := testProgram(code(makes, onStack(1, -24), movImm(2, size), kfn(0), drops, end()))
		p.Type, p.Maps, p.Kfuncs, p.Signatures = bpf.SchedCLS, rightsMaps, []string{"fills"}, sigs
		if _, err := verify.Check(p, &named(t, "6.12").Kernel); fmt.Sprint(err) != "<nil>" && want == "" || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%d bytes: %v, expected %q", size, err, want)
		}
	}
}

// TestContextMemory: the context of a syscall program is memory that may be read anywhere and handed on since 7.1; contexts
// of others are not.
func TestContextMemory(t *testing.T) {
	sigs := map[string]bpf.Signature{"reads": {Params: []bpf.Param{{Kind: bpf.ParamMemory, Size: 1}, {Name: "n__sz"}}}}
	write := code(movImm(2, 4), movImm(3, 0), movImm(4, 0), call(113), end()) // probe_read_kernel(ctx, 4, 0)
	kernel := code(movImm(2, 4), kfn(0), end())
	for _, c := range []struct {
		name  string
		typ   bpf.ProgType
		insns []bpf.Insn
		want  map[string]string
	}{
		{"not aligned", bpf.Syscall, code(load32(0, 1, 2), end()), map[string]string{"6.12": "invalid bpf_context access", "7.2": ""}},
		{"beyond its end", bpf.Syscall, code(addImm(1, 0xffff), load32(0, 1, 0), end()), map[string]string{"7.2": "invalid access to context"}},
		{"handed to a helper", bpf.Syscall, write, map[string]string{"6.12": "r1 type=ctx", "7.2": ""}},
		{"handed to a helper beyond its end", bpf.Syscall, code(addImm(1, 0xfffd), write), map[string]string{"7.2": "invalid access to context"}},
		{"handed to a kernel function", bpf.Syscall, kernel, map[string]string{"6.12": "", "7.2": ""}},
		{"that of a kprobe, to a kernel function", bpf.Kprobe, kernel, map[string]string{"6.12": "", "7.2": "r1 is ctx"}},
	} {
		for target, want := range c.want {
			p := testProgram(c.insns)
			p.Type, p.Kfuncs, p.Signatures = c.typ, []string{"reads"}, sigs
			_, err := verify.Check(p, &named(t, target).Kernel)
			if (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%s, %s: %v, expected %q", c.name, target, err, want)
			}
		}
	}
}

// TestConstantKeys: a lookup in an array by a constant key that it has is not null since 6.14.
func TestConstantKeys(t *testing.T) {
	find := func(size uint8, off int16, key int32, m int32) []bpf.Insn {
		return code(bpf.Insn{Op: bpf.ClassST | bpf.ModeMem | size, Dst: 10, Off: off, Imm: key}, ldMap(1, m), onStack(2, int32(off)), call(1), storeB(0, 0, 1), end())
	}
	for _, c := range []struct {
		name   string
		insns  []bpf.Insn
		target string
		found  bool
	}{
		{"the last", find(bpf.SizeW, -8, 6, 3), "6.18", true},
		{"the first", find(bpf.SizeW, -4, 0, 3), "6.18", true},
		{"before 6.14", find(bpf.SizeW, -8, 6, 3), "6.12", false},
		{"one too many", find(bpf.SizeW, -8, 7, 3), "6.18", false},
		{"a key of which more is known", find(bpf.SizeDW, -8, 6, 3), "6.18", false},
	} {
		_, err := verify.Check(testProgram(c.insns), &named(t, c.target).Kernel)
		if (err == nil) != c.found || err != nil && !strings.Contains(err.Error(), "map_value_or_null") {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestOrderedAtomics: loads and stores with an order are for memory of the program's own.
func TestOrderedAtomics(t *testing.T) {
	ordered := func(imm int32, d, s uint8) bpf.Insn {
		return bpf.Insn{Op: bpf.ClassSTX | bpf.ModeAtomic | bpf.SizeW, Dst: d, Src: s, Imm: imm}
	}
	for _, c := range []struct {
		name  string
		insns []bpf.Insn
		want  string
	}{
		{"the stack", code(movImm(2, 1), onStack(3, -8), ordered(bpf.AtomicStRel, 3, 2), ordered(bpf.AtomicLoadAcq, 2, 3), end()), ""},
		{"a load from the context", code(ordered(bpf.AtomicLoadAcq, 2, 1), end()), "through ctx is not allowed"},
		{"a store into the context", code(movImm(2, 1), ordered(bpf.AtomicStRel, 1, 2), end()), "through ctx is not allowed"},
	} {
		p := testProgram(c.insns)
		p.Type = bpf.SchedCLS
		_, err := verify.Check(p, &named(t, "6.18").Kernel)
		if (c.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, expected %q", c.name, err, c.want)
		}
	}
}

// TestAlignedStack: the stack is accessed at multiples of the size.
func TestAlignedStack(t *testing.T) {
	for _, c := range []struct {
		name  string
		insns []bpf.Insn
		want  string
	}{
		{"a store", code(movImm(1, 0), store(10, -16, 1), end()), ""},
		{"a store at an odd address", code(movImm(1, 0), store(10, -31, 1), end()), "misaligned fp access off -31 size 8"},
		{"a load at an odd address", code(movImm(1, 0), store(10, -16, 1), store(10, -8, 1), load(0, 10, -15), leave()), "misaligned fp access off -15 size 8"},
		{"through a number of which the low bits are not known", code(call(7), andImm(0, 7), mov(1, 10), addReg(1, 0), movImm(2, 0), store(1, -16, 2), end()), "misaligned fp access"},
	} {
		for _, target := range []string{"5.10", "6.12", "7.2"} {
			_, err := verify.Check(testProgram(c.insns), &named(t, target).Kernel)
			if (c.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s, %s: %v, expected %q", c.name, target, err, c.want)
			}
		}
	}
}

// TestNullByNumber: what is compared with a register that holds 0 is known to be null or not only because that holds 0;
// so the other path, where it holds 1, is followed as well.
func TestNullByNumber(t *testing.T) {
	insns := code(call(7), movImm(6, 1), jeq(0, 0, 1), movImm(6, 0), storeB(10, -4, 0), ldMap(1, 0), onStack(2, -16), call(1),
		bpf.Insn{Op: bpf.ClassJmp | bpf.JmpEq | bpf.SrcReg, Dst: 0, Src: 6, Off: 1}, load(1, 0, 0), end())
	for _, target := range []string{"6.12", "7.2"} {
		_, err := verify.Check(testProgram(insns), &named(t, target).Kernel)
		if err == nil || !strings.Contains(err.Error(), "map_value_or_null") {
			t.Errorf("%s: %v", target, err)
		}
	}
}

// TestAbsoluteInCallback: functions that helpers call do not load from the packet by BPF_LD_ABS since 7.2, as that ends
// them without a result.
func TestAbsoluteInCallback(t *testing.T) {
	main := code(store(10, -8, 1), movImm(1, 2), bpf.Insn{Op: bpf.OpLdImm64, Dst: 2, Src: bpf.PseudoFunc, Imm: 7}, bpf.Insn{}, onStack(3, -8), movImm(4, 0), call(181), end())
	callback := code(load(6, 2, 0), bpf.Insn{Op: bpf.ClassLD | bpf.ModeAbs | bpf.SizeB}, end())
	main[2].Imm = int32(len(main)) - 3
	for target, want := range map[string]string{"6.12": "", "7.2": "within callback"} {
		p := testProgram(code(main, callback), bpf.InsnIndex(len(main)))
		p.Type = bpf.SchedCLS
		_, err := verify.Check(p, &named(t, target).Kernel)
		if (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, expected %q", target, err, want)
		}
	}
}
