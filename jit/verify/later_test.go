// SPDX-License-Identifier: GPL-2.0-only

package verify_test

import (
	"testing"

	"github.com/tcsim/tcsim/jit/bpf"
)

func subImm(d uint8, v int32) bpf.Insn {
	return bpf.Insn{Op: bpf.ClassALU64 | bpf.ALUSub, Dst: d, Imm: v}
}

func alu32(op, d uint8, v int32) bpf.Insn { return bpf.Insn{Op: bpf.ClassALU | op, Dst: d, Imm: v} }

// TestLinkedDifferences: a number is known from another that differs by a constant, also where the constant was subtracted
// or added in 32 bits, since 7.0.
func TestLinkedDifferences(t *testing.T) {
	copies := code(call(7), andImm(0, 0xff), mov(1, 0))
	copies32 := code(call(7), alu32(bpf.ALUAnd, 0, 0xff), bpf.Insn{Op: bpf.ClassALU | bpf.ALUMov | bpf.SrcReg, Dst: 1})
	notZero := code(jump(bpf.JmpNe, 0, 0, 1), writesR10, end())
	for _, c := range []struct {
		name  string
		insns []bpf.Insn
		want  verdict
	}{
		{"added", code(copies, addImm(1, 4), jump(bpf.JmpLt, 1, 6, 2), notZero), verdict{"6.12": "", "7.3": "", "6.6": "r10 is read only"}},
		{"a negative number added", code(copies, addImm(1, -4), jump(bpf.JmpSlt, 1, 0, 2), notZero), verdict{"6.12": "r10 is read only", "7.3": ""}},
		{"subtracted", code(copies, subImm(1, 4), jump(bpf.JmpSlt, 1, 0, 2), notZero), verdict{"6.12": "r10 is read only", "7.3": ""}},
		{"added in 32 bits", code(copies32, alu32(bpf.ALUAdd, 1, -4), jump32(bpf.JmpSlt, 1, 0, 2), notZero), verdict{"6.12": "r10 is read only", "7.3": ""}},
		{"twice", code(copies, subImm(1, 4), subImm(1, 1), jump(bpf.JmpSlt, 1, 0, 2), notZero), verdict{"7.3": "r10 is read only"}},
		{"to itself", code(copies, addReg(1, 1), jump(bpf.JmpLt, 1, 6, 2), notZero), verdict{"7.3": "r10 is read only"}},
		{"one in 32 bits, the other in 64", code(copies32, mov(2, 0), alu32(bpf.ALUAdd, 1, -4), subImm(2, 4), jump32(bpf.JmpSlt, 1, 0, 2), jump(bpf.JmpSge, 2, 0, 1), writesR10, end()), verdict{"7.3": "r10 is read only"}},
	} {
		judged(t, c.name, testProgram(c.insns), c.want)
	}
}

// TestSpilledZeros: since 7.3 a load from somewhere in the stack is 0 where only zeros can be, spilled ones included.
func TestSpilledZeros(t *testing.T) {
	somewhere := func(slots int32, size uint8) []bpf.Insn { // a load of a byte from the lowest slots of the stack
		return code(call(7), andImm(0, slots*8-1), mov(1, 10), addReg(1, 0), bpf.Insn{Op: bpf.ClassLDX | bpf.ModeMem | size, Dst: 0, Src: 1, Off: int16(-slots * 8)})
	}
	zero := code(jump(bpf.JmpEq, 0, 0, 1), writesR10, end())
	spill := func(off int16) []bpf.Insn { return code(movImm(2, 0), store(10, off, 2)) }
	for _, c := range []struct {
		name  string
		insns []bpf.Insn
		want  verdict
	}{
		{"one spilled zero", code(spill(-8), somewhere(1, bpf.SizeB), zero), verdict{"7.2": "r10 is read only", "7.3": ""}},
		{"two", code(spill(-8), spill(-16), somewhere(2, bpf.SizeB), zero), verdict{"7.2": "r10 is read only", "7.3": ""}},
		{"half of one, half of another number", code(spill(-8), movImm(2, 1), store(10, -16, 2), somewhere(2, bpf.SizeB), zero), verdict{"7.3": "r10 is read only"}},
		{"half a slot of each kind", code(bpf.Insn{Op: bpf.ClassST | bpf.ModeMem | bpf.SizeW, Dst: 10, Off: -4}, movImm(2, 0), bpf.Insn{Op: bpf.ClassSTX | bpf.ModeMem | bpf.SizeW, Dst: 10, Src: 2, Off: -8}, load(0, 10, -8), zero), verdict{"7.3": ""}},
		// The zero counts: the path on which the slot holds 1 is followed, too.
		{"a zero on one path", code(call(7), movImm(2, 0), jeq(0, 0, 1), movImm(2, 1), store(10, -8, 2), somewhere(1, bpf.SizeB), zero), verdict{"7.3": "r10 is read only"}},
	} {
		judged(t, c.name, testProgram(c.insns), c.want)
	}
}

