// SPDX-License-Identifier: GPL-2.0-only

package emu_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// TestEntryRegisters has only what the caller defines in registers at the entry of a program, and junk that
// follows from the seed in all others and in the status flags.
func TestEntryRegisters(t *testing.T) {
	const seed = 5
	want, flags := guest.EntryJunk(seed)
	if other, _ := guest.EntryJunk(seed + 1); other == want {
		t.Error("the junk does not depend on the seed")
	}
	for r := x86.RAX; r <= x86.R15; r++ {
		switch r {
		case x86.RAX, x86.RDI, x86.RSP, x86.RBP:
			continue
		}
		b := x86.NewBuf(nil)
		b.Mov64MR(x86.R(x86.RAX), r)
		b.Ret()
		m := newMachine(t, emu.Config{Seed: seed}, guest.Setup{Images: []*image.Image{program(t, base, fmt.Sprintf("% x", b.Bytes()))}, Offsets: offsets})
		if res := run(t, m, emu.Run{Args: []uint64{7}}); res.Return() != want[r] {
			t.Errorf("%s is %#x, want %#x", r, res.Return(), want[r])
		}
	}
	m := newMachine(t, emu.Config{Seed: seed}, guest.Setup{Images: []*image.Image{program(t, base, "9c 58 c3")}, Offsets: offsets}) // pushfq; pop rax
	if res := run(t, m, emu.Run{}); res.Return()&0xfd5 != flags&0xfd5 {
		t.Errorf("flags are %#x, want %#x", res.Return(), flags)
	}
	if res := run(t, m, emu.Run{Args: []uint64{1, 2, 3, 4, 5, 6}}); res.Regs[x86.R9] != 6 || res.Regs[x86.R8] != 5 || res.Regs[x86.RSI] != 2 {
		t.Errorf("arguments: %x", res.Regs)
	}
	if _, err := m.Run(context.Background(), emu.Run{Args: make([]uint64, 7)}); err == nil {
		t.Error("seven arguments: no error")
	}
}

// TestKernelFlags: the kernel is entered, by a return and by a call of a helper, with flags as it left them.
func TestKernelFlags(t *testing.T) {
	for _, c := range []struct{ name, code, want string }{
		{"std", "fd c3", "the direction flag is set"},
		{"std and cld", "fd fc c3", ""},
		{"cli", "fa c3", "undecodable"},
		{"sti", "fb c3", "undecodable"},
		{"popf", "9c 9d c3", "undecodable"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, l := range []emu.Level{emu.LevelSites, emu.LevelRetired} {
				m := newMachine(t, emu.Config{}, guest.Setup{Images: []*image.Image{program(t, base, c.code)}, Offsets: offsets})
				_, err := m.Run(context.Background(), emu.Run{Level: l})
				if (c.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.want) {
					t.Errorf("level %d: %v, want %q", l, err, c.want)
				}
			}
		})
	}
	// Without recording nothing keeps code from doing it, but the return still tells.
	m := newMachine(t, emu.Config{}, guest.Setup{Images: []*image.Image{program(t, base, "fa c3")}, Offsets: offsets})
	var f *emu.Fault
	if _, err := m.Run(context.Background(), emu.Run{}); !errors.As(err, &f) || f.Kind != emu.FaultFlags {
		t.Errorf("%v, want a fault: interrupts are off", err)
	}
}

// TestHelperFlags calls a helper with the direction flag set.
func TestHelperFlags(t *testing.T) {
	at := uint64(0xffffffff81200140)
	rel := uint32(at - (uint64(base) + 6))
	code := fmt.Sprintf("fd e8 %02x %02x %02x %02x fc c3", byte(rel), byte(rel>>8), byte(rel>>16), byte(rel>>24))
	m := newMachine(t, emu.Config{}, guest.Setup{
		Images: []*image.Image{program(t, base, code)}, Offsets: offsets, Symbols: map[string]image.Addr{"bpf_ktime_get_ns": image.Addr(at)},
	})
	for _, l := range []emu.Level{emu.LevelSites, emu.LevelRetired} {
		_, err := m.Run(context.Background(), emu.Run{Level: l})
		var f *emu.Fault
		if !errors.As(err, &f) || f.Kind != emu.FaultFlags || f.Name != "bpf_ktime_get_ns" || !strings.Contains(err.Error(), "direction flag") {
			t.Errorf("level %d: %v", l, err)
		}
	}
}
