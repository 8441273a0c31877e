// SPDX-License-Identifier: GPL-2.0-only

package verify_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/fixtures/flood"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/verify"
	"github.com/tcsim/tcsim/jit/verify/rewrite"
)

// Short forms of instructions, in the order destination, source, offset, constant.

func mov(d, s uint8) bpf.Insn          { return bpf.Insn{Op: bpf.OpMovReg, Dst: d, Src: s} }
func movImm(d uint8, v int32) bpf.Insn { return bpf.Insn{Op: bpf.OpMov, Dst: d, Imm: v} }
func addImm(d uint8, v int32) bpf.Insn {
	return bpf.Insn{Op: bpf.ClassALU64 | bpf.ALUAdd, Dst: d, Imm: v}
}
func addReg(d, s uint8) bpf.Insn {
	return bpf.Insn{Op: bpf.ClassALU64 | bpf.ALUAdd | bpf.SrcReg, Dst: d, Src: s}
}
func andImm(d uint8, v int32) bpf.Insn {
	return bpf.Insn{Op: bpf.ClassALU64 | bpf.ALUAnd, Dst: d, Imm: v}
}
func load(d, s uint8, off int16) bpf.Insn {
	return bpf.Insn{Op: bpf.ClassLDX | bpf.ModeMem | bpf.SizeDW, Dst: d, Src: s, Off: off}
}
func load32(d, s uint8, off int16) bpf.Insn {
	return bpf.Insn{Op: bpf.ClassLDX | bpf.ModeMem | bpf.SizeW, Dst: d, Src: s, Off: off}
}
func store(d uint8, off int16, s uint8) bpf.Insn {
	return bpf.Insn{Op: bpf.ClassSTX | bpf.ModeMem | bpf.SizeDW, Dst: d, Src: s, Off: off}
}
func storeB(d uint8, off int16, v int32) bpf.Insn {
	return bpf.Insn{Op: bpf.ClassST | bpf.ModeMem | bpf.SizeB, Dst: d, Off: off, Imm: v}
}
func call(helper int32) bpf.Insn     { return bpf.Insn{Op: bpf.OpCall, Imm: helper} }
func callFn(distance int32) bpf.Insn { return bpf.Insn{Op: bpf.OpCall, Src: 1, Imm: distance} }
func ja(off int16) bpf.Insn          { return bpf.Insn{Op: bpf.OpJA, Off: off} }
func jeq(d uint8, v int32, off int16) bpf.Insn {
	return bpf.Insn{Op: bpf.ClassJmp | bpf.JmpEq, Dst: d, Off: off, Imm: v}
}
func jlt(d uint8, v int32, off int16) bpf.Insn {
	return bpf.Insn{Op: bpf.ClassJmp | bpf.JmpLt, Dst: d, Off: off, Imm: v}
}
func leave() bpf.Insn { return bpf.Insn{Op: bpf.OpExit} }

// ldMap takes two slots.
func ldMap(d uint8, m int32) []bpf.Insn {
	return []bpf.Insn{{Op: bpf.OpLdImm64, Dst: d, Src: 1, Imm: m}, {}}
}

// code joins instructions and groups of them.
func code(parts ...any) (out []bpf.Insn) {
	for _, p := range parts {
		switch p := p.(type) {
		case bpf.Insn:
			out = append(out, p)
		case []bpf.Insn:
			out = append(out, p...)
		}
	}
	return out
}

// tail is a tail call in slot key of map m, 5 slots, where the context is in r6.
func tail(m, key int32) []bpf.Insn {
	return code(mov(1, 6), ldMap(2, m), movImm(3, key), call(12))
}

var testMaps = []bpf.Map{
	{Name: "hash", Type: bpf.HashMap, KeySize: 16, ValueSize: 24, MaxEntries: 8},
	{Name: "jmp", Type: bpf.ProgArray, KeySize: 4, ValueSize: 4, MaxEntries: 4},
	{Name: "jmp2", Type: bpf.ProgArray, KeySize: 4, ValueSize: 4, MaxEntries: 4},
	{Name: "arr", Type: bpf.ArrayMap, KeySize: 4, ValueSize: 20, MaxEntries: 7},
}

func testProgram(insns []bpf.Insn, starts ...bpf.InsnIndex) *bpf.Program {
	p := &bpf.Program{Name: "p", Type: bpf.SchedCLS, Insns: insns, Maps: testMaps, Funcs: []bpf.Func{{Name: "main"}}}
	for _, s := range starts {
		p.Funcs = append(p.Funcs, bpf.Func{Name: "sub", Start: s})
	}
	return p
}

