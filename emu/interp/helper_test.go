// SPDX-License-Identifier: GPL-2.0-only

package interp_test

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/emu/interp"
	"github.com/tcsim/tcsim/jit/bpf"
)

// Errors as helpers return them, sign-extended.
const (
	eNOENT = math.MaxUint64 - 1
	e2BIG  = math.MaxUint64 - 6
	eFAULT = math.MaxUint64 - 13
	eEXIST = math.MaxUint64 - 16
	eINVAL = math.MaxUint64 - 21
)

// TestMapHelpers is update, lookup and delete as kernel/bpf/arraymap.c and hashtab.c have them.
func TestMapHelpers(t *testing.T) {
	maps := []bpf.Map{
		{Name: "array", Type: bpf.ArrayMap, KeySize: 4, ValueSize: 12, MaxEntries: 2},
		{Name: "hash", Type: bpf.HashMap, KeySize: 4, ValueSize: 8, MaxEntries: 1},
		{Name: "percpu", Type: bpf.PerCPUArrayMap, KeySize: 4, ValueSize: 8, MaxEntries: 2},
	}
	op := func(helper int32) func(m int, key int32, flags int32) []bpf.Insn {
		return func(m int, key, flags int32) []bpf.Insn {
			return code(stW(10, -4, key), stDW(10, -24, 0x1234), stDW(10, -16, 0x5678),
				ldMap(1, m), movX(2, 10), addK(2, -4), movX(3, 10), addK(3, -24), movK(4, flags),
				insn(0x85, 0, 0, 0, helper))
		}
	}
	lookup, update, remove := op(1), op(2), op(3)
	deref := code(insn(0x15, 0, 0, 1, 0), ldxDW(0, 0, 0))
	tests := []struct {
		name string
		prog []bpf.Insn
		want uint64
	}{
		{"array lookup", code(lookup(0, 1, 0), deref), 0},
		{"array lookup outside", lookup(0, 2, 0), 0},
		{"array update", update(0, 1, 0), 0},
		{"array update, read back", code(update(0, 1, 2), lookup(0, 1, 0), deref), 0x1234},
		{"array update keeps to its value", code(update(0, 0, 0), lookup(0, 1, 0), deref), 0},
		{"array stride", code(lookup(0, 0, 0), movX(6, 0), lookup(0, 1, 0), insn(0x1f, 0, 6, 0, 0)), 16},
		{"array update outside", update(0, 2, 0), e2BIG},
		{"array update of what exists", update(0, 1, 1), eEXIST},
		{"array update with odd flags", update(0, 1, 3), eINVAL},
		{"array delete", remove(0, 1, 0), eINVAL},
		{"hash lookup of nothing", lookup(1, 1, 0), 0},
		{"hash update, read back", code(update(1, 7, 1), lookup(1, 7, 0), deref), 0x1234},
		{"hash update twice", code(update(1, 7, 1), update(1, 7, 1)), eEXIST},
		{"hash update of what is not there", update(1, 7, 2), eNOENT},
		{"hash update when full", code(update(1, 7, 0), update(1, 8, 0)), e2BIG},
		{"hash delete of nothing", remove(1, 7, 0), eNOENT},
		{"hash delete", code(update(1, 7, 0), remove(1, 7, 0)), 0},
		{"hash room after delete", code(update(1, 7, 0), remove(1, 7, 0), update(1, 8, 0)), 0},
		{"per-CPU update, read back", code(update(2, 1, 0), lookup(2, 1, 0), deref), 0x1234},
		{"per-CPU delete", remove(2, 1, 0), eINVAL},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t, interp.Config{Maps: maps, CPU: 1, Programs: []interp.Program{prog("p", tt.prog, exit())}})
			if res := run(t, m); res.Return != tt.want {
				t.Errorf("return %#x, want %#x", res.Return, tt.want)
			}
		})
	}
}

