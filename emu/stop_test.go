// SPDX-License-Identifier: GPL-2.0-only

package emu_test

import (
	"context"
	"slices"
	"testing"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/jit/image"
)

// TestStopAddrs runs a loop with stops at several addresses, sets others meanwhile, and none at last: the stops must be
// those of the instructions that a run without any retires.
func TestStopAddrs(t *testing.T) {
	const base = guest.TextBase
	// mov ecx, 3; loop: nop; nop; dec ecx; jne loop; ret
	img := program(t, base, "b9 03 00 00 00 90 90 ff c9 75 fa c3")
	m := newMachine(t, emu.Config{}, guest.Setup{Images: []*image.Image{img}})
	var plain log
	run(t, m, emu.Run{Level: emu.LevelRetired, Observer: &plain})
	all := rips(plain.retired)

	at := func(res emu.Result, err error, seq uint64, rip image.Addr) {
		t.Helper()
		if err != nil || res.Stop != emu.StopAddr || res.Retired != seq || res.RIP != rip || all[seq] != rip {
			t.Fatalf("%v: stopped after %d at %#x (%v), want %d at %#x", err, res.Retired, uint64(res.RIP), res.Stop, seq, uint64(rip))
		}
	}
	r := emu.Run{Level: emu.LevelRetired, StopAddrs: []image.Addr{base + 6, base + 11}}
	for range 2 { // stops of a run before must not stay
		ctx := context.Background()
		res, err := m.Run(ctx, r)
		at(res, err, 2, base+6)
		step := emu.Run{Level: emu.LevelRetired, StopSeq: res.Retired + 1}
		if res, err = m.Continue(ctx, step); err != nil || res.Stop != emu.StopSeq || res.RIP != base+7 {
			t.Fatalf("step: %v, %+v", err, res)
		}
		res, err = m.Continue(ctx, r)
		at(res, err, 6, base+6)
		res, err = m.Continue(ctx, r) // where it is already
		at(res, err, 6, base+6)
		res, err = m.Continue(ctx, emu.Run{Level: emu.LevelRetired, StopAddrs: []image.Addr{base + 9}})
		at(res, err, 8, base+9)
		res, err = m.Continue(ctx, emu.Run{Level: emu.LevelRetired, StopAddr: base + 5, StopAddrs: r.StopAddrs})
		at(res, err, 9, base+5)
		if res, err = m.Continue(ctx, emu.Run{Level: emu.LevelRetired}); err != nil || res.Stop != emu.StopReturn || res.Retired != uint64(len(all)) {
			t.Fatalf("end: %v, %+v", err, res)
		}
	}
	if _, err := m.Run(context.Background(), emu.Run{Level: emu.LevelSites, StopAddrs: r.StopAddrs}); err == nil {
		t.Error("sites level: no error")
	}
	r.StopAddrs = slices.Repeat(r.StopAddrs, emu.MaxStopAddrs)
	if _, err := m.Run(context.Background(), r); err == nil {
		t.Error("too many: no error")
	}
}
