// SPDX-License-Identifier: GPL-2.0-only

package emu_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/emu/record"
	"github.com/tcsim/tcsim/jit/image"
)

// TestResume puts a breakpoint over a nop and goes on after it: everything but the length of the
// instruction must be as without it, flags included.
func TestResume(t *testing.T) {
	const base = guest.TextBase
	// stc; nop5; sbb eax, eax; push rbx; pop rbx; ret
	img := program(t, base, "f9 0f 1f 44 00 00 19 c0 53 5b c3")
	m := newMachine(t, emu.Config{}, guest.Setup{Images: []*image.Image{img}, Marks: []image.Addr{base + 1}})
	var plain log
	want := run(t, m, emu.Run{Level: emu.LevelRetired, Observer: &plain})

	var o log
	r := emu.Run{Level: emu.LevelRetired, Observer: &o}
	for range 3 {
		if err := m.WriteText(base+1, []byte{0xcc}); err != nil {
			t.Fatal(err)
		}
		o = log{}
		_, err := m.Run(context.Background(), r)
		var f *emu.Fault
		if !errors.As(err, &f) || f.Kind != emu.FaultBreak || f.RIP != base+1 {
			t.Fatalf("%v, expected the breakpoint", err)
		}
		got, err := m.Resume(context.Background(), r, f, base+6)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("result (-nop +breakpoint):\n%s", d)
		}
		if d := cmp.Diff(rips(plain.retired), rips(o.retired)); d != "" {
			t.Errorf("retired (-nop +breakpoint):\n%s", d)
		}
		if d := cmp.Diff(plain.sites, o.sites); d != "" {
			t.Errorf("sites (-nop +breakpoint):\n%s", d)
		}
		if _, err := m.Resume(context.Background(), r, f, base+6); err == nil {
			t.Error("a run that has returned was resumed")
		}
		if err := m.Reset(); err != nil {
			t.Fatal(err)
		}
	}
}

func rips(rs []record.Retired) (out []image.Addr) {
	for _, r := range rs {
		out = append(out, r.RIP)
	}
	return out
}
