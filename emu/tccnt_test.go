// SPDX-License-Identifier: GPL-2.0-only

package emu_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/emu/kernel"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/verify"
	"github.com/tcsim/tcsim/jit/x86"
)

// refused makes a program that tail calls slot key and, refused, leaves 0x77 in r4, which is rcx.
func refused(name string, key int32) *bpf.Program {
	return &bpf.Program{
		Name: name, Type: bpf.SchedCLS, Maps: []bpf.Map{{Name: "m", Type: bpf.ProgArray, KeySize: 4, ValueSize: 4, MaxEntries: 2}},
		Insns: []bpf.Insn{
			{Op: bpf.OpLdImm64, Dst: 2, Src: bpf.PseudoMap}, {}, {Op: bpf.OpMov, Dst: 3, Imm: key}, {Op: bpf.OpCall, Imm: bpf.HelperTailCall},
			{Op: bpf.OpMov, Dst: 4, Imm: 0x77}, {Op: bpf.OpMov, Imm: 5}, {Op: bpf.OpExit},
		},
		Funcs: []bpf.Func{{Name: name}},
	}
}

// ownMachine compiles programs for a target and loads them.
func ownMachine(t *testing.T, name string, ps ...*bpf.Program) (*emu.Machine, []*image.Image) {
	t.Helper()
	target, err := jit.TargetByName(name)
	if err != nil {
		t.Fatal(err)
	}
	plan := kernel.NewPlan(target.Offsets, ps[0].Maps)
	s := guest.Setup{Offsets: target.Offsets}
	for _, p := range ps {
		v, err := verify.Analyse(p, &target.Kernel)
		if err != nil {
			t.Fatal(err)
		}
		img, err := jit.Compile(v, target, plan)
		if err != nil {
			t.Fatal(err)
		}
		s.Images = append(s.Images, img)
	}
	s.Maps, s.Symbols, s.Routines = plan.Maps(), plan.Symbols(), plan.Routines()
	return newMachine(t, emu.Config{}, s), s.Images
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
		m, _ := ownMachine(t, name, refused("p", 0))
		ctx, err := m.WrapContext(guest.ContextAddr)
		if err != nil {
			t.Fatal(err)
		}
		res := run(t, m, emu.Run{Args: []uint64{uint64(ctx)}})
		if res.Return() != 5 || res.Regs[x86.RCX] != want {
			t.Errorf("%s: returned %d, rcx is %#x, want 5 and %#x", name, res.Return(), res.Regs[x86.RCX], want)
		}
	}
}