// TestPacketBackwards: since 7.2 the constant and the variable part of an address in the packet are added up.
func TestPacketBackwards(t *testing.T) {
	back := func(from, most int32) []bpf.Insn {
		return code(load32(2, 1, 76), load32(3, 1, 80), load32(4, 1, 0), andImm(4, most), mov(5, 2), addImm(5, from),
			bpf.Insn{Op: bpf.ClassJmp | bpf.JmpGt | bpf.SrcReg, Dst: 5, Src: 3, Off: 2}, bpf.Insn{Op: bpf.ClassALU64 | bpf.ALUSub | bpf.SrcReg, Dst: 5, Src: 4})
	}
	least := func(at int16) []bpf.Insn { // 16 bytes back at least
		b := back(48, 15)
		return code(b[:4], addImm(4, 16), b[4:], load(0, 5, at), end())
	}
	for _, c := range []struct {
		name  string
		insns []bpf.Insn
		want  verdict
	}{
		{"at least as far as what is loaded", least(8), verdict{"7.3": ""}},
		{"not as far as what is loaded", least(9), verdict{"7.3": "outside of the packet"}},
		{"within", code(back(40, 31), load32(0, 5, -8), end()), verdict{"6.12": "min value is negative", "7.2": "", "7.3": ""}},
		{"before its beginning", code(back(40, 63), load32(0, 5, -8), end()), verdict{"7.3": "min value is negative"}},
		{"beyond what is known to be there", code(back(40, 31), load32(0, 5, 0), end()), verdict{"7.3": "outside of the packet"}},
	} {
		p := testProgram(c.insns)
		p.Type = bpf.SchedCLS
		judged(t, c.name, p, c.want)
	}
}

// TestSpareClones: since 7.2 a dynptr that holds a reference is overwritten if another one holds it, too.
func TestSpareClones(t *testing.T) {
	sigs := map[string]bpf.Signature{"bpf_dynptr_clone": {Params: []bpf.Param{dynptr, {Kind: bpf.ParamMemory, Size: 16, Type: "bpf_dynptr", Name: "clone__uninit"}}}}
	makes := code(ldMap(1, 0), movImm(2, 8), movImm(3, 0), onStack(4, -16), call(198))
	clones := code(onStack(1, -16), onStack(2, -32), kfn(0))
	drops := func(at int32) []bpf.Insn { return code(onStack(1, at), movImm(2, 0), call(200)) }
	for _, c := range []struct {
		name  string
		insns []bpf.Insn
		want  verdict
	}{
		{"the clone", code(makes, clones, storeB(10, -32, 0), drops(-16), end()), verdict{"6.12": "cannot overwrite referenced dynptr", "7.2": "", "7.3": ""}},
		{"the original", code(makes, clones, storeB(10, -16, 0), drops(-32), end()), verdict{"7.3": ""}},
		{"both", code(makes, clones, storeB(10, -16, 0), storeB(10, -32, 0), end()), verdict{"7.3": "cannot overwrite referenced dynptr"}},
		{"and it is kept", code(makes, clones, storeB(10, -16, 0), end()), verdict{"7.3": "Unreleased reference"}},
	} {
		p := testProgram(c.insns)
		p.Type, p.Maps, p.Kfuncs, p.Signatures = bpf.SchedCLS, rightsMaps, []string{"bpf_dynptr_clone"}, sigs
		judged(t, c.name, p, c.want)
	}
}

