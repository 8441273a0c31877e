// SPDX-License-Identifier: GPL-2.0-only

package emu_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/emu/helper"
	"github.com/tcsim/tcsim/emu/kernel"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// caller calls the helper at a planned address with the arguments of the run and returns what it
// returns; it stores the caller-saved registers and flags at [rbp-80] first.
func caller(t testing.TB, target image.Addr) *image.Image {
	t.Helper()
	prefix := code(t, "55 48 89 e5 48 83 ec 50") // push rbp; mov rbp, rsp; sub rsp, 80
	at := base + image.Addr(len(prefix))
	call := binary.LittleEndian.AppendUint32([]byte{0xe8}, uint32(target-at-5))
	suffix := code(t, `
		48 89 4d b0   // mov [rbp-80], rcx
		48 89 55 b8   // … rdx
		48 89 75 c0   // … rsi
		48 89 7d c8   // … rdi
		4c 89 45 d0   // … r8
		4c 89 4d d8   // … r9
		4c 89 55 e0   // … r10
		4c 89 5d e8   // … r11
		c9 c3`)
	return &image.Image{Funcs: []image.FuncImage{{Name: "caller", Addr: base, Code: slices.Concat(prefix, call, suffix)}}}
}

// helperMachine loads a program that calls helper number imm.
func helperMachine(t testing.TB, imm int32, maps ...bpf.Map) (*emu.Machine, *kernel.Plan) {
	t.Helper()
	p := kernel.NewPlan(offsets, maps)
	at, err := p.Helper(imm)
	if err != nil {
		t.Fatal(err)
	}
	return newMachine(t, emu.Config{Seed: 7}, guest.Setup{
		Images: []*image.Image{caller(t, at)}, Maps: p.Maps(), Symbols: p.Symbols(), Offsets: offsets,
		Packet: []byte("0123456789abcdefghij"),
		Data:   []guest.Region{{Addr: guest.ContextAddr, Bytes: make([]byte, 4096)}},
	}), p
}

func TestHelpersClobber(t *testing.T) {
	m, _ := helperMachine(t, 5)
	for _, l := range []emu.Level{emu.LevelNone, emu.LevelSites, emu.LevelRetired} {
		res := run(t, m, emu.Run{Level: l})
		if res.Return() != 60_000_000_107 {
			t.Errorf("time is %d", res.Return())
		}
		for i, r := range []x86.Reg{x86.RCX, x86.RDX, x86.RSI, x86.RDI, x86.R8, x86.R9, x86.R10, x86.R11} {
			v, err := m.ReadWord(guest.EntryRSP - 8 - 80 + image.Addr(8*i))
			if err != nil || v != guest.Junk()[r] {
				t.Errorf("%s is %#x after a helper, %v", r, v, err)
			}
		}
		want := []helper.Calls{{Name: "bpf_ktime_get_ns", Calls: 1, World: true}}
		if d := cmp.Diff(want, res.Helpers); d != "" {
			t.Error(d)
		}
	}
}

func TestRandomIsDeterministic(t *testing.T) {
	m, _ := helperMachine(t, 7)
	a, b := run(t, m, emu.Run{}), run(t, m, emu.Run{})
	other, _ := helperMachine(t, 7)
	c := run(t, other, emu.Run{})
	if a.Return() != b.Return() || a.Return() != c.Return() || a.Return() > 1<<32 || a.Return() == 0 {
		t.Errorf("%#x %#x %#x", a.Return(), b.Return(), c.Return())
	}
}

func TestUnknownHelper(t *testing.T) {
	m, _ := helperMachine(t, 50)
	for _, l := range []emu.Level{emu.LevelNone, emu.LevelSites, emu.LevelRetired} {
		_, err := m.Run(context.Background(), emu.Run{Level: l})
		var f *emu.Fault
		if !errors.As(err, &f) || f.Kind != emu.FaultHelper || f.Name != "bpf_skb_adjust_room" || !strings.Contains(err.Error(), "bpf_skb_adjust_room: helper is not modelled") {
			t.Errorf("level %d: %v", l, err)
		}
	}
}

// TestNamespacePID asks for a namespace that is not there: the buffer is zeroed as far as the program says it reaches, and no further.
func TestNamespacePID(t *testing.T) {
	for _, size := range []uint64{4, 8, 12} {
		m, _ := helperMachine(t, 120)
		at := put(t, m, 0, slices.Repeat([]byte{0xab}, 16))
		res := run(t, m, emu.Run{Args: []uint64{1, 2, at, size}})
		got := make([]byte, 16)
		if err := m.ReadMemory(image.Addr(at), got); err != nil {
			t.Fatal(err)
		}
		want := append(make([]byte, size), slices.Repeat([]byte{0xab}, 16-int(size))...)
		if int64(res.Return()) != -22 || !slices.Equal(got, want) {
			t.Errorf("%d bytes: %d, % x", size, int64(res.Return()), got)
		}
	}
}

