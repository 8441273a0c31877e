// SPDX-License-Identifier: GPL-2.0-only

package interp_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/emu/interp"
	"github.com/tcsim/tcsim/jit/bpf"
)

// self is a program that tail calls itself through key 0 and returns what it counted, the entries in
// slot 0.
func self() interp.Program {
	return prog("self", movX(6, 1), count(0), tail(0), ldVal(1, 0, 0), ldxDW(0, 1, 0), exit())
}

// hierarchy calls a subprogram n times; the subprogram tail calls the program again. It returns
// the number of entries, which is the number of taken tail calls plus 1.
func hierarchy(n int) interp.Program {
	var body []bpf.Insn
	for i := range n {
		body = append(body, movX(1, 6), callSub(int32(2*(n-1-i)+4)))
	}
	return prog("hierarchy", movX(6, 1), count(0), body, ldVal(1, 0, 0), ldxDW(0, 1, 0), exit(),
		movX(6, 1), tail(0), movK(0, 0), exit())
}

func TestClosedForms(t *testing.T) {
	loop := []interp.Slot{{Map: 1, Key: 0, Prog: 0}}
	for _, burn := range []bool{false, true} {
		for limit := range uint32(36) {
			rules := interp.Rules{Limit: limit, BurnEmpty: burn}
			want := uint64(limit)
			if limit == 0 {
				want = interp.DefaultLimit
			}
			for name, p := range map[string]interp.Program{
				"self": self(), "hierarchy1": hierarchy(1), "hierarchy2": hierarchy(2), "hierarchy3": hierarchy(3),
			} {
				m := newMachine(t, interp.Config{Programs: []interp.Program{p}, ProgArrays: loop, Rules: rules, MaxTaken: 7})
				res := run(t, m)
				if res.TakenTotal != want || slot(ioSlots(m), 0) != want+1 || len(res.Taken) > 7 {
					t.Errorf("%s, limit %d: %d taken, %d entries", name, limit, res.TakenTotal, slot(ioSlots(m), 0))
				}
				if name == "self" && res.Refused[interp.RefusedLimit] != 1 {
					t.Errorf("self, limit %d: refused %v", limit, res.Refused)
				}
			}
		}
	}
}

// TestGrowthLaw: with a counter in each frame, n calls and limit l, N+N^2+...+N^l tail calls
// are taken.
func TestGrowthLaw(t *testing.T) {
	for n := 1; n <= 4; n++ {
		want, power := uint64(0), uint64(1)
		for limit := uint32(1); limit <= 6; limit++ {
			power *= uint64(n)
			want += power
			m := newMachine(t, interp.Config{
				Programs: []interp.Program{hierarchy(n)}, ProgArrays: []interp.Slot{{Map: 1, Key: 0, Prog: 0}},
				Rules: interp.Rules{Limit: limit, PerFrame: true, BurnEmpty: true},
			})
			res := run(t, m)
			if res.TakenTotal != want {
				t.Errorf("%d calls, limit %d: %d taken, want %d", n, limit, res.TakenTotal, want)
			}
			if res.Frames != int(limit)+2 {
				t.Errorf("%d calls, limit %d: %d frames, want %d", n, limit, res.Frames, limit+2)
			}
		}
	}
}

// TestBudgetRules is tailcall_3 of the kernel's selftests: an empty slot is tried first.
func TestBudgetRules(t *testing.T) {
	for _, tt := range []struct {
		burn  bool
		taken uint64
	}{{false, 33}, {true, 32}} {
		entry := prog("entry", movX(6, 1), tail(1), tail(0), movK(0, 1), exit())
		m := newMachine(t, interp.Config{
			Programs: []interp.Program{entry, self()}, Rules: interp.Rules{BurnEmpty: tt.burn},
			ProgArrays: []interp.Slot{{Map: 1, Key: 0, Prog: 1}},
		})
		res := run(t, m)
		if res.TakenTotal != tt.taken || res.Refused[interp.RefusedEmpty] != 1 || res.Refused[interp.RefusedLimit] != 1 {
			t.Errorf("burn %v: %d taken, refused %v; want %d taken", tt.burn, res.TakenTotal, res.Refused, tt.taken)
		}
	}
}

