// SPDX-License-Identifier: GPL-2.0-only

package interp_test

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/emu/interp"
	"github.com/tcsim/tcsim/jit/bpf"
)

func slot(io []byte, n int) uint64       { return binary.LittleEndian.Uint64(io[8*n:]) }
func putSlot(io []byte, n int, v uint64) { binary.LittleEndian.PutUint64(io[8*n:], v) }

// Instructions as tests write them.
func insn(op, dst, src uint8, off int16, imm int32) bpf.Insn {
	return bpf.Insn{Op: op, Dst: dst, Src: src, Off: off, Imm: imm}
}
func movK(dst uint8, imm int32) bpf.Insn             { return insn(0xb7, dst, 0, 0, imm) }
func movX(dst, src uint8) bpf.Insn                   { return insn(0xbf, dst, src, 0, 0) }
func addK(dst uint8, imm int32) bpf.Insn             { return insn(0x07, dst, 0, 0, imm) }
func addX(dst, src uint8) bpf.Insn                   { return insn(0x0f, dst, src, 0, 0) }
func ldxDW(dst, src uint8, off int16) bpf.Insn       { return insn(0x79, dst, src, off, 0) }
func ldxW(dst, src uint8, off int16) bpf.Insn        { return insn(0x61, dst, src, off, 0) }
func stxDW(dst uint8, off int16, src uint8) bpf.Insn { return insn(0x7b, dst, src, off, 0) }
func stDW(dst uint8, off int16, imm int32) bpf.Insn  { return insn(0x7a, dst, 0, off, imm) }
func stW(dst uint8, off int16, imm int32) bpf.Insn   { return insn(0x62, dst, 0, off, imm) }
func helper(id int32) bpf.Insn                       { return insn(0x85, 0, 0, 0, id) }
func callSub(dist int32) bpf.Insn                    { return insn(0x85, 0, bpf.PseudoCall, 0, dist) }
func jneK(dst uint8, imm int32, off int16) bpf.Insn  { return insn(0x55, dst, 0, off, imm) }
func exit() bpf.Insn                                 { return insn(0x95, 0, 0, 0, 0) }

func ld64(dst, src uint8, lo, hi int32) []bpf.Insn {
	return []bpf.Insn{insn(0x18, dst, src, 0, lo), {Imm: hi}}
}
func ldMap(dst uint8, m int) []bpf.Insn { return ld64(dst, bpf.PseudoMap, int32(m), 0) }
func ldVal(dst uint8, m, off int) []bpf.Insn {
	return ld64(dst, bpf.PseudoMapValue, int32(m), int32(off))
}

// code joins instructions, slices of them and slices of slices.
func code(parts ...any) (list []bpf.Insn) {
	for _, p := range parts {
		switch p := p.(type) {
		case bpf.Insn:
			list = append(list, p)
		case []bpf.Insn:
			list = append(list, p...)
		default:
			panic("BUG: not an instruction")
		}
	}
	return list
}

// count adds one to slot n of map 0.
func count(n int) []bpf.Insn {
	return code(ldVal(0, 0, 8*n), movK(1, 1), insn(0xdb, 0, 1, 0, 0))
}

// tail makes a tail call to a key of map 1 with the context in R6.
func tail(key int32) []bpf.Insn {
	return code(movX(1, 6), ldMap(2, 1), movK(3, key), helper(bpf.HelperTailCall))
}

// Maps 0 and 1 of most tests: 64 slots of 8 bytes, a prog array of 8 entries.
var testMaps = []bpf.Map{
	{Name: "io", Type: bpf.ArrayMap, KeySize: 4, ValueSize: 512, MaxEntries: 1},
	{Name: "progs", Type: bpf.ProgArray, KeySize: 4, ValueSize: 4, MaxEntries: 8},
}

func prog(name string, parts ...any) interp.Program {
	return interp.Program{Program: &bpf.Program{Name: name, Type: bpf.SchedCLS, Insns: code(parts...)}}
}

// tester is what *testing.T and *rapid.T have in common here.
type tester interface {
	Helper()
	Fatal(args ...any)
}

