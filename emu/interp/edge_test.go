// SPDX-License-Identifier: GPL-2.0-only

package interp_test

import (
	"math"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/emu/interp"
	"github.com/tcsim/tcsim/jit/bpf"
)

// TestAccepted: what is a program and what is none, each at the edge of a rule; text is part of the error.
func TestAccepted(t *testing.T) {
	atomic := func(src uint8, op int32) []bpf.Insn {
		return code(stDW(10, -8, 0), movX(3, 10), insn(0xdb, 3, src, -8, op))
	}
	wide := func(second bpf.Insn) []bpf.Insn { return []bpf.Insn{insn(0x18, 1, 0, 0, 1), second} }
	for _, tt := range []struct {
		name string
		prog []bpf.Insn
		text string
	}{
		{"r10 added to memory", atomic(10, 0), ""},
		{"fetched into r10", atomic(10, 1), "r10 is read-only"},
		{"exchanged with r10", atomic(10, 0xe1), "r10 is read-only"},
		{"compared with R0, r10 stored", code(movK(0, 0), atomic(10, 0xf1)), ""},
		{"fetched into r2", code(movK(2, 1), atomic(2, 1)), ""},
		{"r10 written", code(insn(0xbf, 10, 1, 0, 0)), "r10 is read-only"},
		{"r10 stored by", code(stDW(10, -8, 1)), ""},
		{"a constant of 64 bits", wide(bpf.Insn{}), ""},
		{"with an opcode in its half", wide(bpf.Insn{Op: 0xb7}), "reserved"},
		{"with a register in its half", wide(bpf.Insn{Dst: 1}), "reserved"},
		{"with a source in its half", wide(bpf.Insn{Src: 1}), "reserved"},
		{"with an offset in its half", wide(bpf.Insn{Off: 1}), "reserved"},
		{"jump less or equal", code(movK(2, 1), insn(0xd5, 2, 0, 0, 1)), ""},
		{"jump beyond them", code(movK(2, 1), insn(0xf5, 2, 0, 0, 1)), "no such jump"},
		{"a jump of 32 bits always", code(insn(0x0e, 0, 0, 0, 0)), "no such jump"},
		{"an exit of 32 bits", code(insn(0x96, 0, 0, 0, 0)), "no such jump"},
		{"a call of 32 bits", code(insn(0x86, 0, 0, 0, 1)), "no such jump"},
		{"a store of a register, signed", code(insn(0x8b, 1, 2, 0, 0)), "no such load or store"},
		{"an immediate store of a register's kind", code(insn(0x7a, 10, 0, -8, 0)), ""},
		{"a cast of 32 bits", code(insn(0xbc, 1, 1, 1, 1)), "reserved"},
		{"a cast of a number", code(insn(0xb7, 1, 0, 1, 1)), "reserved"},
		{"a kernel function past the last", code(insn(0x85, 0, 2, 0, 1)), "not in Kfuncs"},
		{"the last kernel function", code(insn(0x85, 0, 2, 0, 0)), ""},
		{"a function past the end", ld64(2, bpf.PseudoFunc, 100, 0), "does not exist"},
		{"a jump into a constant", code(insn(0x05, 0, 0, 1, 0), ld64(1, 0, 0, 0)), "not an instruction"},
	} {
		p := prog("p", tt.prog, movK(0, 0), exit())
		p.Kfuncs = []string{"bpf_throw"}
		_, err := interp.New(interp.Config{Maps: testMaps, Programs: []interp.Program{p}})
		if (err == nil) != (tt.text == "") || err != nil && !strings.Contains(err.Error(), tt.text) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.text)
		}
	}
	for start, good := range map[bpf.InsnIndex]bool{2: true, 3: true, 4: false, -1: false} {
		p := prog("p", callSub(1), exit(), movK(0, 0), exit())
		if start == 3 {
			p = prog("p", callSub(2), exit(), movK(0, 0), exit())
			p.Insns[2] = exit()
		}
		p.Funcs = []bpf.Func{{Name: "p"}, {Name: "f", Start: start}}
		if _, err := interp.New(interp.Config{Programs: []interp.Program{p}}); (err == nil) != good {
			t.Errorf("a function at %d: %v", start, err)
		}
	}
}

