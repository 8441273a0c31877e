// SPDX-License-Identifier: GPL-2.0-only

package verify_test

import (
	"testing"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/verify/protos"
)

// TestSameAtomics: since 7.2 an atomic operation is on a kind of memory, as loads and stores are.
func TestSameAtomics(t *testing.T) {
	add := bpf.Insn{Op: bpf.ClassSTX | bpf.ModeAtomic | bpf.SizeDW, Dst: 8, Src: 9, Off: -16}
	maps := []bpf.Map{
		{Name: "area", Type: bpf.ArenaMap, MaxEntries: 1, Special: &bpf.Special{}},
		{Name: "values", Type: bpf.ArrayMap, KeySize: 4, ValueSize: 32, MaxEntries: 1, Special: &bpf.Special{}},
	}
	inArena := code(ldMap(1, 0), movImm(7, 64), bpf.Insn{Op: bpf.OpMovReg, Dst: 7, Src: 7, Off: bpf.AddrSpaceCast, Imm: bpf.CastKernelImm})
	inMap := code(bpf.Insn{Op: bpf.ClassST | bpf.ModeMem | bpf.SizeW, Dst: 10, Off: -4}, ldMap(1, 1), onStack(2, -4), call(1), jump(bpf.JmpNe, 0, 0, 2), end(), mov(7, 0), addImm(7, 16))
	for name, c := range map[string]struct {
		other []bpf.Insn
		want  verdict
	}{
		"the stack or an arena":      {inArena, verdict{"7.3": "with different pointers"}},
		"the stack or a map's value": {inMap, verdict{"6.12": "", "7.3": ""}},
	} {
		p := testProgram(code(c.other, movImm(9, 0), store(10, -16, 9), call(7), movImm(9, 1), mov(8, 10), jeq(0, 0, 1), mov(8, 7), add, end()))
		p.Type, p.Maps = bpf.SchedCLS, maps
		judged(t, name, p, c.want)
	}
}

// TestFileDynptrs: a dynptr of a file is given back, as no other is.
func TestFileDynptrs(t *testing.T) {
	const fromFile, fromXDP, discard = 0, 1, 2
	names := []string{"bpf_dynptr_from_file", "bpf_dynptr_from_xdp", "bpf_dynptr_file_discard"}
	aDynptr, any, flags := bpf.Param{Kind: bpf.ParamMemory, Size: 16, Type: "bpf_dynptr"}, bpf.Param{Kind: bpf.ParamPointer, Type: "file"}, bpf.Param{}
	made := aDynptr
	made.Name = "ptr__uninit"
	sigs := map[string]bpf.Signature{
		names[fromFile]: {Params: []bpf.Param{any, flags, made}}, names[fromXDP]: {Params: []bpf.Param{{Kind: bpf.ParamContext}, flags, made}},
		names[discard]: {Params: []bpf.Param{aDynptr}, Void: true},
	}
	from := func(f int32) []bpf.Insn { return code(movImm(2, 0), onStack(3, -16), kfn(f)) }
	ofFile := code(call(158), mov(1, 0), from(fromFile))
	gone := code(onStack(1, -16), kfn(discard))
	reserved := code(ldMap(1, 0), movImm(2, 8), movImm(3, 0), onStack(4, -16), call(198))
	submitted := code(onStack(1, -16), movImm(2, 0), call(199))
	for _, c := range []struct {
		name  string
		insns []bpf.Insn
		want  string
	}{
		{"given back", code(ofFile, gone, end()), ""},
		{"kept", code(ofFile, end()), "is not released"},
		{"given back twice", code(ofFile, gone, gone, end()), "is an unacquired reference"},
		{"overwritten", code(ofFile, storeB(10, -16, 0), end()), "cannot overwrite referenced dynptr"},
		{"one of a packet given back", code(from(fromXDP), gone, end()), "a dynptr of another type"},
		{"one of a ring buffer", code(reserved, submitted, end()), ""},
		{"given back as one of a ring buffer", code(ofFile, submitted, end()), "a dynptr of another type"},
		{"one of a ring buffer given back as one of a file", code(reserved, gone, end()), "a dynptr of another type"},
	} {
		p := testProgram(c.insns)
		p.Type, p.Kfuncs, p.Signatures = bpf.XDP, names, sigs
		p.Maps = []bpf.Map{{Name: "ring", Type: bpf.RingBuf, MaxEntries: 4096}}
		judged(t, c.name, p, verdict{"7.3": c.want})
	}
}

// TestMovedDynptr: a dynptr that a function is handed is passed on as it is.
func TestMovedDynptr(t *testing.T) {
	for off, want := range map[int32]string{0: "", 8: "dereference of modified dynptr_ptr ptr r1 off=8"} {
		// A global function that is handed a dynptr hands it to another.
		main := code(ldMap(1, 0), movImm(2, 8), movImm(3, 0), onStack(4, -16), call(198), onStack(1, -16), callFn(6), onStack(1, -16), movImm(2, 0), call(200), end())
		first := code(addImm(1, off), callFn(2), end())
		p := testProgram(code(main, first, end()), bpf.InsnIndex(len(main)), bpf.InsnIndex(len(main)+len(first)))
		for i := range p.Insns {
			if p.Insns[i].IsSubCall() && i < len(main) {
				p.Insns[i].Imm = int32(len(main) - i - 1)
			}
		}
		p.Type, p.Maps = bpf.SchedCLS, []bpf.Map{{Name: "ring", Type: bpf.RingBuf, MaxEntries: 4096}}
		for i := 1; i < 3; i++ {
			p.Funcs[i].Global, p.Funcs[i].Params = true, []bpf.Param{{Kind: bpf.ParamDynptr}}
		}
		judged(t, "moved", p, verdict{"6.12": want, "7.3": want})
	}
}

