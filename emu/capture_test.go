// SPDX-License-Identifier: GPL-2.0-only

package emu_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/fixtures"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/recognise"
)

// field is a field of a context structure.
type field struct {
	off, size int
	value     uint64
}

func fields(size int, f ...field) []byte {
	b := make([]byte, size)
	for _, x := range f {
		var v [8]byte
		binary.LittleEndian.PutUint64(v[:], x.value)
		copy(b[x.off:], v[:x.size])
	}
	return b
}

// skb612 is what the captures of 6.12 read of struct sk_buff; the offsets stand in their xlated
// programs (isa/ctx/skb).
//
// pulled bytes of the packet lie before the data: a socket filter begins after the link layer
// header.
func skb612(packet, pulled int) []byte {
	head := uint64(guest.PacketAddr)
	data := head + uint64(pulled)
	packet -= pulled
	return fields(0x200,
		field{0x10, 8, uint64(guest.DeviceAddr)},   // dev
		field{0x50, 8, data + uint64(packet)},      // data_end, in the control block
		field{0x70, 4, uint64(packet)},             // len
		field{0xb4, 2, 0x0008},                     // protocol
		field{0xc8, 8, head}, field{0xd0, 8, data}, // head, data
	)
}

// xdp is struct xdp_buff (include/net/xdp.h).
func xdp(packet int) []byte {
	data := uint64(guest.PacketAddr)
	return fields(0x80, field{0, 8, data}, field{8, 8, data + uint64(packet)}, field{16, 8, data},
		field{24, 8, data}, field{32, 8, uint64(guest.DeviceAddr) + 0x400})
}

// captured turns a scenario of 6.12 into a setup.
func captured(src *capture.Source, sc *capture.Scenario) (guest.Setup, error) {
	s := guest.Setup{Offsets: offsets, Packet: src.Header.RunData, Symbols: maps.Clone(src.Symbols.Addr)}
	for i := range sc.Progs {
		p := &sc.Progs[i]
		var funcs []image.FuncImage
		for j := range p.Funcs {
			f := &p.Funcs[j]
			funcs = append(funcs, image.FuncImage{Name: f.Name, Addr: f.Addr, Code: f.Code(capture.Populated)})
		}
		img, err := recognise.RecogniseImage(funcs)
		if err != nil {
			return s, err
		}
		s.Images = append(s.Images, img)
		for _, r := range p.Refs[capture.Empty] {
			if r.Kind == "gs" && r.Sym == "" {
				s.Symbols["this_cpu_off"] = r.Target // 6.18 does not name it
			}
		}
		if at := jiffies(p); at != 0 {
			s.Symbols["jiffies"] = at
		}
	}
	for _, m := range sc.Maps {
		s.Maps = append(s.Maps, guest.MapSpec{Map: m.Map, Addr: m.Addr, ValueAddr: m.ValueAddr})
	}
	for _, sl := range sc.ProgArrays {
		s.Slots = append(s.Slots, guest.Slot{Map: sl.Map, Key: sl.Key, Prog: sl.Prog})
	}
	ctx := skb612(len(s.Packet), 0)
	switch sc.ProgType {
	case bpf.SocketFilter:
		ctx = skb612(len(s.Packet), 14)
	case bpf.XDP:
		ctx = xdp(len(s.Packet))
	}
	s.Data = []guest.Region{{Addr: guest.ContextAddr, Bytes: ctx}, {Addr: guest.DeviceAddr, Bytes: fields(0x800, field{0x400, 8, uint64(guest.DeviceAddr)})}}
	return s, nil
}

// jiffies finds the constant that an inlined bpf_jiffies64 (helper 118) loads from.
func jiffies(p *capture.Prog) image.Addr {
	for _, m := range p.InsnMap {
		if in := p.Insns[m.Insn]; in.Op == 0x85 && in.Src == 0 && in.Imm == 118 {
			x := p.Xlated[m.Xlated:]
			return image.Addr(uint64(uint32(x[0].Imm)) | uint64(uint32(x[1].Imm))<<32)
		}
	}
	return 0
}

// inputs fills the io map.
func inputs(m *emu.Machine, src *capture.Source, sc *capture.Scenario) error {
	v := make([]byte, sc.Maps[0].ValueSize)
	for n, x := range src.Header.DefaultInputs {
		binary.LittleEndian.PutUint64(v[8*(32+n):], x)
	}
	for _, in := range sc.Inputs {
		binary.LittleEndian.PutUint64(v[8*(32+in.N):], in.Value)
	}
	return m.UpdateElem(0, make([]byte, 4), v, guest.UpdateAny)
}

// compare says how a run differs from the kernel's.
func compare(m *emu.Machine, sc *capture.Scenario, res *emu.Result) error {
	if uint32(res.Return()) != sc.Run.Retval || res.Stop != emu.StopReturn {
		return fmt.Errorf("%v with %d, the kernel returned %d", res.Stop, uint32(res.Return()), sc.Run.Retval)
	}
	v, err := m.LookupElem(0, make([]byte, 4))
	if err != nil {
		return err
	}
	for n := range 32 {
		want := uint64(0)
		if n < len(sc.Run.Out) {
			want = sc.Run.Out[n]
		}
		if got := binary.LittleEndian.Uint64(v[8*n:]); got != want {
			return fmt.Errorf("output %d is %#x, the kernel's %#x", n, got, want)
		}
	}
	return nil
}