// TestSetResults: since 7.2 what a program makes its hook return is judged.
func TestSetResults(t *testing.T) {
	set := func(v int32) []bpf.Insn { return code(movImm(1, v), call(187), movImm(0, 1), leave()) }
	for _, c := range []struct {
		name   string
		typ    bpf.ProgType
		attach uint32
		insns  []bpf.Insn
		want   verdict
	}{
		{"no error", bpf.CGroupDevice, 6, set(0), verdict{"6.12": "", "7.3": ""}},
		{"the last error", bpf.CGroupDevice, 6, set(-4095), verdict{"7.3": ""}},
		{"beyond", bpf.CGroupDevice, 6, set(-4096), verdict{"6.12": "", "7.3": "should have been in [-4095, 0]"}},
		{"a positive number", bpf.CGroupDevice, 6, set(1), verdict{"6.12": "", "7.2": "should have been in [-4095, 0]", "7.3": "should have been in [-4095, 0]"}},
		{"an address", bpf.CGroupDevice, 6, code(call(187), movImm(0, 1), leave()), verdict{"7.3": "r1 is not a scalar"}},
		{"what getsockopt returns", bpf.CGroupSockopt, 21, set(5), verdict{"7.3": ""}},
		{"what setsockopt returns", bpf.CGroupSockopt, 22, set(5), verdict{"7.3": "should have been in"}},
		{"a number of one path only", bpf.CGroupDevice, 6, code(call(7), jump(bpf.JmpNe, 0, 0, 1), ja(1), call(7), mov(1, 0), call(187), movImm(0, 1), leave()), verdict{"7.3": "should have been in"}},
	} {
		p := testProgram(c.insns)
		p.Type, p.AttachType = c.typ, c.attach
		judged(t, c.name, p, c.want)
	}
}

// TestPacketAfterTailCall: since 6.18.44 a tail call that is not taken leaves addresses in the packet as they are, and one
// that is taken from a function returns anything to the caller, who has lost such addresses (what 6.18 says was asked of a kernel).
func TestPacketAfterTailCall(t *testing.T) {
	main := code(mov(6, 1), load32(7, 1, 76), load32(3, 1, 80), mov(4, 7), addImm(4, 4), bpf.Insn{Op: bpf.ClassJmp | bpf.JmpLe | bpf.SrcReg, Dst: 4, Src: 3, Off: 2}, end())
	for _, c := range []struct {
		name   string
		insns  []bpf.Insn
		starts []bpf.InsnIndex
		want   verdict
	}{
		{"in the main function", code(main, mov(1, 6), ldMap(2, 2), movImm(3, 0), call(12), storeB(7, 0, 1), end()), nil, verdict{"6.12": "r7 invalid mem access 'scalar'", "6.18": "", "7.3": ""}},
		{"in another function", code(callFn(1), leave(), main, mov(1, 6), ldMap(2, 2), movImm(3, 0), call(12), storeB(7, 0, 1), end()), []bpf.InsnIndex{2}, verdict{"6.12": "r7 invalid mem access 'scalar'", "6.18": "", "7.3": ""}},
		{"with a result that only another program returns", code(main, mov(1, 6), callFn(4), jeq(0, 5, 1), storeB(7, 0, 1), end(), ldMap(2, 2), movImm(3, 0), call(12), movImm(0, 5), leave()), []bpf.InsnIndex{14}, verdict{"6.12": "", "6.18": "r7 invalid mem access 'scalar'", "7.3": "r7 invalid mem access 'scalar'"}},
		{"in a function that it calls", code(main, mov(1, 6), callFn(3), storeB(7, 0, 1), end(), ldMap(2, 2), movImm(3, 0), call(12), end()), []bpf.InsnIndex{13}, verdict{"7.3": "r7 invalid mem access 'scalar'"}},
	} {
		p := testProgram(c.insns, c.starts...)
		p.Type, p.Maps = bpf.SchedCLS, rightsMaps
		judged(t, c.name, p, c.want)
	}
}