// TestApart: values of hash maps may be as far apart as another engine has them, and maps as near to each other. Between
// values there is nothing.
func TestApart(t *testing.T) {
	maps := []bpf.Map{
		{Name: "a", Type: bpf.HashMap, KeySize: 4, ValueSize: 12, MaxEntries: 2},
		{Name: "b", Type: bpf.HashMap, KeySize: 4, ValueSize: 12, MaxEntries: 2},
	}
	const base = 0xffff_8881_4000_0018
	layout := interp.Layout{Values: []uint64{base, base + 2*40}, Apart: []uint64{40, 40}}
	lookup := func(mp int, last ...bpf.Insn) []bpf.Insn {
		return code(stW(10, -4, 7), movX(2, 10), addK(2, -4), ldMap(1, mp), helper(1), code(last))
	}
	put := func(mp int, key int32) []bpf.Insn {
		return code(stW(10, -4, key), stDW(10, -24, key), stDW(10, -16, 9), movX(2, 10), addK(2, -4), movX(3, 10), addK(3, -24), movK(4, 0), ldMap(1, mp), helper(2))
	}
	for _, tt := range []struct {
		name string
		prog []bpf.Insn
		want uint64
		bad  bool
	}{
		{"the address of the second value", code(put(0, 3), put(0, 7), lookup(0)), base + 40, false},
		{"of the other map", code(put(1, 3), put(1, 7), lookup(1)), base + 3*40, false},
		{"what it holds", code(put(0, 3), put(0, 7), lookup(0, ldxW(0, 0, 0))), 7, false},
		{"its last bytes", code(put(0, 3), put(0, 7), lookup(0, ldxW(0, 0, 8))), 9, false},
		{"past the last value", code(put(0, 3), put(0, 7), lookup(0, ldxW(0, 0, 16))), 0, true},
		{"between values", code(put(0, 7), lookup(0, ldxW(0, 0, 20))), 0, true},
		{"into the gap", code(put(0, 7), lookup(0, insn(0x79, 0, 0, 12, 0))), 0, true},
	} {
		m, err := interp.New(interp.Config{Maps: maps, Layout: layout, Programs: []interp.Program{prog("p", tt.prog, exit())}})
		if err != nil {
			t.Fatal(err)
		}
		if res, err := m.Run(0, interp.SKB(testPacket())); (err != nil) != tt.bad || err == nil && res.Return != tt.want {
			t.Errorf("%s: %v, %#x, want %#x", tt.name, err, res.Return, tt.want)
		}
		for off, in := range map[uint64]interp.Place{0: interp.MapValue, 16: interp.MapValue, 17: interp.Nowhere, 39: interp.Nowhere, 56: interp.MapValue, 57: interp.Nowhere} {
			if l := m.Locate(base + off); l.Place != in {
				t.Errorf("offset %d is %v, want %v", off, l.Place, in)
			}
		}
	}
}

