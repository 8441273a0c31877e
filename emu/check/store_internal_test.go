// SPDX-License-Identifier: GPL-2.0-only

package check

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/emu/record"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/emu/trace/tracetest"
	"github.com/tcsim/tcsim/jit/image"
)

// TestStores: who may write where. Offsets are from rbp of the frame, or from the end of the stack.
func TestStores(t *testing.T) {
	g := tracetest.Graph{Design: tracetest.Hier, Stack: 32}
	values := Range{Lo: 0x5000, End: 0x5010, Name: "v"}
	design := Range{Lo: 0x6000, End: 0x6008}
	allowed := Range{Lo: 0x7000, End: 0x7004}
	const sized = 7
	for _, tc := range []struct {
		name   string
		op     trace.Op
		at     func(a *trace.Activation) image.Addr
		size   int
		good   bool
		change func(c *Checker)
	}{
		// The program: its own stack, that of a caller, what it was given.
		{"the program, its stack", 0, rbp(-32), 8, true, nil},
		{"the program, one byte below its stack", 0, rbp(-33), 8, false, nil},
		{"the program, the end of its stack", 0, rbp(-8), 8, true, nil},
		{"the program, beyond the end of its stack", 0, rbp(-7), 8, false, nil},
		{"the program, below its frame", 0, rbp(-512), 8, false, nil},
		{"the program, a map value", 0, fixed(0x5000), 8, true, nil},
		{"the program, the end of a map value", 0, fixed(0x5008), 8, true, nil},
		{"the program, beyond a map value", 0, fixed(0x5009), 8, false, nil},
		{"the program, before a map value", 0, fixed(0x4fff), 8, false, nil},
		{"the program, what is the design's", 0, fixed(0x6000), 8, false, nil},
		{"the program, what the design may write for now", 0, fixed(0x7000), 4, false, nil},
		{"the program, the counter in its stack", 0, rbp(-16), 8, false, func(c *Checker) { c.counter = c.cur.act.RBP - 16 }},
		{"the program, before the counter in its stack", 0, rbp(-24), 8, true, func(c *Checker) { c.counter = c.cur.act.RBP - 16 }},
		{"the program, a part of the counter", 0, rbp(-17), 2, false, func(c *Checker) { c.counter = c.cur.act.RBP - 16 }},
		// The design: its frame but for the program's stack, the counter of any frame, what it was given.
		{"the design, the program's stack", trace.OpDesign, rbp(-32), 8, false, nil},
		{"the design, the counter", trace.OpDesign, rbp(-40), 8, true, nil},
		{"the design, the saved rbp", trace.OpDesign, rbp(0), 8, true, nil},
		{"the design, the return address", trace.OpDesign, rbp(8), 8, false, nil},
		{"the design, below the frame", trace.OpDesign, rbp(-512), 8, false, nil},
		{"the design, its memory", trace.OpDesign, fixed(0x6000), 8, true, nil},
		{"the design, beyond its memory", trace.OpDesign, fixed(0x6001), 8, false, nil},
		{"the design, what it may write for now", trace.OpDesign, fixed(0x7000), 4, true, nil},
		{"the design, beyond what it may write for now", trace.OpDesign, fixed(0x7000), 8, false, nil},
		{"the design, a map value", trace.OpDesign, fixed(0x5000), 8, false, nil},
		// Pushes: anywhere at or below the return address, but not into the program's stack.
		{"a push below the frame", trace.OpPush | trace.OpDesign, rbp(-512), 8, true, nil},
		{"a push into the program's stack", trace.OpPush | trace.OpDesign, rbp(-24), 8, false, nil},
		{"a push that ends in the program's stack", trace.OpPush | trace.OpDesign, rbp(-36), 8, false, nil},
		{"a push directly below the program's stack", trace.OpPush | trace.OpDesign, rbp(-40), 8, true, nil},
		{"a push over the return address", trace.OpPush | trace.OpDesign, rbp(8), 8, true, nil},
		{"a push above the return address", trace.OpPush | trace.OpDesign, rbp(16), 8, false, nil},
		// Scratch: a prologue that pushes where the program's stack will be.
		{"a push of a prologue that may", trace.OpPush | trace.OpDesign, rbp(-24), 8, true, func(c *Checker) {
			c.cur.act.Fn.Frame.Scratch, c.cur.act.Fn.Frame.Body = true, 1
		}},
		{"a push after a prologue that may", trace.OpPush | trace.OpDesign, rbp(-24), 8, false, func(c *Checker) {
			c.cur.act.Fn.Frame.Scratch, c.cur.act.Fn.Frame.Body = true, 0
		}},
		{"a push of a prologue that may, over the counter", trace.OpPush | trace.OpDesign, rbp(-24), 8, false, func(c *Checker) {
			c.cur.act.Fn.Frame.Scratch, c.cur.act.Fn.Frame.Body = true, 1
			c.counter = c.cur.act.RBP - 20
		}},
		{"a push of a prologue that may, beyond the stack", trace.OpPush | trace.OpDesign, rbp(-4), 8, false, func(c *Checker) {
			c.cur.act.Fn.Frame.Scratch, c.cur.act.Fn.Frame.Body = true, 1
		}},
	} {
		c, entry, _ := inside(t, g, 1, Config{
			Writable: []Range{{Lo: 0x4000, End: 0x4008}, values}, DesignWritable: []Range{design},
		})
		c.AllowDesign(allowed)
		c.refresh()
		a, _ := c.innermost()
		if tc.change != nil {
			tc.change(c)
		}
		ea := tc.at(a)
		op := tc.op | trace.OpInsn | trace.Op(tc.size<<sized)
		if op&trace.OpPush == 0 {
			op |= trace.OpStore
		}
		c.store(9, entry, op, record.Retired{RIP: entry.Addr, EA: ea})
		v := c.Violation()
		if (v == nil) != tc.good || v != nil && (v.Invariant != Frame || !strings.Contains(v.Text, fmt.Sprintf("writes %d bytes at %#x", tc.size, uint64(ea)))) {
			t.Errorf("%s: %v", tc.name, v)
		}
	}
}

