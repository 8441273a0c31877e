// SPDX-License-Identifier: GPL-2.0-only

package interp_test

import (
	"testing"

	"github.com/tcsim/tcsim/emu/interp"
)

// other tail calls itself through key 1, counting its entries in slot n, and returns 7.
func other(n int) interp.Program {
	return prog("other", movX(6, 1), count(n), tail(1), movK(0, 7), exit())
}

// TestInterrupt runs a program that takes all tail calls in the middle of another one that does, at
// every place: both have the limit, whatever the other did.
func TestInterrupt(t *testing.T) {
	for before := range uint64(40) {
		m := newMachine(t, interp.Config{
			Programs:   []interp.Program{hierarchy(2), other(1)},
			ProgArrays: []interp.Slot{{Map: 1, Key: 0, Prog: 0}, {Map: 1, Key: 1, Prog: 1}},
		})
		alone := run(t, m)
		m.Reset()
		res, err := m.RunInterrupted(0, interp.SKB(testPacket()), interp.Interrupt{Before: before, Prog: 1})
		if err != nil {
			t.Fatal(err)
		}
		in := res.Interrupt
		if in == nil || in.Return != 7 || in.TakenTotal != 33 || in.Refused[interp.RefusedLimit] != 1 || slot(ioSlots(m), 1) != 34 {
			t.Fatalf("before %d: the interrupt gave %+v", before, in)
		}
		if res.TakenTotal != alone.TakenTotal || res.Return != alone.Return || res.Calls != alone.Calls ||
			res.Insns != alone.Insns+in.Insns || slot(ioSlots(m), 0) != 34 {
			t.Errorf("before %d: interrupted %+v, alone %+v", before, res, alone)
		}
	}
}

// TestInterruptLate: a program without calls and tail calls is interrupted before it ends.
func TestInterruptLate(t *testing.T) {
	m := newMachine(t, interp.Config{Programs: []interp.Program{prog("p", movK(0, 1), exit()), other(1)}})
	res, err := m.RunInterrupted(0, interp.SKB(testPacket()), interp.Interrupt{Before: 5, Prog: 1})
	if err != nil || res.Return != 1 || res.Interrupt == nil || slot(ioSlots(m), 1) != 1 {
		t.Errorf("%+v, %v", res, err)
	}
	if again := run(t, m); again.Interrupt != nil {
		t.Error("the next run is interrupted too")
	}
	if _, err := m.RunInterrupted(0, interp.SKB(nil), interp.Interrupt{Prog: 2}); err == nil {
		t.Error("an interrupt by a program that does not exist")
	}
}

// TestReplace: the function's calls go to the other program, with the counter of the invocation, until
// it is detached.
func TestReplace(t *testing.T) {
	m := newMachine(t, interp.Config{
		Programs:   []interp.Program{hierarchy(1), other(1)},
		ProgArrays: []interp.Slot{{Map: 1, Key: 0, Prog: 0}, {Map: 1, Key: 1, Prog: 1}},
	})
	if err := m.Replace(0, 1, 1); err != nil {
		t.Fatal(err)
	}
	if res := run(t, m); res.TakenTotal != 33 || res.Taken[0].Prog != 1 || slot(ioSlots(m), 1) != 34 {
		t.Errorf("replaced: %d tail calls, the first by program %d, slot 1 is %d", res.TakenTotal, res.Taken[0].Prog, slot(ioSlots(m), 1))
	}
	if err := m.Replace(0, 1, -1); err != nil {
		t.Fatal(err)
	}
	if res := run(t, m); res.TakenTotal != 33 || res.Taken[0].Prog != 0 {
		t.Errorf("detached: %d tail calls, the first by program %d", res.TakenTotal, res.Taken[0].Prog)
	}
	if err := m.Replace(0, 1, 1); err != nil {
		t.Fatal(err)
	}
	m.Reset()
	if res := run(t, m); res.Taken[0].Prog != 0 {
		t.Error("replaced after Reset")
	}
	for _, bad := range [][3]int{{0, 0, 1}, {0, 2, 1}, {2, 1, 1}, {0, 1, 2}} {
		if err := m.Replace(bad[0], bad[1], bad[2]); err == nil {
			t.Errorf("Replace%v is accepted", bad)
		}
	}
}