// TestPacketEdges is what helpers about packets return at the edges of what they take.
func TestPacketEdges(t *testing.T) {
	store := func(off, flags int32) []bpf.Insn {
		return code(stDW(10, -8, 0x77), movK(2, off), movX(3, 10), addK(3, -8), movK(4, 8), movK(5, flags), helper(9))
	}
	csum := func(id, off, from, to, flags int32) []bpf.Insn {
		return code(movX(6, 1), movK(2, off), movK(3, from), movK(4, to), movK(5, flags), helper(id))
	}
	at := func(off int16) []bpf.Insn { return code(ldxW(2, 6, 76), insn(0x69, 0, 2, off, 0)) }
	zero := code(movX(6, 1), ldxW(2, 1, 76), insn(0x6a, 2, 0, 10, 0)) // half a word of the packet is 0
	strncmp := func(a, b int32) []bpf.Insn {
		return code(stDW(10, -8, a), stDW(10, -16, b), movX(1, 10), addK(1, -8), movK(2, 8), movX(3, 10), addK(3, -16), helper(182))
	}
	strtol := func(text int32) []bpf.Insn {
		return code(stDW(10, -8, text), stDW(10, -16, 0), movX(1, 10), addK(1, -8), movK(2, 4), movK(3, 10), movX(4, 10), addK(4, -16), helper(105))
	}
	timer := code(stDW(10, -8, 0), movX(6, 10), addK(6, -8), movX(1, 6), movK(3, 1), helper(169), movX(1, 6), helper(170))
	for _, tt := range []struct {
		name string
		prog []bpf.Insn
		want uint64
	}{
		{"store with all flags", store(0, 3), 0},
		{"store with one more", store(0, 4), eINVAL},
		{"store at the end", store(56, 0), 0},
		{"store beyond it", store(57, 0), eFAULT},
		{"checksum of two bytes", csum(10, 10, 0x0101, 0x0202, 2), 0},
		{"checksum of four", csum(10, 10, 1, 2, 4), 0},
		{"checksum of three", csum(10, 10, 1, 2, 3), eINVAL},
		{"checksum by a difference", csum(10, 10, 0, 5, 0), 0},
		{"checksum by a difference of something", csum(10, 10, 1, 5, 0), eINVAL},
		{"checksum at an odd place", csum(10, 11, 0, 5, 0), eFAULT},
		{"checksum at the end", csum(10, 62, 0, 5, 0), 0},
		{"checksum beyond it", csum(10, 64, 0, 5, 0), eFAULT},
		{"checksum with odd flags", csum(10, 10, 0, 5, 0x10), eINVAL},
		{"what the sum becomes", code(csum(10, 10, 0x0b0a, 0x0b0b, 2), at(10)), 0x0b09},
		{"a sum of zero that means none", code(zero, movX(1, 6), csum(11, 10, 1, 2, 0x22), movX(6, 6), at(10)), 0},
		{"a sum of zero that counts", code(zero, movX(1, 6), csum(11, 10, 1, 2, 0x62), at(10)), 0xfffe},
		{"a sum of zero of layer 3", code(zero, movX(1, 6), csum(10, 10, 1, 2, 2), at(10)), 0xfffe},
		{"difference of nothing", code(movK(1, 0), movK(2, 0), movK(3, 0), movK(4, 0), movK(5, 7), helper(28)), 7},
		{"difference of a word added", code(stDW(10, -8, 0x00050003), movK(1, 0), movK(2, 0), movX(3, 10), addK(3, -8), movK(4, 8), movK(5, 1), helper(28)), 9},
		{"difference of a word taken away", code(stDW(10, -8, 0x3), movX(1, 10), addK(1, -8), movK(2, 4), movK(3, 0), movK(4, 0), movK(5, 9), helper(28)), 6},
		{"difference of three bytes", code(movX(1, 10), addK(1, -8), movK(2, 3), movK(3, 0), movK(4, 0), movK(5, 0), helper(28)), eINVAL},
		{"peer", code(movK(1, 1), movK(2, 0), helper(155)), 7},
		{"peer with flags", code(movK(1, 1), movK(2, 1), helper(155)), 2},
		{"neighbour", code(movK(1, 1), movK(2, 0), movK(3, 0), movK(4, 0), helper(152)), 7},
		{"neighbour with flags", code(movK(1, 1), movK(2, 0), movK(3, 0), movK(4, 1), helper(152)), 2},
		{"a store before the packet's pointer", code(insn(0x62, 1, 0, 72, 5), ldxW(0, 1, 72)), 5},
		{"strings that differ before they end", strncmp(0x6263, 0x6261), 1},
		{"strings that differ after a letter", strncmp(0x6361, 0x6261), 1},
		{"strings that differ after their end", strncmp(0x620061, 0x630061), 0},
		{"a number after blanks and a sign, its bytes", strtol(0x37322d20), 4},
		{"a number before a letter, its bytes", strtol(0x78323120), 3},
		{"what is written through a dynptr", code(stDW(10, -32, 0), stDW(10, -48, 7), movX(1, 10), addK(1, -32), movK(2, 8), movK(3, 0), movX(4, 10), addK(4, -16),
			helper(197), movX(1, 10), addK(1, -16), movK(2, 0), movX(3, 10), addK(3, -48), movK(4, 8), movK(5, 0), helper(202), insn(0x79, 0, 10, -32, 0)), 7},
		{"a timer that runs is cancelled", code(timer, movX(1, 6), movK(2, 0), movK(3, 0), helper(171), movX(1, 6), helper(172)), 1},
		{"a timer that does not run is cancelled", code(timer, movX(1, 6), helper(172)), 0},
		{"a load beyond the context", code(movK(0, 1), insn(0x61, 0, 1, 192, 0)), math.MaxUint64},
	} {
		m := newMachine(t, interp.Config{Programs: []interp.Program{prog("p", tt.prog, exit())}})
		res, err := m.Run(0, interp.SKB(testPacket()))
		if tt.want == math.MaxUint64 {
			if err == nil {
				t.Errorf("%s: no error, returned %#x", tt.name, res.Return)
			}
			continue
		}
		if err != nil || res.Return != tt.want {
			t.Errorf("%s: %v, return %#x, want %#x", tt.name, err, res.Return, tt.want)
		}
	}
}