// put stores values at the context, where helpers find their arguments.
func put(t testing.TB, m *emu.Machine, off int, b []byte) uint64 {
	t.Helper()
	at := guest.ContextAddr + image.Addr(off)
	if err := m.WriteMemory(at, b); err != nil {
		t.Fatal(err)
	}
	return uint64(at)
}

func key32(n uint32) []byte { return binary.LittleEndian.AppendUint32(nil, n) }
func key64(n uint64) []byte { return binary.LittleEndian.AppendUint64(nil, n) }

var testMaps = []bpf.Map{
	{Name: "array", Type: bpf.ArrayMap, KeySize: 4, ValueSize: 12, MaxEntries: 3},
	{Name: "hash", Type: bpf.HashMap, KeySize: 8, ValueSize: 8, MaxEntries: 2},
	{Name: "percpu", Type: bpf.PerCPUArrayMap, KeySize: 4, ValueSize: 8, MaxEntries: 2},
	{Name: "progs", Type: bpf.ProgArray, KeySize: 4, ValueSize: 4, MaxEntries: 2},
}

// TestMapHelpers updates by program and reads by user space, and the other way round.
func TestMapHelpers(t *testing.T) {
	for i, g := range testMaps[:3] {
		t.Run(g.Name, func(t *testing.T) {
			key := append(key32(1), make([]byte, g.KeySize-4)...)
			value := slices.Repeat([]byte{0xab}, int(g.ValueSize))
			update, p := helperMachine(t, 2, testMaps...)
			addr, err := p.MapAddr(i)
			if err != nil {
				t.Fatal(err)
			}
			args := []uint64{uint64(addr), put(t, update, 0, key), put(t, update, 16, value), 0}
			if res := run(t, update, emu.Run{Args: args}); res.Return() != 0 {
				t.Fatalf("update returns %d", int64(res.Return()))
			}
			got, err := update.LookupElem(i, key)
			if err != nil || !slices.Equal(got, value) {
				t.Errorf("% x, %v", got, err)
			}

			lookup, _ := helperMachine(t, 1, testMaps...)
			args = []uint64{uint64(addr), put(t, lookup, 0, key)}
			empty := run(t, lookup, emu.Run{Args: args})
			if (empty.Return() == 0) != (g.Type == bpf.HashMap) {
				t.Errorf("lookup of an empty map returns %#x", empty.Return())
			}
			if err := lookup.UpdateElem(i, key, value, guest.UpdateAny); err != nil {
				t.Fatal(err)
			}
			res := run(t, lookup, emu.Run{Args: args})
			mem := make([]byte, g.ValueSize)
			if err := lookup.ReadMemory(image.Addr(res.Return()), mem); err != nil || !slices.Equal(mem, value) {
				t.Errorf("value at %#x is % x, %v", res.Return(), mem, err)
			}
			if err := lookup.Reset(); err != nil {
				t.Fatal(err)
			}
			put(t, lookup, 0, key)
			if res := run(t, lookup, emu.Run{Args: args}); res.Return() != empty.Return() {
				t.Errorf("after Reset the lookup returns %#x", res.Return())
			}
		})
	}
}

