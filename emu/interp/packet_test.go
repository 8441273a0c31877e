// SPDX-License-Identifier: GPL-2.0-only

package interp_test

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/tcsim/tcsim/emu/interp"
	"github.com/tcsim/tcsim/jit/bpf"
)

// frame is an Ethernet frame of n bytes of a protocol, with bytes that count from 0.
func frame(protocol uint16, n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i)
	}
	if n >= 14 {
		binary.BigEndian.PutUint16(p[12:], protocol)
	}
	return p
}

// TestSocketBuffer: the fields that a test run takes from the packet (net/bpf/test_run.c, eth_type_trans).
func TestSocketBuffer(t *testing.T) {
	novell := func(n int) []byte {
		p := frame(0x40, n)
		for i := 14; i < min(n, 16); i++ {
			p[i] = 0xff
		}
		return p
	}
	const protocol, family, remote4, local4, remote6, local6 = 16, 88, 92, 96, 100, 116
	for _, row := range []struct {
		name   string
		packet []byte
		off, n int
		want   []byte
	}{
		{"no Ethernet header", frame(0x800, 13), protocol, 2, []byte{0, 0}},
		{"IPv4", frame(0x800, 14), protocol, 2, []byte{8, 0}},
		{"802.2", frame(0x40, 14), protocol, 2, []byte{0, 4}}, {"802.2, two bytes", frame(0x40, 16), protocol, 2, []byte{0, 4}},
		{"802.3", novell(16), protocol, 2, []byte{0, 1}}, {"802.3, one byte", novell(15), protocol, 2, []byte{0, 4}},
		{"the last length", frame(0x5ff, 16), protocol, 2, []byte{0, 4}}, {"the first protocol", frame(0x600, 16), protocol, 2, []byte{6, 0}},
		{"family of IPv4", frame(0x800, 14), family, 1, []byte{2}}, {"family of IPv6", frame(0x86dd, 14), family, 1, []byte{10}},
		{"family of others", frame(0x806, 60), family, 1, []byte{0}},
		{"remote address", frame(0x800, 34), remote4, 4, []byte{30, 31, 32, 33}}, {"local address", frame(0x800, 34), local4, 4, []byte{26, 27, 28, 29}},
		{"half a header", frame(0x800, 33), remote4, 8, make([]byte, 8)},
		{"remote address of IPv6", frame(0x86dd, 54), remote6, 16, frame(0, 54)[38:]}, {"local address of IPv6", frame(0x86dd, 54), local6, 16, frame(0, 54)[22:38]},
		{"half a header of IPv6", frame(0x86dd, 53), remote6, 32, make([]byte, 32)},
	} {
		c := interp.SKB(row.packet)
		if got := c.Data[row.off:][:row.n]; !slices.Equal(got, row.want) {
			t.Errorf("%s: %v, want %v", row.name, got, row.want)
		}
	}
}