func newMachine(t tester, cfg interp.Config) *interp.Machine {
	t.Helper()
	if cfg.Maps == nil {
		cfg.Maps = testMaps
	}
	m, err := interp.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// run runs program 0 on a packet of 64 bytes.
func run(t tester, m *interp.Machine) interp.Result {
	t.Helper()
	res, err := m.Run(0, interp.SKB(testPacket()))
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func testPacket() []byte {
	p := make([]byte, 64)
	for i := range p {
		p[i] = byte(i)
	}
	return p
}

func TestMistakesAllAtOnce(t *testing.T) {
	bad := prog("bad",
		insn(0xff, 0, 0, 0, 0),             // no such ALU operation
		insn(0xb7, 11, 0, 0, 0),            // no such register
		insn(0xb7, 10, 0, 0, 0),            // r10 is read-only
		insn(0x18, 1, 1, 0, 7), bpf.Insn{}, // no such map
		insn(0xdb, 1, 2, 0, 0x33), // no such atomic
		insn(0xd3, 1, 2, 0, 0),    // one-byte atomic add
		insn(0x07, 1, 0, 3, 1),    // offset in add
		insn(0xd4, 1, 0, 0, 17),   // width of a byte swap
		insn(0x85, 0, 1, 0, 99),   // call into nowhere
		insn(0xe6, 0, 0, 0, 0),    // no such jump
		insn(0x99, 0, 1, 0, 0),    // sign-extending load of 8 bytes
		exit())
	bad2 := prog("bad2", insn(0x05, 0, 0, 1, 0), insn(0x18, 0, 0, 0, 0), bpf.Insn{}, movK(0, 0))
	_, err := interp.New(interp.Config{Programs: []interp.Program{bad, bad2}, Maps: testMaps})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"bad: insn 0 ", "bad: insn 1 ", "bad: insn 2 ", "bad: insn 3 ", "bad: insn 5 ", "bad: insn 6 ", "bad: insn 7 ",
		"bad: insn 8 ", "bad: insn 9 ", "bad: insn 10 ", "bad: insn 11 ",
		"bad2: insn 0 (opcode 0x05): jump to slot 2", "bad2: insn 3 (opcode 0xb7): the function does not end",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not reported in:\n%v", want, err)
		}
	}
}

func TestFaults(t *testing.T) {
	tests := []struct {
		name string
		prog []bpf.Insn
		want string
	}{
		{"below the stack", code(stDW(10, -520, 1)), "store of 8 bytes at"},
		{"above the stack", code(ldxDW(0, 10, 0)), "outside the program's memory"},
		{"straddles the stack's end", code(stDW(10, -4, 1)), "outside"},
		{"null", code(movK(1, 0), ldxDW(0, 1, 0)), "nowhere"},
		{"after the packet", code(ldxW(2, 1, 80), insn(0x71, 0, 2, 0, 0)), "packet+64"},
		{"after the context", code(ldxW(0, 1, 192)), "context+192"},
		{"half a packet pointer", code(insn(0x69, 0, 1, 76, 0)), "context+76"},
		{"store to a packet pointer", code(movK(2, 1), insn(0x63, 1, 2, 80, 0)), "context+80"},
		{"struct bpf_map", code(ldMap(1, 0), ldxDW(0, 1, 0)), "(map 0)"},
		{"after a map value", code(ldVal(1, 0, 504), ldxDW(0, 1, 8)), "values of map 0+512"},
		{"across the end of a map value", code(ldVal(1, 0, 504), ldxDW(0, 1, 4)), "values of map 0+508"},
		{"unknown helper", code(helper(9999)), "helper 9999 is not modelled"},
		{"tail call through an array", code(ldMap(2, 0), movK(3, 0), helper(12)), "not a prog array"},
		{"key outside", code(ldMap(1, 0), movK(2, 5), helper(1)), "the key of 4 bytes at r2"},
		{"lookup in a number", code(movK(1, 5), helper(1)), "is not a map with values"},
		{"endless recursion", code(callSub(1), exit(), callSub(-1), exit()), "more than 1024 frames"},
		{"packet load without a packet", code(movK(6, 0), insn(0x30, 0, 0, 0, 0)), "without a socket buffer"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t, interp.Config{Programs: []interp.Program{prog("p", tt.prog, movK(0, 0), exit())}})
			res, err := m.Run(0, interp.SKB(testPacket()))
			var f *interp.Fault
			if !errors.As(err, &f) || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %v, want a fault with %q", err, tt.want)
			}
			if res.Insns != 0 || f.Insns == 0 {
				t.Errorf("result %+v with a fault after %d instructions", res, f.Insns)
			}
		})
	}
}

func TestBudgetIsAVerdict(t *testing.T) {
	m := newMachine(t, interp.Config{MaxInsns: 1000, Programs: []interp.Program{prog("loop", insn(0x05, 0, 0, -1, 0))}})
	if res := run(t, m); res.Verdict != interp.Exhausted || res.Insns != 1000 {
		t.Errorf("verdict %v after %d instructions, want exhausted after 1000", res.Verdict, res.Insns)
	}
}

