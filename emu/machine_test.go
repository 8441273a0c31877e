// SPDX-License-Identifier: GPL-2.0-only

package emu_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/emu/record"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
)

// offsets are those of 6.12.
var offsets = kernels.Offsets{MapMaxEntries: 0x24, ArrayPtrs: 0x108, ProgBPFFunc: 0x30}

// code reads hex with blanks; the part of each line after // is dropped.
func code(t testing.TB, text string) []byte {
	t.Helper()
	var b strings.Builder
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "//")
		b.WriteString(strings.Join(strings.Fields(line), ""))
	}
	out, err := hex.DecodeString(b.String())
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// program is an image of one function at an address.
func program(t testing.TB, at image.Addr, text string) *image.Image {
	t.Helper()
	return &image.Image{Funcs: []image.FuncImage{{Name: "prog", Addr: at, Code: code(t, text)}}}
}

func newMachine(t testing.TB, cfg emu.Config, s guest.Setup) *emu.Machine {
	t.Helper()
	m, err := emu.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	if s.Offsets == (kernels.Offsets{}) {
		s.Offsets = offsets
	}
	if err := m.Load(s); err != nil {
		t.Fatal(err)
	}
	return m
}

// log keeps what a run records.
type log struct {
	retired []record.Retired
	sites   []record.Site
	limit   int // stop after so many instructions
}

func (l *log) Retired(b []record.Retired) bool {
	l.retired = append(l.retired, b...)
	return l.limit != 0 && len(l.retired) >= l.limit
}

func (l *log) Sites(b []record.Site) bool {
	l.sites = append(l.sites, b...)
	return false
}

