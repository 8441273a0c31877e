// SPDX-License-Identifier: GPL-2.0-only

package emu_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/jit/image"
)

const stackBottom = guest.StackTop - 16<<10

func TestFaults(t *testing.T) {
	cases := []struct {
		name, code string
		kind       emu.FaultKind
		rip        image.Addr // offset
		access     uint64
		write      bool
		retired    uint64
	}{
		{"read", "90 48 8b 47 08 c3", emu.FaultAccess, 1, 8, false, 1},
		{"write", "90 48 89 47 08 c3", emu.FaultAccess, 1, 8, true, 1},
		{"kernel read", "48 b8 00 00 00 00 00 88 ff ff 48 8b 40 10 c3", emu.FaultAccess, 10, 0xffff880000000010, false, 1},
		{"add", "90 48 83 47 08 01 c3", emu.FaultAccess, 1, 8, true, 1},
		{"text is read-only", "48 8d 05 f9 ff ff ff c6 00 90 c3", emu.FaultAccess, 7, uint64(base), true, 1},
		{"jump to nothing", "31 c0 ff e0", emu.FaultFetch, 0, 0, false, 2},
		{"jump to data", "54 58 ff e0", emu.FaultFetch, 0, 0, false, 3},
		{"recursion", "e8 fb ff ff ff", emu.FaultGuard, 0, uint64(stackBottom) - 8, true, 16*1024/8 - 6},
		{"large frame", "48 81 ec 00 60 00 00 50 c3", emu.FaultGuard, 7, uint64(guest.EntryRSP) - 0x6008, true, 1},
		{"above the stack", "48 8b 44 24 30 c3", emu.FaultGuard, 0, uint64(guest.StackTop), false, 0},
		{"int3", "90 cc c3", emu.FaultBreak, 1, 0, false, 1},
		{"ud2", "90 0f 0b c3", emu.FaultDecode, 1, 0, false, 1},
		{"undecodable", "90 06 c3", emu.FaultDecode, 1, 0, false, 1},
		{"divide", "31 ff 31 d2 f7 f7 c3", emu.FaultDivide, 4, 0, false, 2},
		{"not canonical", "48 bf 00 00 00 00 00 00 00 80 48 8b 44 37 10 c3", emu.FaultAccess, 10, 1<<63 + 0x10, false, 1},
		{"junk of a helper", "90 49 89 59 08 c3", emu.FaultAccess, 1, guest.Junk()[9] + 8, true, 1},
		{"jump to junk", "90 41 ff e1", emu.FaultFetch, 0, 0, false, 2},
	}
	for _, c := range cases {
		for _, l := range []emu.Level{emu.LevelNone, emu.LevelSites, emu.LevelRetired} {
			t.Run(fmt.Sprintf("%s/%d", c.name, l), func(t *testing.T) {
				img := program(t, base, c.code)
				img.Funcs[0].FirstInsn, img.Funcs[0].InsnOff = 5, []image.CodeOff{1, image.CodeOff(len(img.Funcs[0].Code))}
				m := newMachine(t, emu.Config{}, guest.Setup{Images: []*image.Image{img}})
				var o log
				res, err := m.Run(context.Background(), emu.Run{Args: make([]uint64, 5), Level: l, Observer: &o})
				var f *emu.Fault
				if !errors.As(err, &f) {
					t.Fatalf("%v", err)
				}
				want := base + c.rip
				if c.kind == emu.FaultFetch {
					want = f.Access
				}
				if f.Kind != c.kind || f.RIP != want || f.Access != image.Addr(c.access) && c.kind != emu.FaultFetch || f.Write != c.write {
					t.Errorf("%v (%+v)", f, f)
				}
				if (f.Func != nil) != (c.kind != emu.FaultFetch) || f.HasInsn != (f.Func != nil && c.rip >= 1) || f.HasInsn && f.Insn != 5 {
					t.Errorf("function %v, instruction %d %v", f.Func, f.Insn, f.HasInsn)
				}
				if l == emu.LevelNone {
					return
				}
				if res.Retired != c.retired || f.Seq != c.retired {
					t.Errorf("%d retired, Seq %d, want %d", res.Retired, f.Seq, c.retired)
				}
				if n := len(f.Last); n != int(min(c.retired, 16)) || n > 0 && c.kind != emu.FaultFetch && f.Last[n-1] > f.RIP {
					t.Errorf("last %#x", f.Last)
				}
				if l == emu.LevelRetired && len(o.retired) != int(res.Retired) {
					t.Errorf("%d records", len(o.retired))
				}
				if !strings.Contains(f.Error(), f.Kind.String()) || !strings.Contains(f.Detail(), "rsp ffffc9") {
					t.Errorf("%s\n%s", f, f.Detail())
				}
			})
		}
	}
}