// TestPacketHelpers runs what programs do to packets and buffers of the kernel's, with the result that a kernel gives.
func TestPacketHelpers(t *testing.T) {
	csum := func(helper, flags int32) []bpf.Insn { // the checksum at 40 is 5, and 0 becomes 5: it would be 0
		return code(movX(6, 1), ldxW(2, 1, 76), insn(0x6a, 2, 0, 40, 5), movK(2, 40), movK(3, 0), movK(4, 5), movK(5, flags), insn(0x85, 0, 0, 0, helper),
			ldxW(2, 6, 76), insn(0x69, 0, 2, 40, 0))
	}
	maps := []bpf.Map{
		{Name: "ring", Type: bpf.RingBuf, MaxEntries: 4096},
		{Name: "trie", Type: bpf.LPMTrie, KeySize: 8, ValueSize: 8, MaxEntries: 4},
	}
	output := code(stDW(10, -8, 0x1234), ldMap(1, 0), movX(2, 10), addK(2, -8), movK(3, 8), movK(4, 0), helper(130))
	trie := func(helper int32) []bpf.Insn {
		return code(stW(10, -8, 32), stW(10, -4, 0x0a000001), stDW(10, -16, 77), ldMap(1, 1), movX(2, 10), addK(2, -8), movX(3, 10), addK(3, -16), movK(4, 0),
			insn(0x85, 0, 0, 0, helper))
	}
	for _, tt := range []struct {
		name string
		typ  bpf.ProgType
		prog []bpf.Insn
		want uint64
	}{
		{"a checksum of 0 with the flag", bpf.SchedCLS, csum(11, 0x22), 0xffff},
		{"a checksum of 0 without", bpf.SchedCLS, csum(11, 2), 0},
		{"a checksum of 0 of layer 3", bpf.SchedCLS, csum(10, 2), 0},
		{"the upper half of a field of two bytes", bpf.SchedCLS, code(insn(0x69, 0, 1, 18, 0)), 0x0d0c},
		{"its last byte", bpf.SchedCLS, code(insn(0x71, 0, 1, 19, 0)), 0},
		{"a string", bpf.SchedCLS, code(stDW(10, -16, 0x00636261), movX(1, 10), addK(1, -8), movK(2, 8), movX(3, 10), addK(3, -16), helper(115)), 4},
		{"a string cut", bpf.SchedCLS, code(stDW(10, -16, 0x63626160), movX(1, 10), addK(1, -8), movK(2, 3), movX(3, 10), addK(3, -16), helper(115),
			insn(0x71, 0, 10, -6, 0)), 0},
		{"what a ring buffer holds", bpf.SchedCLS, code(output, output, ldMap(1, 0), movK(2, 0), helper(134)), 32},
		{"what is in a record", bpf.SchedCLS, code(output, ldMap(1, 0), movK(2, 8), movK(3, 0), helper(131), ldxDW(0, 0, -16)), 0x1234},
		{"a trie", bpf.SchedCLS, code(trie(2), trie(1), insn(0x15, 0, 0, 1, 0), ldxDW(0, 0, 0)), 77},
		{"what lies before a packet moves with it", bpf.XDP, code(movX(6, 1), movK(2, -4), helper(54), ldxW(2, 6, 8), stW(2, 0, 0x55),
			movX(1, 6), movK(2, -8), helper(44), ldxW(2, 6, 8), ldxW(0, 2, 0)), 0x55},
		{"a packet that begins earlier", bpf.XDP, code(movX(6, 1), movK(2, -8), helper(44), ldxW(2, 6, 0), stDW(2, 0, 0x66), ldxDW(0, 2, 0)), 0x66},
		{"and its end", bpf.XDP, code(movX(6, 1), movK(2, -8), helper(44), ldxW(2, 6, 0), ldxW(0, 6, 4), insn(0x1f, 0, 2, 0, 0)), 72},
	} {
		p := prog("p", tt.prog, exit())
		p.Type = tt.typ
		m := newMachine(t, interp.Config{Maps: maps, Programs: []interp.Program{p}})
		if res, err := m.Run(0, interp.ForType(tt.typ, testPacket())); err != nil || res.Return != tt.want {
			t.Errorf("%s: return %#x, %v, want %#x", tt.name, res.Return, err, tt.want)
		}
	}
	for name, insns := range map[string][]bpf.Insn{
		"a string that is not there": code(movX(1, 10), addK(1, -8), movK(2, 8), movK(3, 16), helper(115)),
		"before the context":         code(ldxW(0, 1, -4)),
		"the end of the context":     code(insn(0x79, 0, 1, interp.SKBSize-4, 0)),
	} {
		m := newMachine(t, interp.Config{Programs: []interp.Program{prog("p", insns, exit())}})
		if res, err := m.Run(0, interp.SKB(testPacket())); err == nil {
			t.Errorf("%s: return %#x, no error", name, res.Return)
		}
	}
}
