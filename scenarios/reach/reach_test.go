// SPDX-License-Identifier: GPL-2.0-only

package reach_test

import (
	"slices"
	"testing"

	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/x86"
	"github.com/tcsim/tcsim/scenarios/reach"
)

// Shapes tell ways of emission apart, not registers and numbers.
func TestShape(t *testing.T) {
	s := reach.New(new(x86.Cache))
	add := bpf.Insn{Op: bpf.ClassALU64 | bpf.SrcReg}
	shape := func(code ...byte) uint64 { return s.Shape(add, code) }
	base := shape(0x48, 0x01, 0xf7) // add rdi, rsi
	if shape(0x48, 0x01, 0xd1) != base {
		t.Error("add rcx, rdx is another way than add rdi, rsi")
	}
	if shape(0x48, 0x81, 0xc7, 1, 0, 0, 0) != shape(0x48, 0x81, 0xc7, 2, 0, 0, 0) {
		t.Error("another constant is another way")
	}
	other := [][]byte{
		{0x01, 0xf7},                   // 32 bits
		{0x48, 0x29, 0xf7},             // sub
		{0x48, 0x83, 0xc7, 1},          // a constant of a byte
		{0x48, 0x81, 0xc7, 1, 0, 0, 0}, // of four
		{0x48, 0x01, 0xf7, 0x90},       // something more
		{0x06},                         // nothing that can be decoded
	}
	seen := []uint64{base, s.Shape(bpf.Insn{Op: bpf.ClassALU | bpf.SrcReg}, []byte{0x48, 0x01, 0xf7})}
	if seen[0] == seen[1] {
		t.Error("of another instruction of BPF it is the same way")
	}
	for _, code := range other {
		h := s.Shape(add, code)
		if slices.Contains(seen, h) {
			t.Errorf("% x: the same way as another", code)
		}
		seen = append(seen, h)
	}
}

// What is noted differs by target, by what it is about, by operands and by order; noting it again adds nothing.
func TestSet(t *testing.T) {
	s := reach.New(new(x86.Cache))
	note := func(f func()) int {
		s.Take()
		f()
		return len(s.Take())
	}
	in := bpf.Insn{Op: bpf.ClassALU64}
	for _, tt := range []struct {
		what string
		want int
		f    func()
	}{
		{"one shape on two targets", 2, func() { s.On("a"); s.Executed(1); s.On("b"); s.Executed(1); s.Executed(1) }},
		{"a jump, taken or not", 3, func() { s.Executed(1); s.Jumped(1, true); s.Jumped(1, false); s.Jumped(1, true) }},
		{"operands of the same kind", 1, func() { s.Operands(in, 200, 7); s.Operands(in, 300, 9) }},
		{"operands of several kinds", 8, func() {
			for _, v := range []uint64{0, 1, 2, 1 << 31, 1 << 40, 1 << 63, 1<<64 - 1, 1<<64 - 2} {
				s.Operands(in, v, 7)
			}
		}},
		{"events in another order", 5, func() {
			a, b := trace.Event{Kind: trace.KindCall}, trace.Event{Kind: trace.KindReturn}
			s.Events([]trace.Event{a, b, a})
			s.Events([]trace.Event{a, a, b})
		}},
	} {
		if n := note(tt.f); n != tt.want {
			t.Errorf("%s: %d numbers, expected %d", tt.what, n, tt.want)
		}
	}
	s.Executed(3)
	s.Executed(2)
	if got := s.Take(); !slices.IsSorted(got) || len(s.Take()) != 0 {
		t.Errorf("%v, then more", got)
	}
}
