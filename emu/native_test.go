// SPDX-License-Identifier: GPL-2.0-only

package emu_test

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/timing/measured"
	"github.com/tcsim/tcsim/jit/x86"
)

// TestTimeNative compares 32 dependent adds with the same number of dependent multiplications, which take three times
// as long on every processor that it may run on. Each is timed until both have had an undisturbed moment: what else
// runs on the machine only adds to the shortest time, so a busy neighbour needs more rounds and no other bounds.
func TestTimeNative(t *testing.T) {
	const rounds = 400 // some seconds
	least := map[string]uint64{}
	for range rounds {
		for name, insn := range map[string][]byte{"add": {0x48, 0x01, 0xd8}, "imul": {0x48, 0x0f, 0xaf, 0xc3}} {
			s := dependent(name, insn)
			reps, err := emu.TimeNative(s, 20)
			if errors.Is(err, emu.ErrNative) {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			for i, r := range reps {
				if r.Part == 0 || r.Part >= math.MaxInt64 || r.Full >= math.MaxInt64 || slices.Contains(append(r.Chain[:], r.Nops[:]...), 0) {
					t.Fatalf("%s: repetition %d is %+v", name, i, r)
				}
				if was, ok := least[name]; !ok || r.Full < was {
					least[name] = r.Full
				}
			}
		}
		if ratio := float64(least["imul"]) / float64(least["add"]); ratio > 2.5 && ratio < 3.5 {
			return
		}
	}
	// An add that shares its core all the time may take two cycles, a multiplication five.
	if ratio := float64(least["imul"]) / float64(least["add"]); ratio < 1.2 || ratio > 6 {
		t.Errorf("dependent multiplications take %.2f times as long as adds: %v ticks", ratio, least)
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
