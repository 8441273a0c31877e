// SPDX-License-Identifier: GPL-2.0-only

package live_test

import (
	"testing"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/verify/live"
	"github.com/tcsim/tcsim/jit/verify/shape"
)

var (
	store = bpf.Insn{Op: bpf.ClassSTX | bpf.ModeMem | bpf.SizeDW, Dst: 10, Src: 1, Off: -8}
	load  = bpf.Insn{Op: bpf.ClassLDX | bpf.ModeMem | bpf.SizeDW, Dst: 1, Src: 10, Off: -8}
	exit  = bpf.Insn{Op: bpf.OpExit}
)

func jump(off int16) bpf.Insn { return bpf.Insn{Op: bpf.ClassJmp | bpf.JmpEq, Dst: 1, Off: off} }

// one is a program of one function, followed from its start.
func one(insns ...bpf.Insn) *live.Call {
	return live.New(insns, []shape.FuncInfo{{Start: 0, End: bpf.InsnIndex(len(insns))}}).Root(0)
}

func expect(t *testing.T, c *live.Call, frame int, want ...uint64) {
	t.Helper()
	c.Update()
	for i, w := range want {
		if got := c.Before(frame, bpf.InsnIndex(i), nil); got != w {
			t.Errorf("before instruction %d: slots %#x, want %#x", i, got, w)
		}
	}
}

// TestEdges: what is read after a jump that no path took matters before it, unless it is written on the way.
func TestEdges(t *testing.T) {
	c := one(jump(1), store, load, exit)
	c.Read(0, 2, 1)
	expect(t, c, 0, 1, 1, 1, 0) // the store was not met yet
	c.Write(0, 1)
	c.Commit(1)
	expect(t, c, 0, 1, 0, 1, 0)
}

// TestCertain: what an instruction writes on one visit only does not hide what is read later.
func TestCertain(t *testing.T) {
	c := one(store, load, exit)
	c.Read(0, 1, 3)
	c.Write(0, 1)
	c.Commit(0)
	expect(t, c, 0, 2, 3, 0)
	c.Write(0, 2)
	c.Commit(0)
	expect(t, c, 0, 3, 3, 0)
	c.Write(0, 1)
	c.Forget() // it was not done
	c.Commit(0)
	expect(t, c, 0, 3, 3, 0)
}

func TestLoop(t *testing.T) {
	c := one(load, store, jump(-3), exit)
	c.Read(0, 0, 1)
	c.Write(0, 1)
	c.Commit(1)
	expect(t, c, 0, 1, 0, 1, 0)
}

// TestCalls: what a function does with the stack of its caller is what the call does, of each call on its own.
func TestCalls(t *testing.T) {
	call := func(to int32) bpf.Insn { return bpf.Insn{Op: bpf.OpCall, Src: bpf.PseudoCall, Imm: to} }
	insns := []bpf.Insn{call(2), call(1), exit, store, load, exit}
	main := live.New(insns, []shape.FuncInfo{{Start: 0, End: 3}, {Start: 3, End: 6}}).Root(0)
	first, second := main.Inner(1, 0), main.Inner(1, 1)
	if first == second || main.Inner(1, 0) != first {
		t.Fatal("calls are mixed up")
	}
	second.Read(0, 4, 1)
	second.Update()
	expect(t, main, 0, 1, 1, 0)
	first.Write(0, 1)
	first.Commit(3)
	first.Update()
	expect(t, main, 0, 0, 1, 0)
	if got := second.Before(0, 3, []bpf.InsnIndex{2}); got != 1 {
		t.Errorf("in the second call: slots %#x", got)
	}
	if got := first.Before(0, 4, []bpf.InsnIndex{1}); got != 1 { // as the second call reads it
		t.Errorf("in the first call: slots %#x", got)
	}
	if got := first.Before(1, 4, []bpf.InsnIndex{1}); got != 0 {
		t.Errorf("of the function's own: slots %#x", got)
	}
}

// TestThrow: nothing comes after a call that ends the function and does not return.
func TestThrow(t *testing.T) {
	c := one(load, bpf.Insn{Op: bpf.OpCall, Src: bpf.PseudoKfunc})
	c.Read(0, 0, 1)
	c.Commit(1)
	expect(t, c, 0, 1, 0, 0) // nor is anything read where such a call would return to
}

// TestNone: kernels without it have nil.
func TestNone(t *testing.T) {
	var s *live.Stacks
	c := s.Root(0)
	c.Write(0, 1)
	c.Forget()
	c.Commit(0)
	c.Update()
	if c != nil || c.Inner(0, 0) != nil || c.Before(0, 0, nil) != 0 {
		t.Error("nil knows something")
	}
}