func TestContextHelpers(t *testing.T) {
	load := func(off, n int32) []bpf.Insn {
		return code(movK(2, off), movX(3, 10), addK(3, -8), movK(4, n), helper(26))
	}
	tests := []struct {
		name string
		prog []bpf.Insn
		want uint64
	}{
		{"len", code(ldxW(0, 1, 0)), 64},
		{"protocol", code(ldxW(0, 1, 16)), 0x0d0c},
		{"first byte of len", code(insn(0x71, 0, 1, 0, 0)), 64},
		{"cb written and read", code(insn(0x62, 1, 0, 48, 77), ldxW(0, 1, 48)), 77},
		{"data_end - data", code(ldxW(2, 1, 76), ldxW(0, 1, 80), insn(0x1f, 0, 2, 0, 0)), 64},
		{"data_meta - data", code(ldxW(2, 1, 76), ldxW(0, 1, 140), insn(0x1f, 0, 2, 0, 0)), 0},
		{"packet byte", code(ldxW(2, 1, 76), insn(0x71, 0, 2, 63, 0)), 63},
		{"packet store", code(ldxW(2, 1, 76), insn(0x72, 2, 0, 5, 200), insn(0x71, 0, 2, 5, 0)), 200},
		{"load_bytes", code(load(4, 8), ldxDW(0, 10, -8)), 0x0b0a090807060504},
		{"load_bytes at the end", load(56, 8), 0},
		{"load_bytes outside", load(57, 8), eFAULT},
		{"load_bytes outside clears", code(stDW(10, -8, -1), load(57, 8), ldxDW(0, 10, -8)), 0},
		{"store_bytes", code(movX(6, 1), stDW(10, -8, 0x77), movK(2, 10), movX(3, 10), addK(3, -8), movK(4, 1), movK(5, 0),
			helper(9), ldxW(2, 6, 76), insn(0x71, 0, 2, 10, 0)), 0x77},
		{"pull_data", code(movK(2, 64), helper(39)), 0},
		{"ld_abs past the end", code(movX(6, 1), movK(0, 5), insn(0x20, 0, 0, 0, 61), movK(0, 6)), 0},
		{"ld_ind", code(movX(6, 1), movK(3, 2), insn(0x48, 0, 3, 0, 10)), 0x0c0d},
		{"probe_read", code(ldxW(3, 1, 76), movX(1, 10), addK(1, -8), movK(2, 8), helper(113), ldxDW(0, 10, -8)), 0x0706050403020100},
		{"probe_read of nothing", code(movK(3, 0), movX(1, 10), addK(1, -8), movK(2, 8), helper(113)), eFAULT},
		{"processor", helper1(interp.HelperProcessorID), 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t, interp.Config{CPU: 3, Programs: []interp.Program{prog("p", tt.prog, exit())}})
			if res := run(t, m); res.Return != tt.want {
				t.Errorf("return %#x, want %#x", res.Return, tt.want)
			}
		})
	}
}

func helper1(id int32) []bpf.Insn { return code(helper(id)) }

func TestXDPContext(t *testing.T) {
	p := prog("p", ldxW(2, 1, 0), ldxW(0, 1, 4), insn(0x1f, 0, 2, 0, 0), ldxW(3, 1, 12), addX(0, 3), exit())
	p.Type = bpf.XDP
	m := newMachine(t, interp.Config{Programs: []interp.Program{p}})
	res, err := m.Run(0, interp.ForType(bpf.XDP, make([]byte, 20)))
	if err != nil || res.Return != 21 {
		t.Errorf("return %d, %v; want 20 bytes + interface 1", res.Return, err)
	}
}