// TestMapRules are the results of kernel/bpf/arraymap.c and hashtab.c.
func TestMapRules(t *testing.T) {
	m, _ := helperMachine(t, 3, testMaps...)
	v := make([]byte, 12)
	for _, c := range []struct {
		name string
		got  error
		want error
	}{
		{"array any", m.UpdateElem(0, key32(2), v, guest.UpdateAny), nil},
		{"array exist", m.UpdateElem(0, key32(2), v, guest.UpdateExist), nil},
		{"array noexist", m.UpdateElem(0, key32(2), v, guest.UpdateNoExist), guest.EEXIST},
		{"array range", m.UpdateElem(0, key32(3), v, guest.UpdateAny), guest.E2BIG},
		{"array delete", m.DeleteElem(0, key32(1)), guest.EINVAL},
		{"array flags", m.UpdateElem(0, key32(1), v, 3), guest.EINVAL},
		{"hash exist", m.UpdateElem(1, key64(5), v[:8], guest.UpdateExist), guest.ENOENT},
		{"hash delete absent", m.DeleteElem(1, key64(5)), guest.ENOENT},
		{"hash noexist", m.UpdateElem(1, key64(5), v[:8], guest.UpdateNoExist), nil},
		{"hash noexist again", m.UpdateElem(1, key64(5), v[:8], guest.UpdateNoExist), guest.EEXIST},
		{"hash second", m.UpdateElem(1, key64(6), v[:8], guest.UpdateAny), nil},
		{"hash full", m.UpdateElem(1, key64(7), v[:8], guest.UpdateAny), guest.E2BIG},
		{"hash full, old key", m.UpdateElem(1, key64(5), v[:8], guest.UpdateAny), nil},
		{"hash delete", m.DeleteElem(1, key64(5)), nil},
		{"hash room again", m.UpdateElem(1, key64(7), v[:8], guest.UpdateAny), nil},
	} {
		if !errors.Is(c.got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, c.got, c.want)
		}
	}
	if _, err := m.LookupElem(1, key64(5)); !errors.Is(err, guest.ENOENT) {
		t.Errorf("deleted key: %v", err)
	}
	for _, err := range []error{
		m.UpdateElem(0, key64(1), v, 0), m.UpdateElem(0, key32(1), v[:3], 0), m.UpdateElem(9, key32(1), v, 0),
		m.UpdateElem(3, key32(1), v[:4], 0), m.SetSlot(3, 2, 0), m.SetSlot(0, 0, 0), m.SetSlot(3, 0, 1),
	} {
		var e guest.Errno
		if err == nil || errors.As(err, &e) {
			t.Errorf("bad use: %v", err)
		}
	}
}

func TestPacketHelpers(t *testing.T) {
	m, _ := helperMachine(t, 26)
	dst := uint64(guest.ContextAddr) + 64
	res := run(t, m, emu.Run{Args: []uint64{uint64(guest.ContextAddr), 4, dst, 6}})
	b := make([]byte, 8)
	if err := m.ReadMemory(image.Addr(dst), b); err != nil || res.Return() != 0 || string(b) != "456789\x00\x00" {
		t.Errorf("%d, %q, %v", res.Return(), b, err)
	}
	res = run(t, m, emu.Run{Args: []uint64{uint64(guest.ContextAddr), 15, dst, 6}})
	if err := m.ReadMemory(image.Addr(dst), b); err != nil || int64(res.Return()) != -14 || string(b) != "\x00\x00\x00\x00\x00\x00\x00\x00" {
		t.Errorf("beyond the packet: %d, %q, %v", int64(res.Return()), b, err)
	}
	if _, err := m.Run(context.Background(), emu.Run{Args: []uint64{uint64(guest.ContextAddr), 0, 64, 6}}); err == nil {
		t.Error("a store to nowhere is no fault")
	}
}

func TestTracePrintk(t *testing.T) {
	m, _ := helperMachine(t, 6)
	f := "n=%d u=%u x=%lx\n\x00"
	fmtAddr := put(t, m, 0, []byte(f))
	minus := int64(-5)
	res := run(t, m, emu.Run{Args: []uint64{fmtAddr, uint64(len(f)), uint64(minus), 7, 1 << 40}})
	want := fmt.Sprintf("n=-5 u=7 x=%x\n", 1<<40)
	if len(res.Printk) != 1 || res.Printk[0] != want || res.Return() != uint64(len(want)) {
		t.Errorf("%q, %d", res.Printk, res.Return())
	}
	for f, want := range map[string]string{ // arguments 1<<40, 3, 65; "" is -EINVAL
		"a %016llx b %02x\n": "a 0000010000000000 b 03\n",
		"%-20lld|%+d|% d":    "1099511627776       |+3| 65",
		"%d %4X %-4x|":       "0    3 41  |",
		"%lu%%%3u%5c":        "1099511627776%  3    A",
		"%e":                 "", "%.3d": "", "%": "", "%q": "", "%hd": "", "%d%d%d%d": "",
	} {
		res := run(t, m, emu.Run{Args: []uint64{put(t, m, 0, []byte(f+"\x00")), uint64(len(f) + 1), 1 << 40, 3, 0x41}})
		switch {
		case want == "" && int64(res.Return()) != -22:
			t.Errorf("%q: returned %d, expected -EINVAL", f, int64(res.Return()))
		case want != "" && (len(res.Printk) != 1 || res.Printk[0] != want):
			t.Errorf("%q: %q, expected %q", f, res.Printk, want)
		}
	}
}
