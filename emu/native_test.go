// SPDX-License-Identifier: GPL-2.0-only

package emu_test

import (
	"encoding/binary"
	"errors"
	"testing"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/timing/measured"
	"github.com/tcsim/tcsim/jit/x86"
)

// TestTimeNative measures 32 dependent adds and the same number of dependent multiplications. A neighbour on the same
// physical core that is busy all the time, which no measurement tells, makes them up to twice as slow.
func TestTimeNative(t *testing.T) {
	median := map[string]float64{}
	for name, insn := range map[string][]byte{"add": {0x48, 0x01, 0xd8}, "imul": {0x48, 0x0f, 0xaf, 0xc3}} {
		s := dependent(name, insn)
		reps, err := emu.TimeNative(s, 50)
		if errors.Is(err, emu.ErrNative) {
			t.Skip(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		h, err := s.Host([][]measured.HostRep{reps}, measured.BestNops([][]measured.HostRep{reps}))
		if err != nil {
			t.Skip(err) // the machine is too busy
		}
		median[name] = h.Median
	}
	t.Log(median)
	if a := median["add"]; a < 30 || a > 64 {
		t.Errorf("32 dependent adds take %v cycles", a)
	}
	if m := median["imul"]; m < 60 || m > 200 {
		t.Errorf("32 dependent multiplications take %v cycles", m)
	}
}

// dependent is a loop of 32 copies of an instruction that depends on itself.
func dependent(name string, insn []byte) *measured.Sequence {
	s := &measured.Sequence{
		Name: name, Trips: 1000, Copies: 32, At: measured.CodeBase,
		Data:  measured.Span{Addr: measured.DataBase, Size: measured.AreaSize},
		Stack: measured.Span{Addr: measured.StackBase, Size: measured.AreaSize},
	}
	for range 32 {
		s.Code = append(s.Code, insn...)
	}
	s.Code = append(s.Code, 0x49, 0xff, 0xcc, 0x0f, 0x85) // dec r12; jnz
	s.Code = binary.LittleEndian.AppendUint32(s.Code, uint32(-int32(len(s.Code)+4)))
	s.End = len(s.Code)
	s.Code = append(s.Code, 0xc3)
	s.Regs[x86.RSP] = measured.EntryRSP
	return s
}

// TestTimeNativeRefuses checks that nothing is run without a stack or trips.
func TestTimeNativeRefuses(t *testing.T) {
	if err := emu.HostUsable(); err != nil {
		t.Skip(err)
	}
	noStack, noTrips := dependent("a", []byte{0x90}), dependent("b", []byte{0x90})
	noStack.Regs[x86.RSP] = 0
	noTrips.Trips = 1
	for _, s := range []*measured.Sequence{noStack, noTrips, {Trips: 9}} {
		if _, err := emu.TimeNative(s, 1); err == nil || errors.Is(err, emu.ErrNative) {
			t.Errorf("sequence %q: error %v", s.Name, err)
		}
	}
}