func TestStateLastsUntilReset(t *testing.T) {
	m := newMachine(t, interp.Config{
		Programs:   []interp.Program{prog("p", movX(6, 1), count(3), tail(2), movK(0, 9), exit()), prog("q", movK(0, 4), exit())},
		ProgArrays: []interp.Slot{{Map: 1, Key: 2, Prog: 1}},
	})
	for i := range 3 {
		if res := run(t, m); res.Return != 4 || slot(ioSlots(m), 3) != uint64(i+1) {
			t.Fatalf("run %d: return %d, slot %d", i, res.Return, slot(ioSlots(m), 3))
		}
	}
	if err := m.SetProg(1, 2, -1); err != nil {
		t.Fatal(err)
	}
	if res := run(t, m); res.Return != 9 || res.Refused[interp.RefusedEmpty] != 1 {
		t.Errorf("with an empty slot: %+v", res)
	}
	m.Reset()
	if got := slot(ioSlots(m), 3); got != 0 {
		t.Errorf("slot after Reset: %d", got)
	}
	if res := run(t, m); res.Return != 4 {
		t.Errorf("after Reset: %+v", res)
	}
	if err := errors.Join(m.SetProg(0, 0, 0), m.SetProg(1, 8, 0), m.SetProg(1, 0, 2), m.SetProg(1, 0, -2)); err == nil || strings.Count(err.Error(), "\n") != 3 {
		t.Errorf("bad prog array entries: %v", err)
	}
}

// recorder keeps what an observer is told.
type recorder struct {
	tails     []interp.TailCall
	snaps     []interp.Snapshot
	lastBytes [][8]byte // last 8 bytes of the stack at each snapshot
}

func (r *recorder) TailCall(tc interp.TailCall) { r.tails = append(r.tails, tc) }
func (r *recorder) Returned(s interp.Snapshot) {
	r.snaps = append(r.snaps, s)
	r.lastBytes = append(r.lastBytes, [8]byte(s.Stack[interp.StackSize-8:]))
}

func TestObserver(t *testing.T) {
	var rec recorder
	m := newMachine(t, interp.Config{
		Observer: &rec,
		Programs: []interp.Program{prog("p",
			movX(6, 1), movK(7, 77), stDW(10, -8, 0x55), // slots 0 to 2
			helper(interp.HelperKtime), // 3
			callSub(6),                 // 4
			tail(5),                    // 5 to 9
			exit(),                     // 10
			movK(7, 1), stDW(10, -8, 0x66), stDW(10, -16, 1), movK(0, 3), exit(),
		)},
	})
	run(t, m)
	kinds := []interp.CallKind{interp.CallHelper, interp.CallSubprogram, interp.CallTail}
	slots := []bpf.InsnIndex{3, 4, 9}
	if len(rec.snaps) != 3 {
		t.Fatalf("%d snapshots, want 3", len(rec.snaps))
	}
	for i, s := range rec.snaps {
		if s.Kind != kinds[i] || s.Insn != slots[i] || s.Saved[1] != 77 || s.Depth != 0 || s.Func != 0 {
			t.Errorf("snapshot %d: %v at slot %d, r7 = %d", i, s.Kind, s.Insn, s.Saved[1])
		}
		if rec.lastBytes[i] != [8]byte{0x55} || s.WrittenBytes() != 8 || s.Written[7] != 0xff<<56 {
			t.Errorf("snapshot %d: stack %x, written %x", i, rec.lastBytes[i], s.Written)
		}
	}
	if rec.snaps[1].R0 != 3 {
		t.Errorf("r0 = %d after the call", rec.snaps[1].R0)
	}
	if len(rec.tails) != 1 || rec.tails[0].Outcome != interp.RefusedEmpty || rec.tails[0].Key != 5 || rec.tails[0].Insn != 9 {
		t.Errorf("tail calls: %+v", rec.tails)
	}
}

func TestUninitialisedStackIsCounted(t *testing.T) {
	m := newMachine(t, interp.Config{Programs: []interp.Program{prog("p",
		stW(10, -8, 1), ldxDW(0, 10, -8), insn(0x61, 0, 10, -8, 0), exit())}})
	if res := run(t, m); res.Uninit != 1 || res.Return != 1 {
		t.Errorf("%d reads of unwritten stack, return %d; want 1 and 1", res.Uninit, res.Return)
	}
}