// TestHookArguments: arguments of traced functions are read as they are there, and some may be null.
func TestHookArguments(t *testing.T) {
	kernel := structures{"task_struct+16": {Name: "pid"}}
	object := bpf.Param{Kind: bpf.ParamPointer, Type: "task_struct"}
	hook := &bpf.Signature{Params: []bpf.Param{object, object, {Kind: bpf.ParamPointer}, {}}}
	const raw, entry, exit = 23, 24, 25
	half := func(off int16) []bpf.Insn { return code(load32(2, 1, off), end()) }
	used := func(off int16) []bpf.Insn { return code(load(2, 1, off), load(3, 2, 16), end()) }
	for _, c := range []struct {
		name, to string
		attach   uint32
		void     bool
		insns    []bpf.Insn
		want     verdict
	}{
		{"half of an address", "f", entry, false, half(0), verdict{"6.12": "size 4 must be 8", "7.3": "size 4 must be 8"}},
		{"half of the address of a number", "f", entry, false, half(16), verdict{"6.12": "size 4 must be 8"}},
		{"half of a number", "f", entry, false, half(24), verdict{"6.12": ""}},
		{"the upper half", "f", entry, false, half(28), verdict{"6.12": "not multiple of 8"}},
		{"the result before it is there", "f", entry, false, code(load(2, 1, 32), end()), verdict{"6.12": "doesn't have 5-th argument"}},
		{"the result", "f", exit, false, code(load(2, 1, 32), end()), verdict{"6.12": ""}},
		{"no result", "f", exit, true, code(load(2, 1, 32), end()), verdict{"6.12": "returns nothing"}},
		{"beyond it", "f", exit, false, code(load(2, 1, 40), end()), verdict{"6.12": "doesn't have 6-th argument"}},
		{"an object of a tracepoint", "sched_switch", raw, false, used(0), verdict{"7.3": ""}},
		{"one that may be null", "sched_pi_setprio", raw, false, used(8), verdict{"6.6": "", "6.12": "_or_null", "7.3": "_or_null"}},
		{"one that was asked for null", "sched_pi_setprio", raw, false, code(load(2, 1, 8), jeq(2, 0, 1), load(3, 2, 16), end()), verdict{"7.3": ""}},
		{"the one beside it", "sched_pi_setprio", raw, false, used(0), verdict{"7.3": ""}},
		{"one that may be an error", "signal_generate", raw, false, code(load(2, 1, 8), jeq(2, 0, 1), load(3, 2, 16), end()), verdict{"7.3": "invalid mem access 'scalar'"}},
		{"one that may be null since later", "neigh_update", raw, false, used(8), verdict{"6.12": "", "7.3": "_or_null"}},
	} {
		p := testProgram(c.insns)
		h := *hook
		h.Void = c.void
		p.Type, p.AttachType, p.AttachTo, p.Hook, p.Objects = bpf.Tracing, c.attach, c.to, &h, kernel
		judged(t, c.name, p, c.want)
	}
}

// TestProbedMemory: memory at any address is read anywhere, and by loads alone.
func TestProbedMemory(t *testing.T) {
	sigs := map[string]bpf.Signature{"bpf_rdonly_cast": {Params: []bpf.Param{{Kind: bpf.ParamPointer}, {}}, Pointer: true}}
	cast := code(movImm(1, 42), movImm(2, 0), kfn(0))
	acquire := bpf.Insn{Op: bpf.ClassSTX | bpf.ModeAtomic | bpf.SizeDW, Dst: 2, Src: 0, Imm: bpf.AtomicLoadAcq}
	for _, c := range []struct {
		name  string
		insns []bpf.Insn
		want  verdict
	}{
		{"anywhere", code(cast, load(2, 0, 32000), load(3, 0, -8), end()), verdict{"7.3": ""}},
		{"at an address that is not known", code(cast, addReg(0, 0), end()), verdict{"7.3": "pointer prohibited"}},
		{"moved by any number", code(call(7), mov(6, 0), cast, addReg(0, 6), load(2, 0, 0), end()), verdict{"7.3": ""}},
		{"a loop that moves it", code(cast, addImm(0, 8), load(2, 0, 0), jump(bpf.JmpNe, 2, 0, -3), end()), verdict{"7.3": "infinite loop"}},
		{"a store", code(cast, storeB(0, 0, 1), end()), verdict{"7.3": "cannot write into rdonly_mem"}},
		{"a load with an order", code(cast, acquire, end()), verdict{"7.3": "BPF_ATOMIC loads"}},
		{"for a helper", code(cast, mov(1, 0), movImm(2, 8), call(6), end()), verdict{"7.3": "expected=fp"}},
		{"to be written by a helper", code(cast, mov(1, 0), movImm(2, 8), movImm(3, 0), call(113), end()), verdict{"7.3": "expected=fp"}},
		{"or the stack, at one load", code(storeB(10, -8, 0), cast, call(7), mov(6, 0), movImm(1, 42), movImm(2, 0), kfn(0), jeq(6, 0, 2), onStack(0, -8), load(2, 0, 0), end()), verdict{"7.3": "same insn cannot be used with different pointers"}},
	} {
		p := testProgram(c.insns)
		p.Type, p.Kfuncs, p.Signatures = bpf.Kprobe, []string{"bpf_rdonly_cast"}, sigs
		judged(t, c.name, p, c.want)
	}
}

