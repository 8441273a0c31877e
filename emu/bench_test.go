// SPDX-License-Identifier: GPL-2.0-only

package emu_test

import (
	"context"
	"testing"
	"time"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/emu/record"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
)

// count is an observer that only counts.
type count struct{ retired, sites int }

func (c *count) Retired(b []record.Retired) bool { c.retired += len(b); return false }
func (c *count) Sites(b []record.Site) bool      { c.sites += len(b); return false }

// chain is a program of the hier-6.12 design that tail calls itself through slot 0: the limit is
// n. Its map is map 0 at mapAddr.
func chain(t testing.TB, limit string) (*image.Image, guest.Setup) {
	t.Helper()
	img := program(t, base, `
		0f 1f 44 00 00                // nop
		48 31 c0                      // xor rax, rax
		55                            // push rbp
		48 89 e5                      // mov rbp, rsp
		48 81 ec 08 00 00 00          // landing: sub rsp, 8
		48 3d `+limit+`               // cmp rax, limit
		77 06                         // ja +6
		50                            // push rax
		48 89 e0                      // mov rax, rsp
		eb 01                         // jmp +1
		50                            // push rax
		50                            // push rax
		53                            // push rbx
		48 89 fb                      // mov rbx, rdi
		48 be 00 00 00 04 81 88 ff ff // movabs rsi, map
		31 d2                         // xor edx, edx
		89 d2                         // mov edx, edx
		39 56 24                      // cmp [rsi+0x24], edx
		76 41                         // jbe out
		48 8b 85 e8 ff ff ff          // mov rax, [rbp-24]
		48 81 38 `+limit+`            // cmp qword [rax], limit
		73 31                         // jae out
		48 8b 8c d6 08 01 00 00       // mov rcx, [rsi+rdx*8+0x108]
		48 85 c9                      // test rcx, rcx
		74 24                         // je out
		48 83 00 01                   // add qword [rax], 1
		5b                            // pop rbx
		58                            // pop rax
		58                            // pop rax
		48 81 c4 08 00 00 00          // add rsp, 8
		48 8b 49 30                   // mov rcx, [rcx+0x30]
		48 83 c1 0c                   // add rcx, 12
		ff e1                         // jmp rcx
		cc cc cc cc cc cc cc cc cc cc cc cc
		31 c0                         // out: xor eax, eax
		5b                            // pop rbx
		c9                            // leave
		c3                            // ret`)
	f := &img.Funcs[0]
	out := image.CodeOff(len(f.Code) - 5)
	f.TailCalls = []image.TailCallSite{{Start: 0x33, End: out, Map: 0, Bounds: 0x38, Limit: 0x48,
		Null: 0x55, Bump: 0x57, Unwind: 0x5b, Jump: 0x6d, Bypass: -1}}
	f.Frame.Counter = image.Counter{Form: image.CounterPtr, Off: -24, Size: 8}
	f.Frame.Landing = 12
	return img, guest.Setup{
		Images: []*image.Image{img}, Offsets: offsets,
		Maps:  []guest.MapSpec{{Map: bpf.Map{Type: bpf.ProgArray, KeySize: 4, ValueSize: 4, MaxEntries: 1}, Addr: 0xffff888104000000}},
		Slots: []guest.Slot{{Map: 0, Key: 0, Prog: 0}},
	}
}

func TestChain(t *testing.T) {
	_, s := chain(t, "21 00 00 00")
	m := newMachine(t, emu.Config{}, s)
	var a, b log
	ra := run(t, m, emu.Run{Level: emu.LevelSites, Observer: &a})
	rb := run(t, m, emu.Run{Level: emu.LevelRetired, Observer: &b})
	taken := 0
	for i, x := range a.sites {
		if x != b.sites[i] {
			t.Errorf("site %d: %+v, %+v", i, x, b.sites[i])
		}
		if x.RIP == base+0x6d {
			taken++
			if x.Counter != uint64(taken) {
				t.Errorf("tail call %d: counter %d at %#x", taken, x.Counter, uint64(x.CounterAddr))
			}
		}
	}
	end := a.sites[len(a.sites)-2]
	if taken != 33 || ra.Retired != rb.Retired || end.Prev != base+0x48 || end.Counter != 33 {
		t.Errorf("%d taken, %d and %d retired, last %+v", taken, ra.Retired, rb.Retired, end)
	}
	t.Logf("%d instructions, %d sites", rb.Retired, rb.Sites)
}

// BenchmarkLevels runs a long chain of tail calls at each level in turn and prints the ratios of the
// best times.
func BenchmarkLevels(b *testing.B) {
	_, s := chain(b, "40 0d 03 00") // 200,000
	m := newMachine(b, emu.Config{}, s)
	best := [3]time.Duration{1 << 62, 1 << 62, 1 << 62}
	var insns uint64
	for b.Loop() {
		for l := emu.LevelNone; l <= emu.LevelRetired; l++ {
			for range 2 { // the first time code is translated
				begin := time.Now()
				insns = max(insns, run(b, m, emu.Run{Level: l, Observer: &count{}}).Retired)
				best[l] = min(best[l], time.Since(begin))
				if err := m.Reset(); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	for l, name := range []string{"bare", "sites", "retired"} {
		b.ReportMetric(float64(insns)/best[l].Seconds()/1e6, name+"-Minsn/s")
	}
	b.ReportMetric(best[0].Seconds()/best[1].Seconds(), "sites/bare")
	b.ReportMetric(best[0].Seconds()/best[2].Seconds(), "retired/bare")
}

// BenchmarkNew opens and closes a machine.
func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		m, err := emu.New(emu.Config{})
		if err != nil {
			b.Fatal(err)
		}
		if err := m.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkReplay33 is a scenario of 33 tail calls with Reset in between, at each level.
func BenchmarkReplay33(b *testing.B) {
	_, s := chain(b, "21 00 00 00")
	for l, name := range []string{"bare", "sites", "retired"} {
		b.Run(name, func(b *testing.B) {
			m := newMachine(b, emu.Config{}, s)
			ctx, o := context.Background(), &count{}
			for b.Loop() {
				if _, err := m.Run(ctx, emu.Run{Level: emu.Level(l), Observer: o}); err != nil {
					b.Fatal(err)
				}
				if err := m.Reset(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "replays/s")
		})
	}
}

// BenchmarkLoad33 loads the scenario anew for every replay.
func BenchmarkLoad33(b *testing.B) {
	_, s := chain(b, "21 00 00 00")
	m := newMachine(b, emu.Config{}, s)
	for b.Loop() {
		if err := m.Load(s); err != nil {
			b.Fatal(err)
		}
		run(b, m, emu.Run{Level: emu.LevelSites, Observer: &count{}})
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "replays/s")
}
