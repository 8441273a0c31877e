// SPDX-License-Identifier: GPL-2.0-only

package emu_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/x86"
)

// refusedThen77 tail calls an empty slot and leaves 0x77 in r4, which is rcx.
func refusedThen77(name string) *jit.Program {
	return &jit.Program{
		Name: name, Type: jit.SchedCLS, Maps: []jit.Map{{Name: "m", Type: jit.ProgArray, KeySize: 4, ValueSize: 4, MaxEntries: 1}},
		Insns: []jit.Insn{
			{Op: 0x18, Dst: 2, Src: jit.PseudoMap}, {}, {Op: 0xb7, Dst: 3}, {Op: 0x85, Imm: jit.HelperTailCall},
			{Op: 0xb7, Dst: 4, Imm: 0x77}, {Op: 0xb7, Imm: 5}, {Op: 0x95},
		},
		Funcs: []jit.Func{{Name: name}},
	}
}

// ownMachine compiles programs for a target and loads them.
func ownMachine(t *testing.T, name string, ps ...*jit.Program) (*emu.Machine, *emu.Plan) {
	t.Helper()
	target, err := jit.TargetByName(name)
	if err != nil {
		t.Fatal(err)
	}
	plan := emu.NewPlan(target.Offsets, ps[0].Maps)
	s := emu.Setup{Offsets: target.Offsets}
	for _, p := range ps {
		v, err := jit.Analyse(p, target)
		if err != nil {
			t.Fatal(err)
		}
		img, err := jit.Compile(v, target, plan)
		if err != nil {
			t.Fatal(err)
		}
		s.Images = append(s.Images, img)
	}
	s.Maps, s.Symbols = plan.Maps(), plan.Symbols()
	return newMachine(t, emu.Config{}, s), plan
}

// TestReturnedCount runs a program on its own that counts one tail call. With the count handed back in
// rcx the outside caller finds it there instead of what the program left: the register that the mails
// call polluted.
func TestReturnedCount(t *testing.T) {
	for name, want := range map[string]uint64{
		"6.1": 0x77, "6.12": 0x77, "hier-runctx": 0x77, "hier-percpu": 0x77,
		"backprop-poke": 1 << 32, "backprop-check": 1 << 32, // the count is in the upper half
		"hier-rfc2": 1, // the prologue drops the counter into rcx
	} {
		m, _ := ownMachine(t, name, refusedThen77("p"))
		ctx, err := m.WrapContext(emu.ContextAddr)
		if err != nil {
			t.Fatal(err)
		}
		res := run(t, m, emu.Run{Args: [5]uint64{uint64(ctx)}})
		if res.Return() != 5 || res.Regs[x86.RCX] != want {
			t.Errorf("%s: returned %d, rcx is %#x, want 5 and %#x", name, res.Return(), res.Regs[x86.RCX], want)
		}
	}
}

// TestCounterMemory: where the counter is if no program has it in its frame, and what it is after a
// run that counted once and one more program that did; the second resets it where it is shared.
func TestCounterMemory(t *testing.T) {
	cpu := emu.GSBase + 0x36000
	for _, c := range []struct {
		target string
		want   []emu.Span
		counts []byte
	}{
		{"6.12", nil, nil},
		{"hier-rfc2", nil, nil},
		{"hier-percpu", []emu.Span{{Addr: cpu, Size: 4}}, []byte{1}},
		{"hier-percpu-dec", []emu.Span{{Addr: cpu, Size: 4}}, []byte{32}},
		{"hier-task", []emu.Span{{Addr: emu.TaskAddr + 0xbd8, Size: 4}}, []byte{1}},
		{"hier-percpu-prog-a", []emu.Span{{Addr: emu.GSBase + 0x38000, Size: 4}, {Addr: emu.GSBase + 0x38040, Size: 4}}, []byte{1, 1}},
		{"hier-percpu-prog-b", []emu.Span{{Addr: emu.GSBase + 0x38000, Size: 4}, {Addr: emu.GSBase + 0x38040, Size: 4}}, []byte{1, 1}},
		{"hier-runctx", []emu.Span{{Addr: emu.EntryRSP + 24, Size: 4}}, []byte{1}},
	} {
		m, _ := ownMachine(t, c.target, refusedThen77("p"), refusedThen77("q"))
		if d := cmp.Diff(c.want, m.CounterMemory()); d != "" {
			t.Errorf("%s (-want +got)\n%s", c.target, d)
			continue
		}
		for i := range 2 {
			ctx, err := m.WrapContext(emu.ContextAddr)
			if err != nil {
				t.Fatal(err)
			}
			run(t, m, emu.Run{Image: i, Args: [5]uint64{uint64(ctx)}})
		}
		for i, s := range c.want {
			var b [4]byte
			if err := m.ReadMemory(s.Addr, b[:]); err != nil {
				t.Fatal(err)
			}
			if b != [4]byte{c.counts[i]} {
				t.Errorf("%s: counter %d is % x, want %d", c.target, i, b, c.counts[i])
			}
		}
	}
}

// TestPlanCounters: the same program has the same counter, another one another; routines get what they
// use placed with them.
func TestPlanCounters(t *testing.T) {
	p := emu.NewPlan(offsets, testMaps)
	ask := func(name string) jit.Addr {
		t.Helper()
		a, err := p.Symbol(name)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	a, b := ask("bpf_prog_tail_call_cnt:a"), ask("bpf_prog_tail_call_cnt:b")
	if a == b || a != ask("bpf_prog_tail_call_cnt:a") {
		t.Errorf("counters at %#x and %#x", uint64(a), uint64(b))
	}
	if ask("bpf_tail_call_cnt_prepare.33") == ask("bpf_tail_call_cnt_prepare.4") {
		t.Error("two limits, one routine")
	}
	ask("bpf_task_tail_call_cnt_ptr")
	for _, n := range []string{"bpf_tail_call_cnt", "current_task"} {
		if p.Symbols()[n] == 0 {
			t.Errorf("%s is not placed", n)
		}
	}
	for _, n := range []string{"bpf_tail_call_cnt_prepare.", "bpf_tail_call_cnt_prepare.300", "bpf_tail_call_cnt_reset"} {
		if _, err := p.Symbol(n); err == nil {
			t.Errorf("%s is a symbol", n)
		}
	}
}
