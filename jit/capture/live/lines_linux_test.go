// SPDX-License-Identifier: GPL-2.0-only

package live

import (
	"slices"
	"testing"

	"github.com/tcsim/tcsim/jit/bpf"
)

// TestFromPreamble has the records of a program of two functions on a kernel with kCFI: the first of each
// function is right.
func TestFromPreamble(t *testing.T) {
	lines := []uint64{0x1004, 0x1049, 0x104e, 0x11a4, 0x11f9}
	fromPreamble([]uint64{0x1004, 0x11a4}, lines)
	if want := []uint64{0x1004, 0x1039, 0x103e, 0x11a4, 0x11e9}; !slices.Equal(lines, want) {
		t.Errorf("lines are at %#x, expected %#x", lines, want)
	}
}

// TestAttachSite finds where functions lead to their trampolines, with and without an endbr64 and with what FineIBT
// makes of it.
func TestAttachSite(t *testing.T) {
	nop, call := "\x0f\x1f\x44\x00\x00", "\xe8\x01\x02\x03\x04"
	for _, c := range []struct {
		before, after string
		off           int
		ok            bool
	}{
		{nop + "\xc3", call + "\xc3", 0, true},
		{"\xf3\x0f\x1e\xfa" + nop, "\xf3\x0f\x1e\xfa" + call, 4, true},
		{"\x66\x0f\x1f\x00" + nop, "\x66\x0f\x1f\x00" + call, 4, true},
		{"\x66\x0f\x1f\x00" + nop, "\x66\x0f\x1f\x00" + nop, 0, false},
		{"\xf3\x0f\x1e\xfa", "\xf3\x0f\x1e\xfa", 0, false},
		{nop, call + "\xc3", 0, false},
	} {
		if off, ok := attachSite([]byte(c.before), []byte(c.after)); off != c.off || ok != c.ok {
			t.Errorf("% x: %d %t, expected %d %t", c.after, off, ok, c.off, c.ok)
		}
	}
}

// TestAddCallback adds the verifier's own exception callback to a program that has no return itself: it throws, and the last
// function ends with a jump.
func TestAddCallback(t *testing.T) {
	for _, c := range []struct {
		trap bool
		want string
	}{{false, "\xeb\xfe\xc9\xc3"}, {true, "\xeb\xfe\xc9\xc3\xcc"}} {
		d := &dump{addrs: []uint64{0x1000}, lens: []uint32{2}, code: []byte("\xeb\xfe")}
		d.addCallback(0x2000, []byte("\xc9\xc3"), c.trap)
		if string(d.code) != c.want || d.hidden != 1 || d.addrs[1] != 0x2000 || int(d.lens[1]) != len(c.want)-2 {
			t.Errorf("int3 after returns %t: code % x, lengths %d, addresses %#x", c.trap, d.code, d.lens, d.addrs)
		}
	}
}

// TestBlindedLines: the lines of a program of several functions whose constants are blinded are of instructions that the
// kernel does not show; of one function they are of those that it does.
func TestBlindedLines(t *testing.T) {
	d := &dump{
		addrs: []uint64{0x1000, 0x1100}, lens: []uint32{1, 1}, code: []byte("\xc3\xc3"), funcs: []funcRec{{0, 1}, {1, 2}},
		lines: []lineRec{{insn: 0}, {insn: 9}}, lineAddrs: []uint64{0x1000, 0x1100}, xlatedInsns: make([]bpf.Insn, 2),
	}
	out, err := d.convert(nil, true)
	if err != nil || len(out.Lines) != 0 || len(out.Funcs) != 2 {
		t.Errorf("two functions: %v, %+v", err, out)
	}
	if _, err := d.convert(nil, false); err == nil {
		t.Error("a line of an instruction that is not there")
	}
	one := &dump{addrs: d.addrs[:1], lens: d.lens[:1], funcs: d.funcs[:1], lines: d.lines[:1], lineAddrs: d.lineAddrs[:1], code: d.code[:1], xlatedInsns: d.xlatedInsns}
	if out, err := one.convert(nil, true); err != nil || len(out.Lines) != 1 {
		t.Errorf("one function: %v, %+v", err, out)
	}
}