func run(t testing.TB, m *emu.Machine, r emu.Run) emu.Result {
	t.Helper()
	res, err := m.Run(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

const base = guest.TextBase

// loop returns what its argument counts down to.
const loop = `
	31 c0                // xor eax, eax
	48 83 c0 03          // add rax, 3
	48 ff cf             // dec rdi
	75 f7                // jne -9
	c3                   // ret`

func TestRunReturnsAtEveryLevel(t *testing.T) {
	m := newMachine(t, emu.Config{}, guest.Setup{Images: []*image.Image{program(t, base+0x19d4, loop)}})
	for _, l := range []emu.Level{emu.LevelNone, emu.LevelSites, emu.LevelRetired, emu.LevelNone} {
		var o log
		res := run(t, m, emu.Run{Level: l, Args: []uint64{1000}, Observer: &o})
		if res.Stop != emu.StopReturn || res.Return() != 3000 || res.RIP != guest.OutsideReturn {
			t.Errorf("level %d: %v at %#x, rax %d", l, res.Stop, res.RIP, res.Return())
		}
		if want := uint64(1 + 3*1000 + 1); l != emu.LevelNone && res.Retired != want {
			t.Errorf("level %d: %d retired, want %d", l, res.Retired, want)
		}
		if l == emu.LevelRetired && len(o.retired) != int(res.Retired) {
			t.Errorf("%d records of %d instructions", len(o.retired), res.Retired)
		}
		if got := res.Regs[4]; got != uint64(guest.EntryRSP+8) {
			t.Errorf("level %d: rsp %#x after the return", l, got)
		}
	}
}

func TestEffectiveAddresses(t *testing.T) {
	m := newMachine(t, emu.Config{}, guest.Setup{
		Images: []*image.Image{program(t, base, `
			55                         // push rbp
			48 89 e5                   // mov rbp, rsp
			48 89 7d f8                // mov [rbp-8], rdi
			48 c7 c1 02 00 00 00       // mov rcx, 2
			48 8b 44 cd e8             // mov rax, [rbp+rcx*8-0x18]
			48 8b 15 f9 ff ff ff       // mov rdx, [rip-7]
			65 48 8b 14 25 18 9a 01 00 // mov rdx, gs:[0x19a18]
			48 8d 44 24 08             // lea rax, [rsp+8]
			0f 1f 44 00 00             // nop [rax+rax]
			e8 02 00 00 00             // call +2
			c9                         // leave
			c3                         // ret
			48 89 d0                   // mov rax, rdx
			c3                         // ret`)},
		Symbols: map[string]image.Addr{"this_cpu_off": 0x19a18},
	})
	var o log
	res := run(t, m, emu.Run{Level: emu.LevelRetired, Observer: &o, Args: []uint64{7}})
	if res.Return() != uint64(guest.GSBase) {
		t.Errorf("this_cpu_off reads %#x", res.Return())
	}
	rbp := guest.EntryRSP - 8
	var got []image.Addr
	for _, r := range o.retired {
		got = append(got, r.EA)
	}
	want := []image.Addr{
		rbp, 0, rbp - 8, 0, rbp - 8, base + 0x14 + 7 - 7, guest.GSBase + 0x19a18, 0, 0,
		rbp - 8, 0, rbp - 8, rbp, guest.EntryRSP,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// pair calls a leaf in a loop.
const pair = `
	55                   // push rbp
	48 89 e5             // mov rbp, rsp
	6a 05                // push 5
	bb 03 00 00 00       // mov ebx, 3
	e8 06 00 00 00       // call leaf
	ff cb                // dec ebx
	75 f7                // jne -9
	c9                   // leave
	c3                   // ret
	48 8b 45 f8          // leaf: mov rax, [rbp-8]
	48 ff 45 f8          // inc qword [rbp-8]
	c3                   // ret`

func pairImage(t testing.TB) *image.Image {
	f := program(t, base+0x40, pair).Funcs[0]
	f.Calls = []image.CallSite{{Off: 11, Target: base + 0x40 + 22, Func: 0}}
	f.Frame.Counter = image.Counter{Form: image.CounterValue, Off: -8, Size: 8}
	return &image.Image{Funcs: []image.FuncImage{f}}
}

func TestSitesAgreeBetweenLevels(t *testing.T) {
	img := pairImage(t)
	at := img.Funcs[0].Addr
	all := []image.Addr{at, at + 6, at + 11, at + 16, at + 18, at + 20, at + 21, at + 22, at + 26, at + 30}
	for _, cfg := range []emu.Config{{}, {PortableRegisters: true}} {
		for _, marks := range [][]image.Addr{nil, all} {
			m := newMachine(t, cfg, guest.Setup{Images: []*image.Image{img}, Marks: marks})
			var a, b log
			ra := run(t, m, emu.Run{Level: emu.LevelSites, Observer: &a})
			rb := run(t, m, emu.Run{Level: emu.LevelRetired, Observer: &b})
			if d := cmp.Diff(b.sites, a.sites); d != "" {
				t.Errorf("retired, then sites:\n%s", d)
			}
			if ra.Retired != rb.Retired || ra.Sites != rb.Sites || ra.Regs != rb.Regs {
				t.Errorf("results differ: %+v %+v", ra, rb)
			}
		}
	}
}

func TestSiteRecord(t *testing.T) {
	m := newMachine(t, emu.Config{}, guest.Setup{Images: []*image.Image{pairImage(t)}})
	var o log
	res := run(t, m, emu.Run{Level: emu.LevelSites, Observer: &o})
	if !m.Direct() {
		t.Error("the engine's registers were not found")
	}
	if res.Sites != 8 || len(o.sites) != 8 {
		t.Fatalf("%d sites, %d delivered", res.Sites, len(o.sites))
	}
	at := base + 0x40
	var rips []image.Addr
	for _, s := range o.sites {
		rips = append(rips, s.RIP-at)
	}
	if d := cmp.Diff([]image.Addr{0, 11, 30, 11, 30, 11, 30, 21}, rips); d != "" {
		t.Error(d)
	}
	rbp := guest.EntryRSP - 8
	second := o.sites[3] // second call
	if second.Counter != 6 || second.CounterAddr != rbp-8 || second.RBX != 2 || second.RBP != rbp ||
		second.RSP != rbp-8 || second.Stack != [2]uint64{6, uint64(guest.OutsideRBP)} || second.Prev != at+18 || second.Seq != 10 {
		t.Errorf("second call: %+v", second)
	}
	ret := o.sites[2]
	if ret.Stack[0] != uint64(at+16) || ret.RSP != rbp-16 || ret.Seq != 7 || ret.Prev != at+26 {
		t.Errorf("first return: %+v", ret)
	}
}

func TestStopAndContinue(t *testing.T) {
	m := newMachine(t, emu.Config{}, guest.Setup{Images: []*image.Image{program(t, base, loop)}})
	ctx := context.Background()
	var whole log
	run(t, m, emu.Run{Level: emu.LevelRetired, Args: []uint64{3000}, Observer: &whole})
	for _, n := range []uint64{1, 2, 4095, 4096, 4097, 9000} {
		var o log
		r := emu.Run{Level: emu.LevelRetired, Args: []uint64{3000}, Observer: &o, StopSeq: n}
		res := run(t, m, r)
		if res.Stop != emu.StopSeq || res.Retired != n || res.RIP != whole.retired[n].RIP {
			t.Fatalf("stop at %d: %v at %#x after %d", n, res.Stop, res.RIP, res.Retired)
		}
		r.StopSeq = 0
		res, err := m.Continue(ctx, r)
		if err != nil || res.Return() != 9000 {
			t.Fatalf("continue at %d: rax %d, %v", n, res.Return(), err)
		}
		if !slices.Equal(whole.retired, o.retired) {
			t.Errorf("stopped at %d: another stream of %d", n, len(o.retired))
		}
	}
	res := run(t, m, emu.Run{Level: emu.LevelRetired, Args: []uint64{3000}, StopAddr: base + 6, StopHits: 100})
	if res.Stop != emu.StopAddr || res.RIP != base+6 || res.Regs[0] != 300 {
		t.Errorf("%v at %#x, rax %d", res.Stop, res.RIP, res.Regs[0])
	}
	if res, err := m.Continue(ctx, emu.Run{Level: emu.LevelRetired}); err != nil || res.Return() != 9000 {
		t.Errorf("continue: rax %d, %v", res.Return(), err)
	}
}

// TestContinueAfterBudget: a run whose budget was raised again and again is the run without one.
func TestContinueAfterBudget(t *testing.T) {
	_, s := chain(t, "21 00 00 00")
	m := newMachine(t, emu.Config{}, s)
	for _, l := range []emu.Level{emu.LevelSites, emu.LevelRetired} {
		var whole, parts log
		want := run(t, m, emu.Run{Level: l, Observer: &whole})
		res := run(t, m, emu.Run{Level: l, Observer: &parts, MaxInsns: 1})
		for n := uint64(1); res.Stop == emu.StopInsns && n < 2000; n += 17 {
			var err error
			if res, err = m.Continue(context.Background(), emu.Run{Level: l, Observer: &parts, MaxInsns: n}); err != nil {
				t.Fatal(err)
			}
		}
		if d := cmp.Diff(want, res); d != "" {
			t.Errorf("level %d: %s", l, d)
		}
		if !slices.Equal(whole.sites, parts.sites) || !slices.Equal(whole.retired, parts.retired) {
			t.Errorf("level %d: the records differ", l)
		}
		if _, err := m.Continue(context.Background(), emu.Run{Level: l}); err == nil {
			t.Error("continued after the end")
		}
	}
}

func TestBudgets(t *testing.T) {
	m := newMachine(t, emu.Config{}, guest.Setup{Images: []*image.Image{program(t, base, "eb fe")},
		Marks: []image.Addr{base}})
	for _, c := range []struct {
		run  emu.Run
		want emu.Stop
	}{
		{emu.Run{Level: emu.LevelRetired, MaxInsns: 12345}, emu.StopInsns},
		{emu.Run{Level: emu.LevelSites, MaxInsns: 12345}, emu.StopInsns},
		{emu.Run{Level: emu.LevelRetired, MaxEvents: 2000}, emu.StopEvents},
		{emu.Run{Level: emu.LevelSites, MaxEvents: 2000}, emu.StopEvents},
		{emu.Run{Level: emu.LevelRetired, Observer: &log{limit: 100}}, emu.StopObserver},
	} {
		res := run(t, m, c.run)
		if res.Stop != c.want {
			t.Errorf("%+v: %v", c.run, res.Stop)
		}
		if c.run.MaxInsns != 0 && res.Retired != c.run.MaxInsns || c.run.MaxEvents != 0 && res.Sites != c.run.MaxEvents {
			t.Errorf("%+v: %d instructions, %d sites", c.run, res.Retired, res.Sites)
		}
	}
	for _, l := range []emu.Level{emu.LevelNone, emu.LevelSites, emu.LevelRetired} {
		ctx, cancel := context.WithCancel(context.Background())
		go cancel()
		if _, err := m.Run(ctx, emu.Run{Level: l}); !errors.Is(err, context.Canceled) {
			t.Errorf("level %d: %v", l, err)
		}
	}
}

func TestReset(t *testing.T) {
	img := program(t, base, `
		48 89 07             // mov [rdi], rax
		48 89 7c 24 f8       // mov [rsp-8], rdi
		b8 01 00 00 00       // mov eax, 1
		c3                   // ret`)
	data := bytes.Repeat([]byte{0xa1}, 3*4096)
	m := newMachine(t, emu.Config{}, guest.Setup{Images: []*image.Image{img},
		Data: []guest.Region{{Addr: guest.ContextAddr, Bytes: data}}})
	dump := func() []byte {
		t.Helper()
		b := make([]byte, len(data)+4096)
		if err := errors.Join(m.ReadMemory(guest.ContextAddr, b[4096:]), m.ReadMemory(guest.StackTop-4096, b[:4096])); err != nil {
			t.Fatal(err)
		}
		return b
	}
	before := dump()
	for i := range 50 {
		at := uint64(guest.ContextAddr) + uint64(i%3)*4096 + 8*uint64(i)
		if i%7 == 0 {
			if err := m.WriteText(base+9, []byte{byte(i)}); err != nil {
				t.Fatal(err)
			}
		}
		run(t, m, emu.Run{Args: []uint64{at}, Level: emu.Level(i % 3)})
		if bytes.Equal(before, dump()) {
			t.Fatal("nothing was written")
		}
		if err := m.Reset(); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(before, dump()) {
			t.Fatalf("run %d: memory differs after Reset", i)
		}
		if res := run(t, m, emu.Run{Args: []uint64{at}}); res.Return() != 1 {
			t.Fatalf("run %d: text differs after Reset: %d", i, res.Return())
		}
		if err := m.Reset(); err != nil {
			t.Fatal(err)
		}
	}
}