func rbp(off int) func(*trace.Activation) image.Addr {
	return func(a *trace.Activation) image.Addr { return a.RBP + image.Addr(int64(off)) }
}

func fixed(at image.Addr) func(*trace.Activation) image.Addr {
	return func(*trace.Activation) image.Addr { return at }
}

// TestWhatLies says what lies at an address, the innermost frame first.
func TestWhatLies(t *testing.T) {
	c, _, _ := inside(t, tracetest.Graph{Design: tracetest.Hier, Stack: 32}, 2, Config{})
	c.refresh()
	c.counter = 0
	s := c.rec.Stack()
	outer, inner := &s[0], &s[1]
	for _, tc := range []struct {
		at   image.Addr
		want string
	}{
		{outer.RBP + 8, "the return address of entry #1"}, {outer.RBP + 15, "the return address of entry #1"},
		{outer.RBP, "a register that entry has saved #1"}, {outer.RBP - 1, "the BPF stack of entry #1"}, {outer.RBP - 32, "the BPF stack of entry #1"},
		{outer.RBP - 40, "tail_call_cnt in the frame of entry #1"}, {outer.RBP - 48, "tail_call_cnt_ptr in the frame of entry #1"},
		{inner.RBP + 8, "the return address of sub #2"}, {inner.RBP - 8, "tail_call_cnt_ptr in the frame of sub #2"},
		{inner.RBP - 24, "the stack below the frame of sub"}, {c.bottom(), "the stack below the frame of sub"}, {c.bottom() - 1, "memory that the program was not given"},
		{outer.Top + 8, "the outside caller's stack"}, {c.top + guard - 1, "the outside caller's stack"}, {c.top + guard, "memory that the program was not given"},
		{0x1000, "memory that the program was not given"},
	} {
		if got := c.what(tc.at); got != tc.want {
			t.Errorf("%#x: %s, want %s", uint64(tc.at), got, tc.want)
		}
	}
	c.counter = outer.RBP - 32
	for off, want := range map[image.Addr]string{0: "tail_call_cnt lives there", 7: "tail_call_cnt lives there", 8: "the BPF stack of entry #1"} {
		if got := c.what(c.counter + off); got != want {
			t.Errorf("the counter %+d: %s", off, got)
		}
	}
}