func TestStackDepth(t *testing.T) {
	for name, c := range map[string]struct {
		insns  []bpf.Insn
		starts []bpf.InsnIndex
		want   []int32
	}{
		"none":       {code(movImm(0, 0), leave()), nil, []int32{0}},
		"direct":     {code(storeB(10, -3, 1), movImm(0, 0), leave()), nil, []int32{3}},
		"load":       {code(load(0, 10, -40), leave()), nil, []int32{40}},
		"copy":       {code(mov(2, 10), storeB(2, -9, 1), movImm(0, 0), leave()), nil, []int32{9}},
		"arithmetic": {code(mov(2, 10), addImm(2, -64), storeB(2, 4, 1), movImm(0, 0), leave()), nil, []int32{60}},
		"spilled": {
			code(mov(2, 10), addImm(2, -100), store(10, -8, 2), load(3, 10, -8), storeB(3, 0, 1), movImm(0, 0), leave()),
			nil, []int32{100},
		},
		"pointer not used":      {code(mov(2, 10), addImm(2, -100), movImm(0, 0), leave()), nil, []int32{0}},
		"variable offset":       {code(load32(3, 1, 0), andImm(3, 31), mov(2, 10), addReg(2, 3), storeB(2, -64, 1), movImm(0, 0), leave()), nil, []int32{64}},
		"variable in the range": {code(load32(3, 1, 0), andImm(3, 7), addImm(3, 8), mov(2, 10), addReg(2, 3), storeB(2, -64, 1), movImm(0, 0), leave()), nil, []int32{56}},
		"map key":               {code(ldMap(1, 0), mov(2, 10), addImm(2, -24), call(1), movImm(0, 0), leave()), nil, []int32{24}},
		"not an argument":       {code(mov(2, 10), addImm(2, -24), call(5), movImm(0, 0), leave()), nil, []int32{0}},
		"memory and size":       {code(mov(1, 10), addImm(1, -48), movImm(2, 16), call(16), movImm(0, 0), leave()), nil, []int32{48}},
		"atomic":                {code(movImm(2, 1), bpf.Insn{Op: bpf.ClassSTX | bpf.ModeAtomic | bpf.SizeDW, Dst: 10, Src: 2, Off: -32}, movImm(0, 0), leave()), nil, []int32{32}},
		"caller's stack": {
			code(mov(1, 10), addImm(1, -80), callFn(2), movImm(0, 0), leave(),
				storeB(10, -5, 1), storeB(1, 8, 1), movImm(0, 0), leave()),
			[]bpf.InsnIndex{5}, []int32{72, 5},
		},
		"one of two paths": {
			code(load32(3, 1, 0), mov(2, 10), addImm(2, -8), jeq(3, 1, 1), addImm(2, -16), storeB(2, 0, 1), movImm(0, 0), leave()),
			nil, []int32{24},
		},
		"loop": {
			code(movImm(3, 0), mov(2, 10), addImm(2, -8), storeB(2, 0, 1), addImm(3, 1), jlt(3, 5, -4), movImm(0, 0), leave()),
			nil, []int32{40},
		},
	} {
		t.Run(name, func(t *testing.T) {
			v, err := verify.Analyse(testProgram(c.insns, c.starts...), &named(t, "6.12").Kernel)
			must(t, err)
			var got []int32
			for _, f := range v.Funcs {
				got = append(got, f.StackDepth)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("depths (-want +got):\n%s", d)
			}
		})
	}
}

