// SPDX-License-Identifier: GPL-2.0-only

package check

import (
	"slices"
	"testing"

	"github.com/tcsim/tcsim/emu/record"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit/image"
)

// TestBelowPieces: what is written below rsp stays in mind until it is written properly, all of it or a part.
func TestBelowPieces(t *testing.T) {
	const sized = 7 // where the size of a store begins in a trace.Op
	for _, tc := range []struct {
		name string
		at   image.Addr
		n    int
		want []below
	}{
		{"beside it", 0x0f8, 8, []below{{0x100, 0x108}}},
		{"after it", 0x108, 8, []below{{0x100, 0x108}}},
		{"all of it", 0x100, 8, nil},
		{"more than it", 0x0f0, 64, nil},
		{"its end", 0x104, 8, []below{{0x100, 0x104}}},
		{"its beginning", 0x0fc, 8, []below{{0x104, 0x108}}},
		{"its middle", 0x102, 2, []below{{0x100, 0x102}, {0x104, 0x108}}},
	} {
		c, _ := begun(t, 0)
		store := func(below trace.Op, at image.Addr, n int) {
			c.belowStore(trace.OpStore|below|trace.Op(n<<sized), record.Retired{EA: at})
		}
		store(trace.OpBelow, 0x100, 8)
		store(0, tc.at, tc.n)
		if !slices.Equal(c.below, tc.want) {
			t.Errorf("%s: %x, want %x", tc.name, c.below, tc.want)
		}
	}
}

// TestNewKnowsTheStack: a checker that nothing has entered yet knows where the stack ends.
func TestNewKnowsTheStack(t *testing.T) {
	code, err := trace.NewCode(nil, trace.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if c := New(code, trace.Config{}, Config{StackTop: 0x4000}); c.top != 0x4000 {
		t.Errorf("top %#x", uint64(c.top))
	}
}

// TestFrameOf: where a frame lies, and the BPF stack in it.
func TestFrameOf(t *testing.T) {
	f := &trace.Fn{FuncImage: &image.FuncImage{Frame: image.Frame{Slots: []image.FrameSlot{
		{Off: 8, Size: 8, Kind: image.SlotReturn}, {Off: -16, Size: 16, Kind: image.SlotBPFStack}, {Off: -24, Size: 8, Kind: image.SlotPad},
	}}}}
	got, ok := frameOf(&trace.Activation{Fn: f, Top: 0x1008, RBP: 0x1000})
	if !ok || got.lo != 0xff0 || got.hi != 0x1000 || got.low != 0x1000+image.Addr(int64(f.FrameLow())) || got.low == 0 {
		t.Errorf("%+v, %v", got, ok)
	}
	if _, ok := frameOf(&trace.Activation{Fn: &trace.Fn{FuncImage: &image.FuncImage{}}}); ok {
		t.Error("a function without a frame has one")
	}
}

// TestChained: rbp leads to the saved rbp below the return address, in designs with a second frame by way of it.
func TestChained(t *testing.T) {
	with := func(kind image.SlotKind) *trace.Fn {
		return &trace.Fn{FuncImage: &image.FuncImage{Frame: image.Frame{Slots: []image.FrameSlot{{Off: 0, Size: 8, Kind: kind}, {Off: -8, Size: 8, Kind: image.SlotPad}}}}}
	}
	for _, tc := range []struct {
		name string
		kind image.SlotKind
		rbp  image.Addr
		want bool
	}{
		{"below the return address", image.SlotPad, 0xff8, true},
		{"elsewhere", image.SlotPad, 0xff0, false},
		{"where the frame is, without a link", image.SlotPad, 0xf00, false},
		{"where the frame is, with a link", image.SlotFrameLink, 0xf00, true},
		{"beside the link", image.SlotFrameLink, 0xef8, false},
	} {
		a := &trace.Activation{Fn: with(tc.kind), Top: 0x1000, RBP: 0xf00}
		if got := chained(a, tc.rbp); got != tc.want {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
}

// TestNoEndbr: an indirect jump to what has no endbr64 is wrong where the kernel has them, and nothing else is.
func TestNoEndbr(t *testing.T) {
	endbr := []byte{0xf3, 0x0f, 0x1e, 0xfa, 0x90, 0x90, 0x90, 0x90, 0xc3}
	plain := []byte{0x0f, 0x1f, 0x44, 0, 0, 0x90, 0x90, 0x90, 0xc3}
	fn := func(code []byte) *trace.Fn { return &trace.Fn{FuncImage: &image.FuncImage{Addr: 0x1000, Code: code}} }
	jump, thunk := fn([]byte{0xff, 0xe1}), fn([]byte{0xe9, 0, 0, 0, 0})
	through := &image.TailCallSite{Jump: 0}
	for _, tc := range []struct {
		name string
		e    trace.Event
		want bool
	}{
		{"past it", trace.Event{Fn: jump, Target: fn(endbr), TargetAddr: 0x1004, Tail: through}, true},
		{"past what a hash is checked after", trace.Event{Fn: jump, Target: &trace.Fn{FuncImage: &image.FuncImage{Addr: 0x1000, Code: endbr, Entry: 4}}, TargetAddr: 0x1006, Tail: through}, true},
		{"at it", trace.Event{Fn: jump, Target: fn(endbr), TargetAddr: 0x1000, Tail: through}, false},
		{"a kernel without", trace.Event{Fn: jump, Target: fn(plain), TargetAddr: 0x1004, Tail: through}, false},
		{"a direct one", trace.Event{Fn: jump, Target: fn(endbr), TargetAddr: 0x1004, Tail: &image.TailCallSite{Direct: true}}, false},
		{"by a thunk", trace.Event{Fn: thunk, Target: fn(endbr), TargetAddr: 0x1004, Tail: through}, false},
		{"to nothing", trace.Event{Fn: jump, TargetAddr: 0x1004, Tail: through}, false},
		{"to what is not known", trace.Event{Fn: jump, Target: fn(endbr), Tail: through}, false},
		{"no site", trace.Event{Fn: jump, Target: fn(endbr), TargetAddr: 0x1004}, false},
		{"a site without a jump", trace.Event{Fn: jump, Target: fn(endbr), TargetAddr: 0x1004, Tail: &image.TailCallSite{Jump: -1}}, false},
	} {
		if got := noEndbr(&tc.e); got != tc.want {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
}