// TestPushedRBP: the chain of frames holds where rbp was pushed below the return address, or to where rbp points.
func TestPushedRBP(t *testing.T) {
	for _, row := range []struct {
		name   string
		at     image.Addr // from the return address
		opcode byte
		rbp    image.Addr // from the return address
		known  bool
		want   bool
	}{
		{"below the return address", 8, 0x55, 8, true, true},
		{"elsewhere", 16, 0x55, 8, true, false},
		{"another register", 8, 0x50, 8, true, false},
		{"of a frame that is not known", 8, 0x55, 8, false, false},
		{"of a second frame", 24, 0x55, 24, true, true},
		{"below the return address, before a second frame", 8, 0x55, 24, true, true},
	} {
		c, entry, _ := inside(t, tracetest.Graph{Design: tracetest.Hier}, 1, Config{})
		c.refresh()
		c.link(1, false)
		c.known, c.cur.act.RBP = row.known, c.cur.act.Top-row.rbp
		entry.Code[0] = row.opcode
		c.store(1, entry, trace.OpPush|trace.OpDesign|trace.Op(8<<7), record.Retired{RIP: entry.Addr, EA: c.cur.act.Top - row.at})
		if c.linked[0] != row.want {
			t.Errorf("%s: %v", row.name, c.linked[0])
		}
	}
}

// TestUnknownFrames: where nothing is known of a frame a program may write what belongs to it; of what is below the first
// frame something is known.
func TestUnknownFrames(t *testing.T) {
	for _, row := range []struct {
		first bool // it is the first frame that is not known
		off   int  // from the end of the frame
		want  bool
	}{{false, 0, true}, {false, -8, true}, {false, 1, false}, {false, -DefaultStackBudget + 1, true}, {false, -DefaultStackBudget, false}, {true, -8, false}} {
		c, entry, sub := inside(t, tracetest.Graph{Design: tracetest.Hier}, 2, Config{})
		c.refresh()
		c.counter = 0
		f, i := sub, 1
		if row.first {
			f, i = entry, 0
		}
		f.Frame.Slots = nil
		if got := c.programMay(c.rec.Stack()[i].Top+image.Addr(int64(row.off)), 1); got != row.want {
			t.Errorf("%+v: %v", row, got)
		}
	}
}

// TestSlotKind: what the design keeps in the BPF stack is not the program's, in whatever order the frame says so.
func TestSlotKind(t *testing.T) {
	stack, count := image.FrameSlot{Off: -32, Size: 32, Kind: image.SlotBPFStack}, image.FrameSlot{Off: -16, Size: 8, Kind: image.SlotTailCallCnt}
	for _, slots := range [][]image.FrameSlot{{stack, count}, {count, stack}} {
		a := &trace.Activation{Fn: &trace.Fn{FuncImage: &image.FuncImage{Frame: image.Frame{Slots: slots}}}, Top: 0x1008, RBP: 0x1000}
		for at, want := range map[image.Addr]image.SlotKind{
			0x1008: image.SlotReturn, 0x100f: image.SlotReturn, 0x1010: image.SlotUnknown, 0x1000: image.SlotUnknown, 0xfff: image.SlotBPFStack, 0xff8: image.SlotBPFStack,
			0xff7: image.SlotTailCallCnt, 0xff0: image.SlotTailCallCnt, 0xfef: image.SlotBPFStack, 0xfe0: image.SlotBPFStack, 0xfdf: image.SlotUnknown,
		} {
			if got := slotKind(a, at); got != want {
				t.Errorf("%v: %#x is %d, want %d", slots, uint64(at), got, want)
			}
		}
	}
}
