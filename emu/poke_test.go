// SPDX-License-Identifier: GPL-2.0-only

package emu_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/fixtures"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/image"
)

func TestPatchWhileStopped(t *testing.T) {
	m := newMachine(t, emu.Config{}, guest.Setup{Images: []*image.Image{program(t, base, loop)}})
	r := emu.Run{Level: emu.LevelRetired, Args: []uint64{1000}, StopAddr: base + 2, StopHits: 100}
	for range 3 {
		if res := run(t, m, r); res.Stop != emu.StopAddr || res.Return() != 99*3 {
			t.Fatalf("%v with %d", res.Stop, res.Return())
		}
		if err := m.WriteText(base+5, []byte{5}); err != nil {
			t.Fatal(err)
		}
		res, err := m.Continue(context.Background(), emu.Run{Level: emu.LevelRetired})
		if want := uint64(99*3 + 901*5); err != nil || res.Return() != want || res.Retired != 3002 {
			t.Fatalf("%d after %d instructions, want %d: %v", res.Return(), res.Retired, want, err)
		}
		if err := m.Reset(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWriteTextRefuses(t *testing.T) {
	m := newMachine(t, emu.Config{}, guest.Setup{Images: []*image.Image{program(t, base, loop)}})
	for _, at := range []image.Addr{0, guest.EntryRSP, base + 4094, guest.TaskAddr} {
		if m.WriteText(at, []byte{1, 2, 3, 4}) == nil {
			t.Errorf("text at %#x", uint64(at))
		}
	}
	if m.WriteMemory(base, []byte{1}) == nil {
		t.Error("text was written as data")
	}
	if m.WriteMemory(guest.StackTop-2, []byte{1, 2, 3}) == nil {
		t.Error("the guard page was written")
	}
}

// TestMarkedPatch: a marked place that changes between a nop and a jump, as the last instruction
// of a direct tail call does, is recorded alike at both levels.
func TestMarkedPatch(t *testing.T) {
	img := program(t, base, `
		31 c0             // xor eax, eax
		0f 1f 44 00 00    // nop, or jmp +1
		90                // nop
		ff c0             // inc eax
		c3`)
	m := newMachine(t, emu.Config{}, guest.Setup{Images: []*image.Image{img}, Marks: []image.Addr{base + 2, base + 8}})
	for i := range 40 {
		jump := i/2%2 == 1
		patch := code(t, "0f 1f 44 00 00")
		if jump {
			patch = code(t, "e9 01 00 00 00")
		}
		if err := m.WriteText(base+2, patch); err != nil {
			t.Fatal(err)
		}
		level := emu.LevelSites
		if i%3 == 0 {
			level = emu.LevelRetired
		}
		var o log
		res := run(t, m, emu.Run{Level: level, Observer: &o})
		prev, seq, retired := base+7, uint64(3), uint64(5)
		if jump {
			prev, seq, retired = base+2, 2, 4
		}
		if len(o.sites) != 2 || o.sites[0].RIP != base+2 || o.sites[0].Seq != 1 || o.sites[0].Prev != base ||
			o.sites[1].RIP != base+8 || o.sites[1].Seq != seq || o.sites[1].Prev != prev || res.Retired != retired {
			t.Fatalf("run %d, jump %v: %d retired, %+v", i, jump, res.Retired, o.sites)
		}
	}
}

// TestPokedCapture turns what the kernel had before a prog array was filled into what it had
// afterwards, by our poke plans on live code.
func TestPokedCapture(t *testing.T) {
	src, err := capture.OpenFS(fixtures.FS, "kernels/6.12-off.jsonl.gz", "6.12-off")
	if err != nil {
		t.Fatal(err)
	}
	m := newMachine(t, emu.Config{}, guest.Setup{})
	target, err := jit.TargetByName("6.12")
	if err != nil {
		t.Fatal(err)
	}
	poked := 0
	for sc, err := range src.All() {
		if err != nil {
			t.Fatal(err)
		}
		if sc.Run == nil || sc.Run.Skipped != "" || !strings.HasPrefix(sc.Name, "tail/main/const") && sc.Category != "hier" {
			continue
		}
		poked += pokeScenario(t, m, src, sc, target)
	}
	if poked < 200 {
		t.Errorf("%d text patches", poked)
	}
}

func pokeScenario(t *testing.T, m *emu.Machine, src *capture.Source, sc *capture.Scenario, target *jit.Target) (poked int) {
	t.Helper()
	s, err := captured(src, sc)
	if err != nil {
		t.Fatal(err)
	}
	s.Slots = nil
	for p, img := range s.Images {
		for f := range img.Funcs {
			img.Funcs[f].Code = sc.Progs[p].Funcs[f].Code(capture.Empty)
		}
	}
	if err := m.Load(s); err != nil {
		t.Fatal(err)
	}
	if err := inputs(m, src, sc); err != nil {
		t.Fatal(err)
	}
	if err := m.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	r := emu.Run{Image: sc.Run.Prog, Args: []uint64{uint64(guest.ContextAddr)}, Level: emu.LevelSites}
	before := run(t, m, r)
	if err := m.Reset(); err != nil {
		t.Fatal(err)
	}
	for _, sl := range sc.ProgArrays {
		poked += fill(t, m, s.Images, sc, sl, target)
	}
	for p, img := range s.Images {
		for f := range img.Funcs {
			want := sc.Progs[p].Funcs[f].Code(capture.Populated)
			got := make([]byte, len(want))
			if err := m.ReadMemory(img.Funcs[f].Addr, got); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: program %d function %d differs from the kernel's", sc.Name, p, f)
			}
		}
	}
	res := run(t, m, r)
	if err := compare(m, sc, &res); err != nil {
		t.Errorf("%s: %v", sc.Name, err)
	}
	if err := m.Reset(); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(before, run(t, m, r)); d != "" {
		t.Errorf("%s: emptied again:\n%s", sc.Name, d)
	}
	return poked
}

// fill puts a program into a slot. The constant keys stand in the capture, as the code does not say
// them.
func fill(t *testing.T, m *emu.Machine, images []*image.Image, sc *capture.Scenario, sl capture.Slot, target *jit.Target) int {
	t.Helper()
	landing, ok := images[sl.Prog].Landing()
	if !ok {
		t.Fatalf("%s: program %d is no target", sc.Name, sl.Prog)
	}
	n := 0
	for p, img := range images {
		for i := range img.Funcs {
			f := &img.Funcs[i]
			for j := range f.TailCalls {
				site := f.PokeSite(&f.TailCalls[j])
				if !f.TailCalls[j].Direct || pokedTo(sc, p, i, f, &f.TailCalls[j]) != landing {
					continue
				}
				plan, err := target.UpdatePlan([]image.PokeSite{site}, 0, landing)
				if err != nil {
					t.Fatal(err)
				}
				n += apply(t, m, plan)
			}
		}
	}
	if err := m.SetSlot(sl.Map, sl.Key, sl.Prog); err != nil {
		t.Fatal(err)
	}
	return n
}

// pokedTo returns where the kernel had the site jump when the slots were filled, 0 for nowhere.
func pokedTo(sc *capture.Scenario, p, fn int, f *image.FuncImage, s *image.TailCallSite) image.Addr {
	b := sc.Progs[p].Funcs[fn].Code(capture.Populated)[s.Jump:]
	if b[0] != 0xe9 {
		return 0
	}
	next := f.Addr + image.Addr(s.Jump) + image.PokeSize
	return next + image.Addr(int64(int32(binary.LittleEndian.Uint32(b[1:]))))
}

func apply(t *testing.T, m *emu.Machine, plan []image.Patch) (n int) {
	t.Helper()
	for i := range plan {
		p := &plan[i]
		if p.Kind != image.PatchText {
			continue
		}
		var b [image.PokeSize]byte
		if err := m.ReadMemory(p.Addr, b[:]); err != nil {
			t.Fatal(err)
		}
		if r := p.Apply(b[:]); r != image.PokeChanged && r != image.PokeAlready {
			// Two slots with the same program: the first has done it.
			if !bytes.Equal(b[:], p.New[:]) {
				t.Fatalf("patch at %#x: %s", uint64(p.Addr), r)
			}
			continue
		}
		if err := m.WriteText(p.Addr, b[:]); err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

// TestParallel runs machines in parallel goroutines with every kind of change between runs.
func TestParallel(t *testing.T) {
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			_, s := chain(t, "21 00 00 00")
			m := newMachine(t, emu.Config{Seed: uint64(g)}, s)
			for i := range 300 {
				var o count
				res, err := m.Run(context.Background(), emu.Run{Level: emu.Level(1 + (i/10+g)%2), Observer: &o})
				if err != nil || res.Retired != 949 || o.sites != 36 {
					t.Errorf("machine %d, run %d: %d instructions, %d sites, %v", g, i, res.Retired, o.sites, err)
					return
				}
				if err := m.Reset(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// BenchmarkParallel compares one machine with as many as there are processors.
func BenchmarkParallel(b *testing.B) {
	rate := func(machines int) float64 {
		var wg sync.WaitGroup
		ready, done := make(chan struct{}), make([]int, machines)
		stop := time.Now().Add(300 * time.Millisecond)
		for g := range machines {
			_, s := chain(b, "21 00 00 00")
			m := newMachine(b, emu.Config{}, s)
			wg.Go(func() {
				<-ready
				for time.Now().Before(stop) {
					res, err := m.Run(context.Background(), emu.Run{Level: emu.LevelRetired, Observer: &count{}})
					if err != nil {
						b.Error(err)
						return
					}
					done[g] += int(res.Retired)
					if err := m.Reset(); err != nil {
						b.Error(err)
					}
				}
			})
		}
		close(ready)
		wg.Wait()
		total := 0
		for _, n := range done {
			total += n
		}
		return float64(total) / 0.3
	}
	var one, two float64
	for b.Loop() {
		one += rate(1)
		two += rate(2)
	}
	b.ReportMetric(two/one, "two/one")
}
