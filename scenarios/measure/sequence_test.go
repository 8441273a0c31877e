// SPDX-License-Identifier: GPL-2.0-only

package measure_test

import (
	"context"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/emu"
	"github.com/tcsim/tcsim/emu/timing"
	"github.com/tcsim/tcsim/emu/timing/measured"
	"github.com/tcsim/tcsim/jit/x86"
	"github.com/tcsim/tcsim/scenarios/measure"
)

// branchOnTable is a loop that branches on one byte of a table after the other.
func branchOnTable(at x86.Addr, bytes int) *measured.Sequence {
	s := &measured.Sequence{
		Name: "table", Trips: 8192, At: at, InstructionsPerTrip: 8, P10: 1, Median: 1, P90: 1,
		Data:  measured.Span{Addr: 0x50000000, Size: 0x1000},
		Stack: measured.Span{Addr: 0x60000000, Size: 0x1000},
		Code: []byte{
			0x0f, 0xb6, 0x04, 0x0f, // movzx eax, byte [rdi+rcx]
			0x83, 0xc1, 0x01, // add ecx, 1
			0x81, 0xe1, byte(bytes - 1), byte((bytes - 1) >> 8), 0, 0, // and ecx, bytes-1
			0x85, 0xc0, // test eax, eax
			0x74, 0x03, // jz +3
			0x48, 0x01, 0xda, // add rdx, rbx
			0x49, 0xff, 0xcc, // dec r12
			0x75, 0xe7, // jnz back
			0xc3,
		},
	}
	s.End = len(s.Code) - 1
	s.Regs[x86.RDI], s.Regs[x86.RSP] = 0x50000000, 0x60000800
	r := rand.New(rand.NewPCG(1, 2))
	for n := 0; n < bytes; n += 8 {
		s.Mem = append(s.Mem, measured.MemWord{Addr: 0x50000000 + x86.Addr(n), Value: r.Uint64() & 0x0101010101010101})
	}
	return s
}

// TestSequenceLearns: as on the hardware (fixtures/uarch/cores.json, indirect_jump), a random sequence
// of 4096 outcomes that repeats is learned, wherever the code lies.
func TestSequenceLearns(t *testing.T) {
	m, err := emu.New(emu.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	core, err := timing.CoreNamed("")
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []x86.Addr{measured.CodeBase, 0x7f0000000000} {
		r, err := measure.Sequence(context.Background(), m, core, branchOnTable(at, 4096))
		if err != nil {
			t.Fatal(err)
		}
		if r.Predicted > 5 {
			t.Errorf("at %#x: %.2f cycles a trip, half of the branches are still mispredicted", uint64(at), r.Predicted)
		}
	}
}

// TestSequenceErrors: what cannot be run or has no data names its sequence.
func TestSequenceErrors(t *testing.T) {
	m, err := emu.New(emu.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	core, err := timing.CoreNamed("")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		want string
		code []byte
	}{
		{"sequence table: timing: instruction at 0x10000000: no timing data on glc for form rcl_r64_imm8", []byte{0x48, 0xd1, 0xd0}},
		{"sequence table: undecodable instruction", []byte{0x0f, 0x0b, 0x90}},
	} {
		s := branchOnTable(measured.CodeBase, 8)
		s.Code = append(c.code, 0x49, 0xff, 0xcc, 0x75, 0xf8, 0xc3)
		s.End = len(s.Code) - 1
		if _, err := measure.Sequence(context.Background(), m, core, s); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want %q", err, c.want)
		}
	}
}