func TestTailCallKeys(t *testing.T) {
	other := func(branch []bpf.Insn) []bpf.Insn { // two ways to the same call
		return code(mov(6, 1), load32(4, 1, 0), mov(1, 6), ldMap(2, 1), movImm(3, 2), jeq(4, 0, int16(len(branch))), branch, call(12), movImm(0, 0), leave())
	}
	for name, c := range map[string]struct {
		insns  []bpf.Insn
		direct bool
	}{
		"constant":           {code(mov(6, 1), tail(1, 2), movImm(0, 0), leave()), true},
		"last entry":         {code(mov(6, 1), tail(1, 3), movImm(0, 0), leave()), true},
		"out of range":       {code(mov(6, 1), tail(1, 4), movImm(0, 0), leave()), false},
		"negative":           {code(mov(6, 1), tail(1, -1), movImm(0, 0), leave()), false},
		"variable":           {code(mov(6, 1), load32(3, 1, 0), ldMap(2, 1), call(12), movImm(0, 0), leave()), false},
		"same on both paths": {other(code(movImm(3, 2))), true},
		"differs":            {other(code(movImm(3, 1))), false},
		"other map":          {other(ldMap(2, 2)), false},
		"known by equality":  {code(load32(3, 1, 0), jeq(3, 2, 2), movImm(0, 0), leave(), ldMap(2, 1), call(12), movImm(0, 0), leave()), true},
		"known by range":     {code(load32(3, 1, 0), andImm(3, 1), jeq(3, 0, 4), ldMap(2, 1), call(12), ja(0), movImm(0, 0), leave()), true},
		"through the stack":  {code(movImm(3, 1), store(10, -8, 3), load(3, 10, -8), ldMap(2, 1), call(12), movImm(0, 0), leave()), true},
		"clobbered by a helper": {
			code(mov(6, 1), movImm(3, 1), store(10, -16, 3), mov(1, 10), addImm(1, -16), movImm(2, 16), call(16),
				load(3, 10, -16), mov(1, 6), ldMap(2, 1), call(12), movImm(0, 0), leave()), false,
		},
		"in a loop": {
			code(mov(6, 1), movImm(7, 0), mov(1, 6), ldMap(2, 1), mov(3, 7), call(12), addImm(7, 1), jlt(7, 2, -7), movImm(0, 0), leave()), false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			v, err := verify.Analyse(testProgram(c.insns), &named(t, "6.12").Kernel)
			must(t, err)
			if got := len(v.Pokes) == 1; got != c.direct {
				t.Errorf("direct is %v, expected %v", got, c.direct)
			}
			for i, in := range v.Insns {
				if in.Op == bpf.OpTailCall && (in.Imm == 1) != c.direct {
					t.Errorf("insn %d is %+v", i, in)
				}
			}
		})
	}
}

// TestReachable has main call A, which makes a tail call, then B, which calls C, neither of which
// does. Until 7.1 the walk marked B, in 7.1 C as well (seen in Debian's 7.1.13).
func TestReachable(t *testing.T) {
	insns := code(
		callFn(3), callFn(9), movImm(0, 0), leave(), // main: 0
		mov(6, 1), tail(1, 0), leave(), // A: 4
		callFn(2), movImm(0, 0), leave(), // B: 11
		movImm(0, 0), leave(), // C: 14
	)
	for kernel, want := range map[string][]bool{
		"5.10": {true, false, true, false},
		"6.1":  {true, false, true, false},
		"6.12": {true, true, true, false},
		"6.18": {true, true, true, false},
		"7.0":  {true, true, true, false},
		"7.1":  {true, true, true, true},
		"7.2":  {true, true, false, false},
	} {
		v, err := verify.Analyse(testProgram(insns, 4, 11, 14), &named(t, kernel).Kernel)
		must(t, err)
		var got []bool
		for _, f := range v.Funcs {
			got = append(got, f.TailCallReachable)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", kernel, d)
		}
	}
}

// TestReachableByDeadCode has a tail call that is removed: the walk over the calls saw it.
func TestReachableByDeadCode(t *testing.T) {
	insns := code(movImm(7, 0), jeq(7, 0, 6), mov(6, 1), tail(1, 0), movImm(0, 0), leave())
	p, err := rewrite.Program(testProgram(insns), &named(t, "6.12").Kernel)
	must(t, err)
	v, err := verify.Analyse(p, &named(t, "6.12").Kernel)
	must(t, err)
	if len(v.Insns) != 3 || !v.Funcs[0].TailCallReachable || len(v.Pokes) != 0 {
		t.Errorf("%d instructions, %+v, pokes %v", len(v.Insns), v.Funcs[0], v.Pokes)
	}
}

// valueOf loads the address inside a map's value into r1 and returns.
func valueOf(m, off int32) []bpf.Insn {
	insns := code(ldMap(1, m), movImm(0, 0), leave())
	insns[0].Src, insns[1].Imm = bpf.PseudoMapValue, off
	return insns
}