// TestFaultableTracepoints: programs that may sleep are attached to tracepoints of system calls only.
func TestFaultableTracepoints(t *testing.T) {
	for to, want := range map[string]string{"sys_enter": "", "sys_exit": "", "sched_wakeup": "non-faultable tracepoint sched_wakeup"} {
		p := testProgram(end())
		p.Type, p.AttachType, p.AttachTo, p.Sleepable = bpf.Tracing, protos.AttachRawTP, to, true
		judged(t, to, p, verdict{"7.3": want})
		p.Sleepable = false
		judged(t, to, p, verdict{"7.3": ""})
	}
}

// TestGlobalContexts: since 7.3 a global function is verified as each of its callers has it that may sleep, and that may not.
func TestGlobalContexts(t *testing.T) {
	const lock, unlock, share, drop = 0, 1, 2, 3
	names := []string{"bpf_rcu_read_lock", "bpf_rcu_read_unlock", "bpf_refcount_acquire", "bpf_obj_drop"}
	any := bpf.Param{Kind: bpf.ParamPointer}
	sigs := map[string]bpf.Signature{
		names[lock]: {Void: true}, names[unlock]: {Void: true}, names[drop]: {Params: []bpf.Param{any}, Void: true},
		names[share]: {Params: []bpf.Param{any}, Pointer: true, Untyped: true},
	}
	shares := code(bpf.Insn{Op: bpf.ClassST | bpf.ModeMem | bpf.SizeW, Dst: 10, Off: -4}, ldMap(1, 0), onStack(2, -4), call(1), jump(bpf.JmpNe, 0, 0, 2), end(), load(1, 0, 0),
		jump(bpf.JmpNe, 1, 0, 2), end(), kfn(share), jump(bpf.JmpNe, 0, 0, 2), end(), mov(1, 0), kfn(drop), end())
	for _, c := range []struct {
		name string
		main []bpf.Insn
		want verdict
	}{
		{"in an RCU section", code(kfn(lock), callFn(0), kfn(unlock), end()), verdict{"7.2": "neither owning or non-owning ref", "7.3": ""}},
		{"outside of one", code(callFn(0), end()), verdict{"7.2": "neither owning or non-owning ref", "7.3": "neither owning or non-owning ref"}},
		{"in one and outside", code(kfn(lock), callFn(0), kfn(unlock), callFn(0), end()), verdict{"7.3": "neither owning or non-owning ref"}},
	} {
		for i := range c.main {
			if c.main[i].IsSubCall() {
				c.main[i].Imm = int32(len(c.main) - i - 1)
			}
		}
		p := testProgram(code(c.main, shares), bpf.InsnIndex(len(c.main)))
		p.Type, p.Sleepable, p.Kfuncs, p.Signatures = bpf.Syscall, true, names, sigs
		p.Funcs[1].Global = true
		p.Owned = ownTypes{1: {Name: "item", Size: 16, Special: bpf.Special{Fields: []bpf.SpecialField{{Kind: bpf.SpecialRefCount, Off: 8, Size: 4}}}}}
		p.Maps = []bpf.Map{{Name: "stash", Type: bpf.ArrayMap, KeySize: 4, ValueSize: 8, MaxEntries: 1, Special: &bpf.Special{Fields: []bpf.SpecialField{{Kind: bpf.SpecialPointer, Size: 8, Own: 1}}}}}
		judged(t, c.name, p, c.want)
	}
}

// TestArenaArguments: kernel functions that take addresses in an arena take numbers, too, in programs that have one.
func TestArenaArguments(t *testing.T) {
	names := []string{"takes"}
	sigs := map[string]bpf.Signature{"takes": {Params: []bpf.Param{{Kind: bpf.ParamMemory, Size: 8, Name: "at__arena"}}}}
	for _, c := range []struct {
		name  string
		insns []bpf.Insn
		want  string
	}{
		{"a number", code(ldMap(1, 0), movImm(1, 64), kfn(0), end()), ""},
		{"an address in the stack", code(ldMap(1, 0), movImm(1, 0), store(10, -8, 1), onStack(1, -8), kfn(0), end()), "is not a pointer to arena or scalar"},
		{"no arena", code(movImm(1, 64), kfn(0), end()), "the program has none"},
	} {
		p := testProgram(c.insns)
		p.Type, p.Kfuncs, p.Signatures, p.Maps = bpf.SchedCLS, names, sigs, []bpf.Map{{Name: "area", Type: bpf.ArenaMap, MaxEntries: 1, Special: &bpf.Special{}}}
		judged(t, c.name, p, verdict{"7.3": c.want})
	}
}