func TestTailCallSequence(t *testing.T) {
	entry := prog("entry", movX(6, 1),
		callSub(7),         // 1: sub
		tail(8),            // 2-6: out of bounds
		movX(0, 7), exit(), // 7, 8
		movX(6, 1), tail(3), tail(2), movK(0, 5), exit(), // 9: sub: slot 3 is empty, slot 2 is leaf
	)
	entry.Funcs = []bpf.Func{{Name: "entry"}, {Name: "sub", Start: 9}}
	leaf := prog("leaf", movK(0, 1), exit())
	m := newMachine(t, interp.Config{Programs: []interp.Program{entry, leaf}, ProgArrays: []interp.Slot{{Map: 1, Key: 2, Prog: 1}}})
	var rec recorder
	m2 := newMachine(t, interp.Config{Programs: []interp.Program{entry, leaf}, Observer: &rec, ProgArrays: []interp.Slot{{Map: 1, Key: 2, Prog: 1}}})
	res, res2 := run(t, m), run(t, m2)
	if diff := cmp.Diff(res, res2); diff != "" {
		t.Errorf("an observer changes the result: %s", diff)
	}
	want := []interp.TailCall{
		{Outcome: interp.RefusedEmpty, Func: 1, Insn: 14, Map: 1, Key: 3, Target: -1, Depth: 1},
		{Outcome: interp.Taken, Func: 1, Insn: 19, Map: 1, Key: 2, Target: 1, Depth: 1, Count: 1},
		{Outcome: interp.RefusedBounds, Insn: 6, Map: 1, Key: 8, Target: -1, Count: 1},
	}
	if diff := cmp.Diff(want, rec.tails); diff != "" {
		t.Errorf("tail calls (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want[1:2], res.Taken); diff != "" {
		t.Errorf("Result.Taken (-want +got):\n%s", diff)
	}
	if res.Calls != 1 || res.Frames != 2 || res.Refused != [4]uint64{0, 1, 0, 1} {
		t.Errorf("result %+v", res)
	}
}

// TestWideIndex: the kernel uses the low half of the index (verifier_runtime_jit.c, >32-bit index).
func TestWideIndex(t *testing.T) {
	entry := prog("entry", ldMap(2, 1), ld64(3, 0, 0, 1), helper(12), movK(0, 7), exit())
	leaf := prog("leaf", movK(0, 42), exit())
	m := newMachine(t, interp.Config{Programs: []interp.Program{entry, leaf}, ProgArrays: []interp.Slot{{Map: 1, Key: 0, Prog: 1}}})
	if res := run(t, m); res.Return != 42 {
		t.Errorf("return %d, want 42", res.Return)
	}
}

// TestThrow: a tail-called program is an exception boundary of its own (progs/exceptions.c,
// exception_tail_call): main calls sub, which tail calls target, which throws 16 into main's caller side.
func TestThrow(t *testing.T) {
	throw := insn(0x85, 0, bpf.PseudoKfunc, 0, 0)
	target := prog("target", callSub(1), exit(), movK(1, 16), throw, movK(0, 1), exit())
	target.Kfuncs = []string{"bpf_throw"}
	entry := prog("entry", movX(6, 1), callSub(2), addK(0, 8), exit(), movX(6, 1), tail(0), movK(0, 50), exit())
	for _, tt := range []struct {
		callback int
		want     uint64
	}{{0, 24}, {2, 124}} {
		p := target
		if tt.callback != 0 {
			def := *target.Program
			def.Insns = append(def.Insns[:len(def.Insns):len(def.Insns)], movX(0, 1), addK(0, 100), exit())
			def.Funcs = []bpf.Func{{Name: "target"}, {Name: "sub", Start: 2}, {Name: "handler", Start: 6}}
			p.Program, p.ExceptionCallback = &def, tt.callback
		}
		m := newMachine(t, interp.Config{Programs: []interp.Program{entry, p}, ProgArrays: []interp.Slot{{Map: 1, Key: 0, Prog: 1}}})
		if res := run(t, m); res.Return != tt.want || res.Throws != 1 {
			t.Errorf("callback %d: return %d after %d throws, want %d", tt.callback, res.Return, res.Throws, tt.want)
		}
	}
}

func ExampleMachine_Run() {
	leaf := &bpf.Program{Name: "leaf", Insns: []bpf.Insn{{Op: bpf.OpMov, Imm: 42}, {Op: bpf.OpExit}}}
	entry := &bpf.Program{
		Name: "entry",
		Insns: []bpf.Insn{
			{Op: bpf.OpLdImm64, Dst: 2, Src: bpf.PseudoMap}, {}, // r2 = map[0]
			{Op: bpf.OpMov, Dst: 3, Imm: 1}, // r3 = 1
			{Op: bpf.OpCall, Imm: bpf.HelperTailCall},
			{Op: bpf.OpMov}, {Op: bpf.OpExit}, // return 0
		},
		Maps: []bpf.Map{{Type: bpf.ProgArray, KeySize: 4, ValueSize: 4, MaxEntries: 2}},
	}
	m, err := interp.New(interp.Config{
		Programs:   []interp.Program{{Program: entry}, {Program: leaf}},
		ProgArrays: []interp.Slot{{Map: 0, Key: 1, Prog: 1}},
	})
	if err != nil {
		panic(err)
	}
	res, err := m.Run(0, interp.SKB(nil))
	fmt.Println(res.Return, len(res.Taken), err)
	// Output: 42 1 <nil>
}