// TestForbidden: what depends on the host, or looks like a helper's stub, is a fault.
func TestForbidden(t *testing.T) {
	m := newMachine(t, emu.Config{}, guest.Setup{Images: []*image.Image{
		program(t, base, "90 0f 31 c3"), program(t, base+0x1000, "90 e7 00 c3"),
	}})
	for _, c := range []struct {
		image int
		level emu.Level
		want  emu.FaultKind
	}{
		{0, emu.LevelSites, emu.FaultDecode},
		{0, emu.LevelRetired, emu.FaultDecode},
		{1, emu.LevelNone, emu.FaultHelper},
		{1, emu.LevelSites, emu.FaultHelper},
		{1, emu.LevelRetired, emu.FaultDecode},
	} {
		_, err := m.Run(context.Background(), emu.Run{Image: c.image, Level: c.level})
		var f *emu.Fault
		if !errors.As(err, &f) || f.Kind != c.want || f.Name != "" {
			t.Errorf("image %d, level %d: %v", c.image, c.level, err)
		}
		if c.want == emu.FaultDecode && (f.RIP != base+image.Addr(c.image)*0x1000+1 || f.Seq != 1) {
			t.Errorf("image %d, level %d: at %#x after %d", c.image, c.level, uint64(f.RIP), f.Seq)
		}
	}
}

// TestRunAfterFault: a fault leaves no trace in later runs.
func TestRunAfterFault(t *testing.T) {
	m := newMachine(t, emu.Config{}, guest.Setup{Images: []*image.Image{
		program(t, base, loop), program(t, base+0x1000, "e8 fb ff ff ff"),
		program(t, base+0x2000, "06"), program(t, base+0x3000, "31 c0 ff e0"),
		program(t, base+0x4000, "48 8b 47 08 c3"),
	}})
	for i := range 60 {
		l := emu.Level(i % 3)
		_, err := m.Run(context.Background(), emu.Run{Image: 1 + i%4, Level: l})
		var f *emu.Fault
		kinds := []emu.FaultKind{emu.FaultGuard, emu.FaultDecode, emu.FaultFetch, emu.FaultAccess}
		if !errors.As(err, &f) || f.Kind != kinds[i%4] {
			t.Fatalf("run %d: %v", i, err)
		}
		if _, err := m.Continue(context.Background(), emu.Run{Level: l}); err == nil {
			t.Fatal("continued after a fault")
		}
		if err := m.Reset(); err != nil {
			t.Fatal(err)
		}
		res := run(t, m, emu.Run{Level: emu.Level(i / 3 % 3), Args: []uint64{10}})
		if res.Return() != 30 {
			t.Fatalf("run %d: %d", i, res.Return())
		}
	}
}

// TestReuse changes code before every run in all ways there are: patches, other setups, other
// levels. A stale translation returns an old number.
func TestReuse(t *testing.T) {
	setup := func(n uint32) guest.Setup {
		// mov ebx, n; push rbp; call f; pop rbp; ret; f: mov eax, ebx; add eax, 1; ret
		img := program(t, base+0x19d4, fmt.Sprintf("bb %s 55 e8 02 00 00 00 5d c3 89 d8 83 c0 01 c3", le32(n)))
		return guest.Setup{Images: []*image.Image{img}, Offsets: offsets}
	}
	m := newMachine(t, emu.Config{}, setup(0))
	n, last, changed := uint32(0), uint32(0), 0
	var o log
	for i := range 4000 {
		n = n*1664525 + 1013904223
		switch i % 5 {
		case 0:
			if err := m.Load(setup(n)); err != nil {
				t.Fatal(err)
			}
		case 1:
			if err := m.WriteText(base+0x19d4+1, code(t, le32(n))); err != nil {
				t.Fatal(err)
			}
		case 2: // the callee only: its block is reached by a chained jump
			if err := m.WriteText(base+0x19d4+17, []byte{byte(i)}); err != nil {
				t.Fatal(err)
			}
		case 3:
			if err := m.Reset(); err != nil {
				t.Fatal(err)
			}
		}
		level := emu.Level(i / 7 % 3)
		res := run(t, m, emu.Run{Level: level, Observer: &o})
		var text [18]byte // what memory says now decides, not what the machine remembers
		if err := m.ReadMemory(base+0x19d4, text[:]); err != nil {
			t.Fatal(err)
		}
		want := binary.LittleEndian.Uint32(text[1:]) + uint32(int32(int8(text[17])))
		if uint32(res.Return()) != want || level != emu.LevelNone && res.Retired != 8 {
			t.Fatalf("run %d at level %d: %#x after %d instructions, want %#x", i, level, res.Return(), res.Retired, want)
		}
		if want != last {
			changed++
		}
		last = want
		o = log{}
	}
	if changed < 2000 {
		t.Errorf("code changed only %d times", changed)
	}
}

func le32(n uint32) string {
	return fmt.Sprintf("%02x %02x %02x %02x", byte(n), byte(n>>8), byte(n>>16), byte(n>>24))
}

// TestManyLoads: the engine's buffer of translations, which it never cleans up and which crashes
// the process when it is full, is renewed in time, and nothing is lost by it.
func TestManyLoads(t *testing.T) {
	_, s := chain(t, "21 00 00 00")
	m := newMachine(t, emu.Config{}, s)
	loads := 8000
	if testing.Short() {
		loads = 500
	}
	for i := range loads {
		if i%4 == 0 {
			if err := m.Load(s); err != nil {
				t.Fatal(err)
			}
		}
		var o count
		res := run(t, m, emu.Run{Level: emu.Level(1 + i%2), Observer: &o})
		if res.Retired != 949 || res.Sites != 36 || o.sites != 36 || o.retired != 949*(i%2) {
			t.Fatalf("load %d: %d instructions, %d sites, %+v", i, res.Retired, res.Sites, o)
		}
		if err := m.Reset(); err != nil {
			t.Fatal(err)
		}
	}
}