func TestLocate(t *testing.T) {
	m := newMachine(t, interp.Config{Programs: []interp.Program{prog("p", movK(0, 0), exit())}})
	run(t, m)
	for _, tt := range []struct {
		addr uint64
		want interp.Location
	}{
		{0xffff_8881_0000_104c, interp.Location{Place: interp.Context, Off: 76}},
		{0xffff_8881_0001_0040, interp.Location{Place: interp.Packet, Off: 64}},
		{0xffff_8882_0000_0010, interp.Location{Place: interp.MapValue, Off: 16}},
		{0xffff_8881_1000_1000, interp.Location{Place: interp.MapHandle, Index: 1}},
		{0x1000, interp.Location{}},
	} {
		if got := m.Locate(tt.addr); got != tt.want {
			t.Errorf("%#x is %v, want %v", tt.addr, got, tt.want)
		}
	}
}

func TestEntries(t *testing.T) {
	m := newMachine(t, interp.Config{
		Maps: []bpf.Map{
			{Type: bpf.HashMap, KeySize: 2, ValueSize: 3, MaxEntries: 2},
			{Type: bpf.PerCPUArrayMap, KeySize: 4, ValueSize: 8, MaxEntries: 2},
		},
		CPU: 1, CPUs: 3,
		Programs: []interp.Program{prog("p", movK(0, 0), exit())},
	})
	for _, k := range []string{"zz", "aa"} {
		if err := m.Update(0, []byte(k), []byte(k+"!"), interp.Any); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Update(0, []byte("bb"), []byte("123"), interp.Any); err == nil || !strings.Contains(err.Error(), "argument list too long") {
		t.Errorf("update of a full map: %v", err)
	}
	if err := m.Update(1, []byte{1, 0, 0, 0}, []byte{1, 2, 3, 4, 5, 6, 7, 8}, interp.Exist); err != nil {
		t.Fatal(err)
	}
	hash, arr := m.Entries(0), m.Entries(1)
	if len(hash) != 2 || string(hash[0].Key) != "aa" || string(hash[1].Value) != "zz!" {
		t.Errorf("hash: %v", hash)
	}
	if len(arr) != 2 || !slices.Equal(arr[1].Value[8:16], []byte{1, 2, 3, 4, 5, 6, 7, 8}) || slices.Max(arr[0].Value) != 0 || len(arr[0].Value) != 24 {
		t.Errorf("per-CPU array: %v", arr)
	}
	if err := m.Delete(0, []byte("aa")); err != nil || m.Lookup(0, []byte("aa")) != nil {
		t.Errorf("delete: %v", err)
	}
}

// TestFreshState: what a call leaves behind is not there for the next one, nor for the caller.
func TestFreshState(t *testing.T) {
	var rec recorder
	const junkHigh = 0xdead4ead
	tests := []struct {
		name   string
		prog   []bpf.Insn
		want   uint64
		uninit uint64
	}{
		{"stack of an earlier call", code(movK(7, 0), callSub(4), movK(7, 1), movX(1, 7), callSub(1), exit(),
			ldxDW(0, 10, -8), stDW(10, -8, 9), exit()), 0, 2},
		{"r1 after a subprogram", code(callSub(3), movX(0, 1), insn(0x77, 0, 0, 0, 32), exit(), movK(1, 5), movK(0, 0), exit()), junkHigh, 0},
		{"r5 after a helper", code(movK(5, 5), helper(5), movX(0, 5), insn(0x77, 0, 0, 0, 32), exit()), junkHigh, 0},
		{"r0 after a refused tail call", code(movX(6, 1), movK(0, 7), tail(0), insn(0x77, 0, 0, 0, 32), exit()), junkHigh, 0},
		{"last halfword of the packet", code(movX(6, 1), insn(0x28, 0, 0, 0, 62), exit()), 0x3e3f, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t, interp.Config{Observer: &rec, Programs: []interp.Program{prog("p", tt.prog)}})
			for range 2 {
				if res := run(t, m); res.Return != tt.want || res.Uninit != tt.uninit {
					t.Errorf("return %#x, %d uninitialised reads; want %#x and %d", res.Return, res.Uninit, tt.want, tt.uninit)
				}
			}
		})
	}
}

// TestResetRestartsOutside: after Reset the first question of each kind is number 0 again.
func TestResetRestartsOutside(t *testing.T) {
	m := newMachine(t, interp.Config{Programs: []interp.Program{prog("p", helper(interp.HelperKtime), exit())}})
	first, second := run(t, m), run(t, m)
	m.Reset()
	if third := run(t, m); first.Return == second.Return || third.Return != first.Return {
		t.Errorf("times %d, %d, after Reset %d", first.Return, second.Return, third.Return)
	}
}