// TestCounterMemory: where the counter is if no program has it in its frame, and what it is after a
// run that counted once and one more program that did; the second resets it where it is shared.
func TestCounterMemory(t *testing.T) {
	cpu := guest.GSBase + 0x36000
	for _, c := range []struct {
		target string
		want   []guest.Span
		counts []byte
	}{
		{"6.12", nil, nil},
		{"hier-rfc2", nil, nil},
		{"hier-percpu", []guest.Span{{Addr: cpu, Size: 4}}, []byte{1}},
		{"hier-percpu-dec", []guest.Span{{Addr: cpu, Size: 4}}, []byte{32}},
		{"hier-task", []guest.Span{{Addr: guest.TaskAddr + 0xbd8, Size: 4}}, []byte{1}},
		{"hier-percpu-prog-a", []guest.Span{{Addr: guest.GSBase + 0x38000, Size: 4}, {Addr: guest.GSBase + 0x38040, Size: 4}}, []byte{1, 1}},
		{"hier-percpu-prog-b", []guest.Span{{Addr: guest.GSBase + 0x38000, Size: 4}, {Addr: guest.GSBase + 0x38040, Size: 4}}, []byte{1, 1}},
		{"hier-runctx", []guest.Span{{Addr: guest.EntryRSP + 24, Size: 4}}, []byte{1}},
	} {
		m, _ := ownMachine(t, c.target, refused("p", 0), refused("q", 0))
		if d := cmp.Diff(c.want, m.CounterMemory()); d != "" {
			t.Errorf("%s (-want +got)\n%s", c.target, d)
			continue
		}
		for i := range 2 {
			ctx, err := m.WrapContext(guest.ContextAddr)
			if err != nil {
				t.Fatal(err)
			}
			run(t, m, emu.Run{Image: i, Args: []uint64{uint64(ctx)}})
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
	p := kernel.NewPlan(offsets, testMaps)
	ask := func(k image.RoutineKind, limit uint32, program string) image.Addr {
		t.Helper()
		a, err := p.Routine(image.Routine{Kind: k, Limit: limit, Program: program})
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	a, b := ask(image.ProgramCounter, 0, "a"), ask(image.ProgramCounter, 0, "b")
	if a == b || a != ask(image.ProgramCounter, 0, "a") {
		t.Errorf("counters at %#x and %#x", uint64(a), uint64(b))
	}
	if ask(image.CPUFill, 33, "") == ask(image.CPUFill, 4, "") {
		t.Error("two limits, one routine")
	}
	ask(image.TaskAddr, 0, "")
	if p.Symbols()["current_task"] == 0 {
		t.Error("current_task is not placed")
	}
	if _, err := p.Routine(image.Routine{}); err == nil {
		t.Error("nothing is a routine")
	}
	seen := map[image.Addr]image.RoutineKind{}
	for _, k := range image.RoutineKinds() {
		a := ask(k, 0, "")
		if o, dup := seen[a]; dup {
			t.Errorf("%s and %s are at %#x", image.Routine{Kind: k}, image.Routine{Kind: o}, uint64(a))
		}
		seen[a] = k
	}
}

// TestInterrupted lets a program be interrupted, before its 20th tail call, by another one on the same
// CPU and in the same task. A counter that both use begins anew for the first.
func TestInterrupted(t *testing.T) {
	for name, want := range map[string]int{
		"6.1": 33, "6.12": 33, "hier-rfc2": 33, "hier-runctx": 33, "hier-percpu-prog-a": 33, "hier-percpu-prog-b": 33,
		"hier-percpu": 51, "hier-percpu-dec": 51, "hier-task": 51, // 19, and 32 after the other's one
	} {
		if got := interrupted(t, name); got != want {
			t.Errorf("%s: %d tail calls, want %d", name, got, want)
		}
	}
}

// interrupted returns how many tail calls p takes, which tail calls itself.
func interrupted(t *testing.T, name string) int {
	t.Helper()
	m, images := ownMachine(t, name, refused("p", 0), refused("q", 1))
	p := &images[0].Funcs[0]
	landing, _ := images[0].Landing()
	target, err := jit.TargetByName(name)
	check(t, err)
	plan, err := target.UpdatePlan(images[0].PokeSites(0, 0), 0, landing)
	check(t, err)
	for i := range plan {
		if s := &plan[i]; s.Kind == image.PatchText {
			check(t, m.WriteText(s.Addr, s.New[:]))
		}
	}
	ctx, err := m.WrapContext(guest.ContextAddr)
	check(t, err)
	if !p.Frame.RunCtx {
		ctx = guest.ContextAddr
	}
	var o log
	r := emu.Run{
		Args: []uint64{uint64(ctx)}, Level: emu.LevelRetired, Observer: &o,
		StopAddr: p.Addr + image.Addr(p.TailCalls[0].Start), StopHits: 20,
	}
	run(t, m, r)
	_, err = m.Interrupt(1, guest.ContextAddr)
	check(t, err)
	res, err := m.Continue(t.Context(), emu.Run{Level: emu.LevelRetired, Observer: &o, MaxInsns: 100000})
	check(t, err)
	if d := cmp.Diff([]uint64{5}, res.Interrupts); d != "" || res.Return() != 5 {
		t.Errorf("%s: returned %d; the interrupt (-want +got)\n%s", name, res.Return(), d)
	}
	taken := 0
	for _, s := range o.sites {
		if s.RIP == p.Addr+image.Addr(p.TailCalls[0].Jump) {
			taken++
		}
	}
	return taken
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
