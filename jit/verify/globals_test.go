// SPDX-License-Identifier: GPL-2.0-only

package verify_test

import (
	"testing"

	"github.com/tcsim/tcsim/jit/bpf"
)

// TestGlobals: what global functions take and return, and where they are called.
func TestGlobals(t *testing.T) {
	kernel := structures{"task_struct+16": {Name: "pid"}}
	number := bpf.Param{}
	any := bpf.Param{Kind: bpf.ParamUntrusted, Type: "task_struct"}
	bytes := bpf.Param{Kind: bpf.ParamUntrusted}
	memory := bpf.Param{Kind: bpf.ParamMemory, Size: 8}
	current := code(call(158), mov(1, 0))
	off, on := kfn(kOff), kfn(kOn)
	for _, c := range []struct {
		name   string
		main   []bpf.Insn // before the call
		after  []bpf.Insn
		callee []bpf.Insn
		param  bpf.Param
		void   bool
		want   verdict
	}{
		{"untrusted memory", movesTo(1, 7), end(), code(load(0, 1, 0), leave()), bytes, false, verdict{"7.3": ""}},
		{"an object that is not trusted", current, end(), code(load(0, 1, 16), leave()), any, false, verdict{"7.3": ""}},
		{"an object that is not trusted and something else", current, end(), code(load(0, 1, 16), leave()), bpf.Param{Kind: bpf.ParamUntrusted, Type: "task_struct", Mixed: true}, false, verdict{"7.3": "cannot be combined"}},
		{"a store through it", current, end(), code(storeB(1, 16, 0), end()), any, false, verdict{"7.3": "only read is supported"}},
		{"a store into untrusted memory", movesTo(1, 7), end(), code(storeB(1, 0, 0), end()), bytes, false, verdict{"7.3": "cannot write into rdonly_mem"}},
		{"an object to be written", current, end(), code(movImm(0, 0), leave()), memory, false, verdict{"7.3": "only read is supported"}},
		{"nothing is returned", movesTo(1, 7), end(), code(mov(2, 1), leave()), number, true, verdict{"7.0": "doesn't return scalar", "7.1": "", "7.3": "", "6.12": "doesn't return scalar"}},
		{"and it is used", movesTo(1, 7), code(leave()), code(mov(2, 1), leave()), number, true, verdict{"7.3": "r0 is not initialised"}},
		{"without preemption", code(off, movImm(1, 7)), code(on, end()), end(), number, false, verdict{"6.12": "with preemption disabled", "7.3": ""}},
		{"one that sleeps, without preemption", code(off, movImm(1, 7)), code(on, end()), code(onStack(1, -8), movImm(2, 8), movImm(3, 0), call(148), end()), number, false, verdict{"7.3": "called where nothing may sleep"}},
	} {
		insns := code(c.main, callFn(int32(len(c.after))), c.after)
		p := testProgram(code(insns, c.callee), bpf.InsnIndex(len(insns)))
		p.Type, p.Sleepable, p.Objects, p.Kfuncs, p.Signatures = bpf.Kprobe, true, kernel, kfuncNames, signatures
		p.Funcs[1].Global, p.Funcs[1].Params, p.Funcs[1].Void = true, []bpf.Param{c.param}, c.void
		judged(t, c.name, p, c.want)
	}
}

// TestGlobalAddress: no kernel takes a global function that returns an address, called or as callback of exceptions.
func TestGlobalAddress(t *testing.T) {
	for _, called := range []bool{true, false} {
		insns := end()
		if called {
			insns = code(movImm(1, 7), callFn(2), end())
		}
		p := testProgram(code(insns, end()), bpf.InsnIndex(len(insns)))
		p.Type = bpf.Kprobe
		f := &p.Funcs[1]
		f.Global, f.ExceptionCB, f.Params = true, !called, []bpf.Param{{}}
		judged(t, "a number", p, verdict{"6.12": "", "7.3": ""})
		f.Address = true
		judged(t, "an address", p, verdict{"6.12": "doesn't return scalar", "7.3": "doesn't return scalar"})
	}
}

func movesTo(r uint8, v int32) []bpf.Insn { return code(movImm(r, v)) }

// TestGlobalFrames: since 7.2 the frames of a global function are counted from its own on.
func TestGlobalFrames(t *testing.T) {
	const depth = 20
	var insns []bpf.Insn
	var starts []bpf.InsnIndex
	for i := range depth {
		if i > 0 {
			starts = append(starts, bpf.InsnIndex(len(insns)))
		}
		if i+1 < depth {
			insns = append(insns, callFn(2))
		} else {
			insns = append(insns, mov(2, 10))
		}
		insns = append(insns, end()...)
	}
	for _, global := range []bool{true, false} {
		p := testProgram(insns, starts...)
		for i := 1; i < depth; i++ {
			p.Funcs[i].Global = global
		}
		want := verdict{"6.12": "too deep", "7.3": ""}
		if !global {
			want = verdict{"6.12": "8 frames deep", "7.3": "16 frames deep"}
		}
		judged(t, "a chain", p, want)
	}
}

// TestSocketOwners: since 7.3 maps of sockets are updated by programs only that have a socket to themselves.
func TestSocketOwners(t *testing.T) {
	maps := []bpf.Map{{Name: "socks", Type: bpf.SockMap, KeySize: 4, ValueSize: 4, MaxEntries: 1}}
	insns := code(storeB(10, -4, 0), ldMap(1, 0), onStack(2, -4), call(3), end())
	for typ, want := range map[bpf.ProgType]verdict{
		bpf.SchedCLS: {"6.12": "", "7.2": "", "7.3": "cannot pass map_type 15"}, bpf.XDP: {"7.3": "cannot pass map_type 15"},
		bpf.SkLookup: {"7.3": ""}, bpf.SockOps: {"7.3": ""},
	} {
		p := testProgram(insns)
		p.Type, p.Maps = typ, maps
		judged(t, typ.String(), p, want)
	}
}