// TestPacketType: the first bytes of a frame say for whom it is.
func TestPacketType(t *testing.T) {
	for first, want := range map[string]uint64{
		"\x00\x00\x00\x00\x00\x00": 0, "\xff\xff\xff\xff\xff\xff": 1, "\x01\x00\x5e\x00\x00\x01": 2, "\x02\x00\x00\x00\x00\x01": 3,
	} {
		packet := testPacket()
		copy(packet, first)
		m := newMachine(t, interp.Config{Programs: []interp.Program{prog("p", ldxW(0, 1, 4), exit())}})
		if res, err := m.Run(0, interp.SKB(packet)); err != nil || res.Return != want {
			t.Errorf("%x: %v, type %d, want %d", first, err, res.Return, want)
		}
	}
}

// TestXDPEdges moves the ends of a packet, each by as much as is allowed and one more.
func TestXDPEdges(t *testing.T) {
	by := func(id, n int32) []bpf.Insn { return code(movX(6, 1), movK(2, n), helper(id)) }
	length := code(ldxW(2, 6, 0), ldxW(0, 6, 4), insn(0x1f, 0, 2, 0, 0))
	meta := code(ldxW(2, 6, 8), ldxW(0, 6, 0), insn(0x1f, 0, 2, 0, 0))
	load := func(off, n int32) []bpf.Insn {
		return code(movX(6, 1), movK(2, off), movX(3, 10), addK(3, -16), movK(4, n), helper(189))
	}
	const head, tail, data = 44, 65, 54
	const eACCES = math.MaxUint64 - 12
	for _, tt := range []struct {
		name string
		prog []bpf.Insn
		want uint64
	}{
		{"tail taken", code(by(tail, -10), length), 54},
		{"tail left with its head", code(by(tail, -50), length), 14},
		{"tail without its head", by(tail, -51), eINVAL},
		{"tail given", code(by(tail, 10), length), 74},
		{"head taken", code(by(head, 10), length), 54},
		{"head given", code(by(head, -10), length), 74},
		{"head without a frame", by(head, 51), eINVAL},
		{"room for 4 bytes", code(by(data, -4), meta), 4},
		{"room for 216, all that a frame leaves", code(by(data, -216), meta), 216},
		{"room for 6 bytes", by(data, -6), eACCES},
		{"room for 220", by(data, -220), eINVAL},
		{"less than no room", by(data, 4), eINVAL},
		{"loaded", load(48, 16), 0},
		{"loaded beyond the end", load(49, 16), eINVAL},
		{"what is loaded", code(load(8, 8), ldxDW(0, 10, -16)), 0x0f0e0d0c0b0a0908},
	} {
		p := prog("p", tt.prog, exit())
		p.Type = bpf.XDP
		m := newMachine(t, interp.Config{Programs: []interp.Program{p}})
		if res, err := m.Run(0, interp.XDP(testPacket())); err != nil || res.Return != tt.want {
			t.Errorf("%s: %v, return %#x, want %#x", tt.name, err, res.Return, tt.want)
		}
	}
}

// TestLoopCounts: a loop calls its callback once a round, and an error in it ends the run.
func TestLoopCounts(t *testing.T) {
	loop := func(callback []bpf.Insn) interp.Program {
		p := prog("p", movK(1, 5), ld64(2, bpf.PseudoFunc, 6, 0), movK(3, 0), movK(4, 0), helper(181), movK(0, 1), exit(), callback)
		p.Funcs = []bpf.Func{{Name: "p"}, {Name: "cb", Start: 8}}
		return p
	}
	m := newMachine(t, interp.Config{Programs: []interp.Program{loop(code(movK(0, 0), exit()))}})
	if res := run(t, m); res.Calls != 5 || res.Return != 1 {
		t.Errorf("%d calls, returned %d", res.Calls, res.Return)
	}
	m = newMachine(t, interp.Config{Programs: []interp.Program{loop(code(movK(1, 0), ldxDW(0, 1, 0), exit()))}})
	if _, err := m.Run(0, interp.SKB(testPacket())); err == nil {
		t.Error("a callback that reads at 0 ends well")
	}
}