// TestWitness: since 7.2 an address is known not to be null from another that equals it only where that is certain.
func TestWitness(t *testing.T) {
	find := code(storeB(10, -16, 0), ldMap(1, 0), onStack(2, -16), call(1))
	both := code(find, jump(bpf.JmpNe, 0, 0, 2), end(), mov(6, 0), find, mov(7, 0))
	same := code(bpf.Insn{Op: bpf.ClassJmp | bpf.JmpNe | bpf.SrcReg, Dst: 7, Src: 6, Off: 1}, load(1, 7, 0), end())
	far := code(mov(8, 7), bpf.Insn{Op: bpf.ClassALU64 | bpf.ALUSub | bpf.SrcReg, Dst: 8, Src: 6},
		bpf.Insn{Op: bpf.ClassALU64 | bpf.ALULsh, Dst: 8, Imm: 1}, bpf.Insn{Op: bpf.ClassALU64 | bpf.ALURsh, Dst: 8, Imm: 1}, addReg(6, 8))
	judged(t, "an address", testProgram(code(both, same)), verdict{"6.12": "", "7.3": ""})
	judged(t, "one that may wrap", testProgram(code(both, far, same)), verdict{"6.12": "", "7.3": "map_value_or_null"})
}

// TestSignedFill: since 7.2 a sign-extending load of a spilled number is another number.
func TestSignedFill(t *testing.T) {
	bit := code(call(7), mov(7, 0), bpf.Insn{Op: bpf.OpLdImm64, Dst: 2, Imm: -1 << 31}, bpf.Insn{}, bpf.Insn{Op: bpf.ClassALU64 | bpf.ALUAnd | bpf.SrcReg, Dst: 7, Src: 2},
		mov(6, 7), bpf.Insn{Op: bpf.ClassSTX | bpf.ModeMem | bpf.SizeW, Dst: 10, Src: 7, Off: -8}, bpf.Insn{Op: bpf.ClassLDX | bpf.ModeMemSX | bpf.SizeW, Dst: 4, Src: 10, Off: -8},
		load32(5, 10, -8), bpf.Insn{Op: bpf.ClassJmp | bpf.JmpNe | bpf.SrcReg, Dst: 5, Src: 2, Off: 3}, bpf.Insn{Op: bpf.ClassALU64 | bpf.ALURsh, Dst: 4, Imm: 63}, jeq(4, 0, 1), writesR10, end())
	judged(t, "the sign", testProgram(bit), verdict{"6.12": "", "7.3": "r10 is read only"})
}

// TestUserPointers: pointers to memory of user space in the values of maps are read, asked for null, and not stored.
func TestUserPointers(t *testing.T) {
	maps := []bpf.Map{{Name: "m", Type: bpf.ArrayMap, KeySize: 4, ValueSize: 16, MaxEntries: 1, Special: &bpf.Special{Fields: []bpf.SpecialField{{Kind: bpf.SpecialUser, Off: 8, Size: 8, To: 16}}}}}
	value := code(bpf.Insn{Op: bpf.ClassST | bpf.ModeMem | bpf.SizeW, Dst: 10, Off: -4}, ldMap(1, 0), onStack(2, -4), call(1), jump(bpf.JmpNe, 0, 0, 2), end())
	for _, c := range []struct {
		name  string
		insns []bpf.Insn
		want  string
	}{
		{"memory", code(value, load(1, 0, 8), jeq(1, 0, 1), load(2, 1, 8), end()), ""},
		{"before it is asked for null", code(value, load(1, 0, 8), load(2, 1, 8), end()), "invalid mem access 'mem_or_null'"},
		{"beyond its end", code(value, load(1, 0, 8), jeq(1, 0, 1), load(2, 1, 16), end()), "mem_size=16"},
		{"null is stored", code(value, bpf.Insn{Op: bpf.ClassST | bpf.ModeMem | bpf.SizeDW, Dst: 0, Off: 8}, end()), "store to uptr disallowed"},
		{"half of it", code(value, load32(1, 0, 8), end()), "must be BPF_DW"},
	} {
		p := testProgram(c.insns)
		p.Maps = maps
		judged(t, c.name, p, verdict{"7.3": c.want})
	}
}