func TestAnalyseMistakes(t *testing.T) {
	for name, c := range map[string]struct {
		p    *bpf.Program
		want []string
	}{
		"empty":     {testProgram(nil), []string{"the program has no instructions"}},
		"falls off": {testProgram(code(movImm(0, 0))), []string{"insn 0 (r0 = 0): function 0 (main) does not end with exit or jump"}},
		"opcode":    {testProgram(code(bpf.Insn{Op: 0xff}, leave())), []string{"unknown opcode 0xff"}},
		"half":      {testProgram(code(ldMap(1, 1)[:1], leave())), []string{"bad second half"}},
		"map":       {testProgram(code(ldMap(1, 9), leave())), []string{"insn 0 (r1 = map[9] ll): map 9 does not exist: there are 4"}},
		"no value": {
			testProgram(valueOf(3, 1<<30)),
			[]string{"map arr has no value with a fixed address at offset 1073741824"},
		},
		"value of a prog array": {
			testProgram(valueOf(1, 0)),
			[]string{"has no value with a fixed address at offset 0"},
		},
		"into a half": {testProgram(code(ja(1), ldMap(1, 1), leave())), []string{"jump into the middle of insn 1"}},
		"register":    {testProgram(code(mov(14, 1), leave())), []string{"there is no register r14"}},
		"no prog array": {
			testProgram(code(ldMap(2, 3), movImm(3, 0), bpf.Insn{Op: bpf.OpCall, Imm: bpf.HelperTailCall}, movImm(0, 0), leave())),
			[]string{"tail call through map arr, which is not a prog array"},
		},
		"r10":          {testProgram(code(movImm(10, 0), leave())), []string{"r10 is read only"}},
		"call nowhere": {testProgram(code(callFn(1), movImm(0, 0), leave())), []string{"no function starts at insn 2"}},
		"recursion":    {testProgram(code(callFn(1), leave(), callFn(-1), leave()), 2), []string{"insn 2 (call pc-1): recursive call of function 1 (sub)"}},
		"functions":    {testProgram(code(leave()), 5), []string{"function 0 (main) starts at insn 0 and ends at 5 of 1"}},
		"several": {
			testProgram(code(ja(100), movImm(10, 1), callFn(77), leave())),
			[]string{"insn 0 (goto pc+100): jump out of its function, to insn 101", "insn 1 (r10 = 1): r10 is read only", "insn 2 (call pc+77): no function starts at insn 80"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := verify.Analyse(c.p, &named(t, "6.12").Kernel)
			for _, w := range c.want {
				if err == nil || !strings.Contains(err.Error(), w) {
					t.Errorf("got %v, expected %s", err, w)
				}
			}
		})
	}
}

// TestAnalyseKeeps checks that the program is not changed.
func TestAnalyseKeeps(t *testing.T) {
	insns := code(mov(6, 1), tail(1, 2), movImm(0, 0), leave())
	p := testProgram(append([]bpf.Insn(nil), insns...))
	_, err := verify.Analyse(p, &named(t, "6.1").Kernel)
	must(t, err)
	_, err = rewrite.Program(p, &named(t, "6.1").Kernel)
	must(t, err)
	if d := cmp.Diff(insns, p.Insns); d != "" {
		t.Error(d)
	}
}

// FuzzAnalyse reads a target, where the second function starts, and instructions.
func FuzzAnalyse(f *testing.F) {
	add := func(target, second byte, insns []bpf.Insn) {
		data := []byte{target, second}
		for _, in := range insns {
			b := in.Bytes()
			data = append(data, b[:]...)
		}
		f.Add(data)
	}
	add(2, 0, code(mov(6, 1), tail(1, 2), movImm(0, 0), leave()))
	add(4, 5, code(mov(1, 10), addImm(1, -80), callFn(2), movImm(0, 0), leave(), storeB(1, 8, 1), movImm(0, 0), leave()))
	add(0, 0, code(load32(3, 1, 0), bpf.Insn{Op: bpf.ClassALU64 | bpf.ALUDiv | bpf.SrcReg, Dst: 3, Src: 3}, jlt(3, 9, -2), movImm(0, 0), leave()))
	names := []string{"5.10", "6.1", "6.12", "6.18", "7.2"}
	f.Fuzz(flood.One(func(t *testing.T, data []byte) {
		if len(data) < 2 || len(data) > 400 {
			return
		}
		tgt := named(t, names[int(data[0])%len(names)])
		p := testProgram(nil)
		if data[1] != 0 {
			p.Funcs = append(p.Funcs, bpf.Func{Name: "sub", Start: bpf.InsnIndex(data[1])})
		}
		for b := data[2:]; len(b) >= bpf.InsnSize; b = b[bpf.InsnSize:] {
			p.Insns = append(p.Insns, bpf.DecodeInsn(b))
		}
		if _, err := verify.Analyse(p, &tgt.Kernel); err != nil {
			return
		}
		q, err := rewrite.Program(p, &tgt.Kernel)
		if err != nil {
			return
		}
		if _, err := verify.Analyse(q, &tgt.Kernel); err != nil {
			t.Errorf("the rewritten program is refused: %v", err)
		}
	}))
}
