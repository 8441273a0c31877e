// SPDX-License-Identifier: GPL-2.0-only

package emu_test

import (
	"encoding/binary"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/emu/kernel"
	"github.com/tcsim/tcsim/fixtures"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/verify"
)

var _ image.Env = (*kernel.Plan)(nil)

// TestPlan: addresses are the same whatever was asked before, and nothing overlaps.
func TestPlan(t *testing.T) {
	a, b := kernel.NewPlan(offsets, testMaps), kernel.NewPlan(offsets, testMaps)
	names := []string{"__x86_indirect_thunk_rcx", "its_return_thunk", "this_cpu_off", "__htab_map_lookup_elem", "jiffies"}
	for _, p := range []*kernel.Plan{a, b} {
		for _, n := range names {
			if _, err := p.Symbol(n); err != nil {
				t.Error(err)
			}
		}
		slices.Reverse(names)
		for _, size := range []int{1, 63, 64, 65, 5000} {
			if _, err := p.Place(0, size, 0); err != nil {
				t.Error(err)
			}
		}
	}
	if d := cmp.Diff(a.Symbols(), b.Symbols()); d != "" {
		t.Errorf("the order of questions matters:\n%s", d)
	}
	addrs := slices.Sorted(maps.Values(a.Symbols()))
	if len(addrs) != len(names) || len(slices.Compact(addrs)) != len(names) {
		t.Errorf("%d addresses of %d symbols: %x", len(addrs), len(names), addrs)
	}
	end := image.Addr(0)
	for size := 1; size < 300; size += 7 {
		at, err := a.Place(0, size, 0)
		if err != nil || at < end+64 || at%64 != 0 || at < guest.TextBase {
			t.Fatalf("%d bytes at %#x after %#x: %v", size, uint64(at), uint64(end), err)
		}
		end = at + image.Addr(size)
	}
	for _, m := range a.Maps() {
		if m.Addr == 0 || (m.ValueAddr == 0) != (m.Type != bpf.ArrayMap) {
			t.Errorf("map %+v", m)
		}
	}
}

func TestPlanRefuses(t *testing.T) {
	p := kernel.NewPlan(offsets, testMaps)
	_, noSymbol := p.Symbol("no_such_symbol")
	_, noHelper := p.Helper(100000)
	_, noMap := p.MapAddr(len(testMaps))
	_, noValue := p.MapValue(1)
	_, noSize := p.Place(0, 0, 0)
	_, tooLarge := p.Place(0, 1<<30, 0)
	for i, err := range []error{noSymbol, noHelper, noMap, noValue, noSize, tooLarge} {
		if err == nil {
			t.Errorf("question %d is answered", i)
		}
	}
}

// TestOwnCode runs our JIT's code of a captured program at planned addresses, for every kernel
// whose captures there are: each stops after 33 tail calls.
func TestOwnCode(t *testing.T) {
	src, err := capture.OpenFS(fixtures.FS, "kernels/6.1-off.jsonl.gz", "6.1-off")
	if err != nil {
		t.Fatal(err)
	}
	table, ran := src.Symbols.Table(), 0
	for sc, err := range src.All() {
		if err != nil {
			t.Fatal(err)
		}
		if sc.Name != "tail/self/var/stack0/callee1111" && sc.Name != "tail/self/var/stack128/callee0000" {
			continue
		}
		for _, name := range []string{"5.10", "6.1", "6.12", "6.18", "7.2"} {
			target, err := jit.TargetByName(name)
			if err != nil {
				t.Fatal(err)
			}
			xlated, err := sc.Xlated(0, &src.Header, table)
			if err != nil {
				t.Fatal(err)
			}
			ran++
			if taken := ownTaken(t, xlated, target); taken != 33 {
				t.Errorf("%s on %s: %d tail calls", sc.Name, name, taken)
			}
		}
	}
	if ran != 10 {
		t.Errorf("%d programs", ran)
	}
}

// ownTaken compiles and runs a program that tail calls itself through map 1 and counts its entries
// in the first word of map 0.
func ownTaken(t *testing.T, p *bpf.Program, target *jit.Target) uint64 {
	t.Helper()
	v, err := verify.Analyse(p, &target.Kernel)
	if err != nil {
		t.Fatal(err)
	}
	plan := kernel.NewPlan(target.Offsets, p.Maps)
	img, err := jit.Compile(v, target, plan)
	if err != nil {
		t.Fatal(err)
	}
	m := newMachine(t, emu.Config{}, guest.Setup{
		Images: []*image.Image{img}, Maps: plan.Maps(), Symbols: plan.Symbols(), Offsets: target.Offsets,
		Slots: []guest.Slot{{Map: 1, Key: 0, Prog: 0}},
	})
	jumps := 0
	var o log
	run(t, m, emu.Run{Level: emu.LevelSites, Observer: &o})
	for _, s := range o.sites {
		if s.RIP == img.Funcs[0].Addr+image.Addr(img.Funcs[0].TailCalls[0].Jump) {
			jumps++
		}
	}
	out, err := m.LookupElem(0, make([]byte, 4))
	if err != nil {
		t.Fatal(err)
	}
	if entries := binary.LittleEndian.Uint64(out); entries != uint64(jumps)+1 {
		t.Errorf("%s: %d entries, %d jumps seen", target.Name, entries, jumps)
	}
	return uint64(jumps)
}
