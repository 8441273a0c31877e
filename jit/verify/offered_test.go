// SPDX-License-Identifier: GPL-2.0-only

package verify_test

import (
	"strings"
	"testing"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/verify"
)

// TestOffered has kinds of programs that a 6.12 kernel took or refused when TestVMOffered of cmd/tcsim offered them, against
// what was thought then.
func TestOffered(t *testing.T) {
	maps := []bpf.Map{
		{Name: "values", Type: bpf.ArrayMap, KeySize: 4, ValueSize: 16, MaxEntries: 1, Special: &bpf.Special{}},
		{Name: "area", Type: bpf.ArenaMap, MaxEntries: 1, Special: &bpf.Special{}},
	}
	find := func(m int32) []bpf.Insn { return code(storeB(10, -4, 0), onStack(2, -4), ldMap(1, m), call(1)) }
	// loops has rounds of bpf_loop call the function at the end, and calls the one before it.
	loops := func(rounds int32, callback []bpf.Insn) *bpf.Program {
		p := testProgram(code(callFn(8), movImm(1, rounds), bpf.Insn{Op: bpf.OpLdImm64, Dst: 2, Src: bpf.PseudoFunc, Imm: 8}, bpf.Insn{},
			movImm(3, 0), movImm(4, 0), call(181), end(), end(), callback))
		p.Funcs = []bpf.Func{{Name: "main"}, {Name: "sub", Start: 9}, {Name: "callback", Start: 11}}
		return p
	}
	inType := func(typ bpf.ProgType, insns []bpf.Insn) *bpf.Program {
		p := testProgram(insns)
		p.Type = typ
		return p
	}
	tc := func(parts ...any) *bpf.Program { return inType(bpf.SchedCLS, code(parts...)) }
	throw := bpf.Insn{Op: bpf.OpCall, Src: bpf.PseudoKfunc}
	for _, c := range []struct {
		name string
		prog *bpf.Program
		want string // "" is accepted
	}{
		{"a load through a number from a map", tc(find(0), jeq(0, 0, 2), load(1, 0, 0), load(1, 1, 0), end()), "r1 invalid mem access 'scalar'"},
		{"a key of a map without keys", tc(find(1), end()), "invalid zero-sized read"},
		{"a load of another mode", tc(bpf.Insn{Op: bpf.ClassLDX | bpf.ModeAbs | bpf.SizeDW, Dst: 0, Src: 10, Off: -8}, end()), "unknown opcode 0x39"},
		{"a load with a number, where nothing leads", tc(movImm(0, 0), jeq(0, 0, 1), bpf.Insn{Op: bpf.ClassLDX | bpf.ModeMem | bpf.SizeDW, Dst: 1, Src: 10, Off: -8, Imm: 1}, leave()), "BPF_LDX uses reserved fields"},
		{"a field that is not used, where nothing leads", tc(movImm(0, 0), jeq(0, 0, 1), bpf.Insn{Op: bpf.OpMovReg, Dst: 1, Src: 10, Imm: 4}, leave()), ""},
		{"exit with a register", tc(movImm(0, 0), bpf.Insn{Op: bpf.OpExit | bpf.SrcReg}), "unknown opcode 0x9d"},
		{"a kernel function of a module, where nothing leads", tc(movImm(0, 0), jeq(0, 0, 1), bpf.Insn{Op: bpf.OpCall, Src: bpf.PseudoKfunc, Off: 1}, leave()), "kfunc offset > 0 without fd_array is invalid"},
		{"an address in an arena, without one", tc(movImm(6, 8), bpf.Insn{Op: bpf.OpMovReg, Dst: 6, Src: 6, Off: bpf.AddrSpaceCast, Imm: bpf.CastKernelImm}, leave()), "an associated arena"},
		{"the same where nothing leads", tc(movImm(0, 0), jeq(0, 0, 1), bpf.Insn{Op: bpf.OpMovReg, Dst: 6, Src: 6, Off: bpf.AddrSpaceCast, Imm: bpf.CastKernelImm}, leave()), ""},
		{"an address in an arena", tc(ldMap(1, 1), movImm(6, 8), bpf.Insn{Op: bpf.OpMovReg, Dst: 6, Src: 6, Off: bpf.AddrSpaceCast, Imm: bpf.CastKernelImm}, end()), ""},
		{"a sign-extending load from an arena", tc(ldMap(1, 1), movImm(6, 8), bpf.Insn{Op: bpf.OpMovReg, Dst: 6, Src: 6, Off: bpf.AddrSpaceCast, Imm: bpf.CastKernelImm}, bpf.Insn{Op: bpf.ClassLDX | bpf.ModeMemSX | bpf.SizeB, Dst: 4, Src: 6}, end()), "are not supported yet"},
		{"a number is thrown", tc(movImm(1, 7), throw, end()), ""},
		{"a number that the type does not take is thrown", inType(bpf.CGroupSKB, code(movImm(1, 7), throw, end())), "should have been in [0, 1]"},
		{"rounds of a callback that is wrong", loops(1, code(mov(0, 5), leave())), "r5 is not initialised"},
		{"no rounds of a callback that is wrong", loops(0, code(mov(0, 5), leave())), "is handed to bpf_loop with no rounds"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.prog.Maps, c.prog.Kfuncs = maps, []string{bpf.ThrowKfunc}
			_, err := verify.Check(c.prog, &named(t, "6.12").Kernel)
			if _, now := verify.Check(c.prog, &named(t, "7.3").Kernel); c.name == "a sign-extending load from an arena" && now != nil {
				t.Errorf("7.3 refuses: %v", now)
			}
			switch {
			case c.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("error %v, expected %q", err, c.want)
			}
		})
	}
}

// TestAllFields: 7.1 looks at fields that are not used where nothing leads, too; kernels before it only where a path does.
func TestAllFields(t *testing.T) {
	for name, in := range map[string]bpf.Insn{
		"mov": {Op: bpf.OpMovReg, Dst: 1, Src: 10, Imm: 4}, "exit": {Op: bpf.OpExit, Dst: 1}, "jump": {Op: bpf.ClassJmp | bpf.JmpJA, Imm: 1},
		"store": {Op: bpf.ClassST | bpf.ModeMem | bpf.SizeDW, Dst: 10, Off: -8, Src: 1}, "call": {Op: bpf.OpCall, Dst: 1, Imm: 7},
	} {
		dead := testProgram(code(movImm(0, 0), jeq(0, 0, 1), in, leave()))
		met := testProgram(code(movImm(0, 0), in, leave()))
		if in.Op == bpf.OpExit {
			met = testProgram(code(movImm(0, 0), in))
		}
		for release, want := range map[string][2]bool{"6.12": {false, true}, "7.0": {false, true}, "7.1": {true, true}, "7.3": {true, true}} {
			for i, p := range []*bpf.Program{dead, met} {
				_, err := verify.Check(p, &named(t, release).Kernel)
				if refused := err != nil && strings.Contains(err.Error(), "reserved fields"); refused != want[i] {
					t.Errorf("%s on %s, met %t: error %v, refused %t", name, release, i == 1, err, want[i])
				}
			}
		}
	}
}