// TestInnerKeys: a constant key tells nothing of an array that may be replaced by a shorter one.
func TestInnerKeys(t *testing.T) {
	for _, varies := range []bool{false, true} {
		p := testProgram(code(bpf.Insn{Op: bpf.ClassST | bpf.ModeMem | bpf.SizeW, Dst: 10, Off: -8, Imm: 3}, ldMap(1, 0), onStack(2, -8), call(1), load32(0, 0, 0), end()))
		p.Maps = []bpf.Map{{Name: "inner", Type: bpf.ArrayMap, KeySize: 4, ValueSize: 8, MaxEntries: 4, Varies: varies}}
		want := verdict{"6.18": "", "7.3": ""}
		if varies {
			want["7.3"] = "map_value_or_null"
		}
		judged(t, "a constant key", p, want)
	}
}

// TestThrowing: what may throw is called where the program may end, and never by a callback.
func TestThrowing(t *testing.T) {
	names := []string{bpf.ThrowKfunc, "bpf_task_from_pid", "bpf_task_release"}
	sigs := map[string]bpf.Signature{bpf.ThrowKfunc: {Params: []bpf.Param{{}}, Void: true}, names[1]: signatures[names[1]], names[2]: signatures[names[2]]}
	throw := code(movImm(1, 1), kfn(0), end())
	hold := code(movImm(1, 1), kfn(1), jump(bpf.JmpNe, 0, 0, 2), end(), mov(6, 0))
	drop := code(mov(1, 6), kfn(2), end())
	for _, c := range []struct {
		name   string
		main   []bpf.Insn
		global bool
		want   verdict
	}{
		{"a global function that throws", code(callFn(2), end()), true, verdict{"6.12": "", "7.3": ""}},
		{"while a reference is held", code(hold, callFn(int32(len(drop))), drop), true, verdict{"6.12": "", "7.3": "Unreleased reference"}},
		{"in a static function, too", code(hold, callFn(int32(len(drop))), drop), false, verdict{"6.12": "Unreleased reference", "7.3": "Unreleased reference"}},
		{"by a callback", code(movImm(1, 2), bpf.Insn{Op: bpf.OpLdImm64, Dst: 2, Src: bpf.PseudoFunc, Imm: 6}, bpf.Insn{}, movImm(3, 0), movImm(4, 0), call(181), end()), false, verdict{"6.12": "cannot be called from callback", "7.3": "cannot be called from callback"}},
	} {
		p := testProgram(code(c.main, throw), bpf.InsnIndex(len(c.main)))
		p.Type, p.Kfuncs, p.Signatures, p.Funcs[1].Global = bpf.SchedCLS, names, sigs, c.global
		judged(t, c.name, p, c.want)
	}
}

// TestBoundAddresses: programs after a bind see the addresses of their family.
func TestBoundAddresses(t *testing.T) {
	half := func(off int16) []bpf.Insn {
		return code(bpf.Insn{Op: bpf.ClassLDX | bpf.ModeMem | bpf.SizeH, Dst: 7, Src: 1, Off: off}, movImm(0, 1), leave())
	}
	for _, c := range []struct {
		off    int16
		attach uint32
		want   string
	}{{24, 12, ""}, {28, 12, "off=28 size=2"}, {24, 13, "off=24 size=2"}, {28, 13, ""}} {
		p := testProgram(half(c.off))
		p.Type, p.AttachType = bpf.CGroupSock, c.attach
		judged(t, "half of an address", p, verdict{"6.12": c.want, "7.3": c.want})
	}
}