// capturedKernels are the offsets by release (fixtures/kernels/README.md).
var capturedKernels = []struct {
	name     string
	offsets  kernels.Offsets
	variants []string
}{
	{"5.10", kernels.Offsets{MapMaxEntries: 0x24, ArrayPtrs: 0x110, ProgBPFFunc: 0x30}, []string{"off", "default", "amd", "lfence"}},
	{"6.1", kernels.Offsets{MapMaxEntries: 0x24, ArrayPtrs: 0x110, ProgBPFFunc: 0x30},
		[]string{"off", "default", "amd", "lfence", "retp-ret"}},
	{"6.12", offsets, []string{"off", "default", "amd", "lfence", "retp-ret", "stuff", "nobmi2"}},
	{"6.18", kernels.Offsets{MapMaxEntries: 0x4c, ArrayPtrs: 0x138, ProgBPFFunc: 0x48}, []string{"host"}},
	{"7.2", kernels.Offsets{MapMaxEntries: 0x4c, ArrayPtrs: 0x130, ProgBPFFunc: 0x48},
		[]string{"off", "default", "amd", "its-eibrs", "retp-ret", "stuff", "nobmi2"}},
}

// TestCaptured runs what kernels emitted, in one machine per file, and expects what they returned:
// everything without mitigations, and with them what shows thunks, maps and tail calls.
func TestCaptured(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	for _, k := range capturedKernels {
		for _, v := range k.variants {
			t.Run(k.name+"-"+v, func(t *testing.T) {
				whole := v == "off" || v == "host"
				captureFile(t, k.name+"-"+v, k.offsets, func(sc *capture.Scenario) bool {
					return whole || sc.Category == "tail" || sc.Category == "hier" || strings.HasPrefix(sc.Name, "isa/map/") ||
						strings.HasPrefix(sc.Name, "isa/call/")
				})
			})
		}
	}
}

func captureFile(t *testing.T, name string, o kernels.Offsets, want func(*capture.Scenario) bool) {
	src, err := capture.OpenFS(fixtures.FS, "kernels/"+name+".jsonl.gz", name)
	if err != nil {
		t.Fatal(err)
	}
	m := newMachine(t, emu.Config{}, guest.Setup{})
	total, same, world := 0, 0, 0
	for sc, err := range src.All() {
		if err != nil {
			t.Fatal(err)
		}
		if sc.Error != "" || sc.Run == nil || sc.Run.Skipped != "" || sc.Run.Error != "" || !want(sc) ||
			slices.ContainsFunc(sc.Progs, func(p capture.Prog) bool { return p.LoadError != "" }) { // not JITed
			continue
		}
		total++
		level := emu.Level(total % 3)
		res, err := replay(m, src, sc, o, level)
		for _, h := range res.Helpers {
			if h.World {
				world++
				break
			}
		}
		if err != nil {
			t.Errorf("%s (level %d): %v", sc.Name, level, err)
			continue
		}
		same++
	}
	t.Logf("%d of %d as the kernel, %d of them call helpers that depend on the world", same, total, world)
	if total < 150 {
		t.Errorf("only %d scenarios were run", total)
	}
}

// replay runs one scenario and compares.
func replay(m *emu.Machine, src *capture.Source, sc *capture.Scenario, o kernels.Offsets, l emu.Level) (res emu.Result, err error) {
	s, err := captured(src, sc)
	if err != nil {
		return res, err
	}
	s.Offsets = o
	if err := m.Load(s); err != nil {
		return res, err
	}
	if err := inputs(m, src, sc); err != nil {
		return res, err
	}
	r := emu.Run{Image: sc.Run.Prog, Args: []uint64{uint64(guest.ContextAddr)}, Level: l, Observer: &count{}}
	res, err = m.Run(context.Background(), r)
	if err == nil {
		err = compare(m, sc, &res)
	}
	return res, err
}

// TestCapturedSites: both recording levels say the same of every captured tail call and hierarchy.
func TestCapturedSites(t *testing.T) {
	const name = "kernels/6.12-off.jsonl.gz"
	src, err := capture.OpenFS(fixtures.FS, name, name)
	if err != nil {
		t.Fatal(err)
	}
	m := newMachine(t, emu.Config{}, guest.Setup{})
	scenarios, sites := 0, uint64(0)
	for sc, err := range src.All() {
		if err != nil {
			t.Fatal(err)
		}
		if sc.Run == nil || sc.Run.Skipped != "" || sc.Category == "isa" || testing.Short() && scenarios > 100 {
			continue
		}
		scenarios++
		s, err := captured(src, sc)
		if err != nil {
			t.Fatal(err)
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
		var logs [2]log
		var res [2]emu.Result
		for i, l := range []emu.Level{emu.LevelSites, emu.LevelRetired} {
			r := emu.Run{Image: sc.Run.Prog, Args: []uint64{uint64(guest.ContextAddr)}, Level: l, Observer: &logs[i]}
			res[i] = run(t, m, r)
			if err := compare(m, sc, &res[i]); err != nil {
				t.Errorf("%s: level %d: %v", sc.Name, l, err)
			}
			if err := m.Reset(); err != nil {
				t.Fatal(err)
			}
		}
		if d := cmp.Diff(res[1], res[0]); d != "" {
			t.Errorf("%s: results at retired and sites level:\n%s", sc.Name, d)
		}
		if !slices.Equal(logs[0].sites, logs[1].sites) {
			t.Errorf("%s: sites differ:\n%s", sc.Name, cmp.Diff(logs[1].sites, logs[0].sites))
		}
		if n := uint64(len(logs[0].sites)); n == 0 || n != res[0].Sites || uint64(len(logs[1].retired)) != res[1].Retired {
			t.Errorf("%s: %d sites, %d instructions of %+v", sc.Name, n, len(logs[1].retired), res)
		}
		sites += res[0].Sites
	}
	t.Logf("%d scenarios, %d sites", scenarios, sites)
}
