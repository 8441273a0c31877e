// SPDX-License-Identifier: GPL-2.0-only

//go:build cgo

package check_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/check"
	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/emu/record"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/fixtures/golden"
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/image"
)

// feed hands records to a checker and keeps the sites.
type feed struct {
	ck      *check.Checker
	retired []record.Retired
	first   uint64
	sites   []record.Site
}

func (f *feed) Retired(b []record.Retired) bool {
	f.retired = b
	return false
}

func (f *feed) Sites(s []record.Site) bool {
	b := trace.Batch{First: f.first, Retired: f.retired, Sites: s}
	f.first += uint64(len(f.retired))
	f.retired = nil
	f.sites = append(f.sites, s...)
	return f.ck.Consume(b)
}

// The engine reports what testdata holds, and at both levels the verdict is the same.
func TestCapturedLive(t *testing.T) {
	for _, tt := range captured {
		t.Run(tt.name, func(t *testing.T) {
			for _, l := range []emu.Level{emu.LevelSites, emu.LevelRetired} {
				sites := live(t, tt.file, tt.scenario, l, tt.taken, tt.violation)
				path := filepath.Join("testdata", tt.name+".sites.json")
				b, err := json.Marshal(sites)
				if err != nil {
					t.Fatal(err)
				}
				b = append(bytes.ReplaceAll(b, []byte("},{"), []byte("},\n{")), '\n')
				golden.Check(t, path, string(b))
			}
		})
	}
}

// live runs a scenario's captured bytes and returns the sites up to the end or the violation.
func live(t *testing.T, file, name string, l emu.Level, taken uint64, violation string) []record.Site {
	t.Helper()
	src, sc, imgs := scenarioOf(t, file, name)
	code := capturedCode(t, imgs)
	target, err := jit.TargetFor(src.Header.Kernel)
	if err != nil {
		t.Fatal(err)
	}
	m, err := emu.New(emu.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	s := guest.Setup{Images: imgs, Symbols: src.Symbols.Addr, Offsets: target.Offsets, Marks: code.SiteAddrs()}
	s.Data = []guest.Region{{Addr: guest.ContextAddr, Bytes: make([]byte, 256)}}
	for _, mp := range sc.Maps {
		s.Maps = append(s.Maps, guest.MapSpec{Map: mp.Map, Addr: mp.Addr, ValueAddr: mp.ValueAddr})
	}
	for _, sl := range sc.ProgArrays {
		s.Slots = append(s.Slots, guest.Slot{Map: sl.Map, Key: sl.Key, Prog: sl.Prog})
	}
	if err := m.Load(s); err != nil {
		t.Fatal(err)
	}
	if err := m.UpdateElem(0, make([]byte, 4), ioValue(src, sc), guest.UpdateAny); err != nil {
		t.Fatal(err)
	}
	cfg := check.Config{StackTop: guest.StackTop, Junk: guest.Junk()}
	for i := range s.Maps {
		for _, r := range m.MapMemory(i) {
			cfg.Writable = append(cfg.Writable, check.Range{Lo: r.Addr, End: r.Addr + image.Addr(r.Size), Name: "map"})
		}
	}
	f := &feed{ck: check.New(code, trace.Config{}, cfg)}
	r := emu.Run{Args: []uint64{uint64(guest.ContextAddr)}, Level: l, Observer: f, MaxInsns: 1 << 20}
	if sc.Run != nil {
		r.Image = sc.Run.Prog
	}
	res, err := m.Run(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	f.ck.Finish()
	verdict(t, f.ck, taken, violation)
	if violation == "" && uint32(res.Return()) != sc.Run.Retval {
		t.Errorf("returned %#x, the kernel %#x", res.Return(), sc.Run.Retval)
	}
	sites := f.sites
	if v := f.ck.Violation(); v != nil {
		for i := range sites {
			if sites[i].Seq > v.Seq {
				return sites[:i+1] // one more shows that the jump was taken
			}
		}
	}
	return sites
}

// ioValue is the input of a captured run: fixtures/kernels/README.md, "maps".
func ioValue(src *capture.Source, sc *capture.Scenario) []byte {
	in := append([]uint64(nil), src.Header.DefaultInputs...)
	for _, x := range sc.Inputs {
		in[x.N] = x.Value
	}
	b := make([]byte, sc.Maps[0].ValueSize)
	for i, v := range in {
		binary.LittleEndian.PutUint64(b[256+8*i:], v)
	}
	return b
}