func TestRawContext(t *testing.T) {
	m := newMachine(t, interp.Config{Programs: []interp.Program{
		prog("p", ldxDW(0, 1, 0), addX(0, 2), stDW(1, 8, 5), exit()),
		prog("none", movX(0, 1), addX(0, 2), exit()),
	}})
	data := []byte{1, 0, 0, 0, 0, 0, 0, 0, 9, 9, 9, 9, 9, 9, 9, 9}
	res, err := m.Run(0, interp.Ctx{Data: data})
	if err != nil || res.Return != 17 || data[8] != 9 || m.Ctx().Data[8] != 5 {
		t.Errorf("return %d, %v, memory %v, copy %v", res.Return, err, data, m.Ctx().Data)
	}
	if res, err := m.Run(1, interp.Ctx{}); err != nil || res.Return != 0 {
		t.Errorf("without memory: r1 + r2 = %#x, %v", res.Return, err)
	}
	for _, bad := range []interp.Ctx{{Kind: interp.SKBuff}, {Kind: 9}, {Data: make([]byte, 1<<20)}} {
		if _, err := m.Run(0, bad); err == nil {
			t.Errorf("context kind %d of %d bytes: no error", bad.Kind, len(bad.Data))
		}
	}
}

// sequence is an Outside that numbers its answers.
type sequence struct{ asked [][2]uint64 }

func (s *sequence) Value(helper int32, n uint64) uint64 {
	s.asked = append(s.asked, [2]uint64{uint64(helper), n})
	return 0xffff_ffff_0000_0000 + uint64(len(s.asked))
}

func TestOutside(t *testing.T) {
	var seq sequence
	m := newMachine(t, interp.Config{Outside: &seq, Programs: []interp.Program{prog("p",
		helper(interp.HelperKtime), helper(interp.HelperPrandom), helper(interp.HelperPrandom), exit())}})
	if res := run(t, m); res.Return != 3 || res.Helpers != 3 {
		t.Errorf("return %#x after %d helpers: a random number has 32 bits", res.Return, res.Helpers)
	}
	run(t, m)
	want := [][2]uint64{{5, 0}, {7, 0}, {7, 1}, {5, 1}, {7, 2}, {7, 3}}
	if diff := cmp.Diff(want, seq.asked); diff != "" {
		t.Errorf("questions (-want +got):\n%s", diff)
	}
}

func TestLoop(t *testing.T) {
	loop := func(n int32) []bpf.Insn {
		return code(movX(6, 1), stDW(10, -8, 0), movK(1, n),
			ld64(2, bpf.PseudoFunc, 8, 0),                                   // callback at slot 12
			movX(3, 10), addK(3, -8), movK(4, 0), helper(interp.HelperLoop), // 5 to 8
			ldxDW(1, 10, -8), addX(0, 1), exit(), // 9 to 11: iterations + sum
			ldxDW(3, 2, 0), addX(3, 1), stxDW(2, 0, 3), // sum += index
			movK(0, 0), insn(0x55, 1, 0, 1, 9), movK(0, 1), exit()) // stops after index 9
	}
	for _, tt := range []struct {
		n    int32
		want uint64
	}{{0, 0}, {4, 4 + 6}, {10, 10 + 45}, {20, 10 + 45}, {9 << 20, e2BIG}} {
		m := newMachine(t, interp.Config{Programs: []interp.Program{prog("p", loop(tt.n))}})
		if res := run(t, m); res.Return != tt.want {
			t.Errorf("%d iterations: return %d, want %d", tt.n, int64(res.Return), tt.want)
		}
	}
}

func TestMayGoto(t *testing.T) {
	p := prog("p", movK(0, 0), insn(0xe5, 0, 0, 2, 0), addK(0, 1), insn(0x05, 0, 0, -3, 0), exit())
	for _, n := range []uint64{1, 10} {
		m := newMachine(t, interp.Config{Programs: []interp.Program{p}, Rules: interp.Rules{MayGoto: n}})
		if res := run(t, m); res.Return != n {
			t.Errorf("%d passes, want %d", res.Return, n)
		}
	}
	m := newMachine(t, interp.Config{Programs: []interp.Program{p}})
	if res := run(t, m); res.Return != interp.DefaultMayGoto {
		t.Errorf("%d passes, want %d", res.Return, interp.DefaultMayGoto)
	}
}
