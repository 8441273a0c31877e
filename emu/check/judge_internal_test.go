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

// inside is a checker of a run that has so many frames, the innermost past its prologue, with the functions of its code.
func inside(t *testing.T, g tracetest.Graph, frames int, cfg Config) (c *Checker, entry, sub *trace.Fn) {
	t.Helper()
	for n := 1; n < 200; n++ {
		code, m, err := g.Record(trace.Options{Marks: trace.MarkStart}, n, func(*image.Image, *tracetest.Machine) {})
		if code == nil {
			t.Fatal(err)
		}
		c := New(code, trace.Config{}, cfg)
		c.Consume(m.Batch(true))
		if c.Violation() != nil {
			t.Fatal(c.Violation())
		}
		a, ok := c.innermost()
		if last := m.Retired[len(m.Retired)-1].RIP; ok && len(c.rec.Stack()) == frames && last == a.Fn.Addr+image.Addr(a.Fn.Frame.Body) {
			return c, code.Lookup(tracetest.EntryAddr), code.Lookup(tracetest.SubAddr)
		}
	}
	t.Fatalf("no run has %d frames", frames)
	return nil, nil, nil
}

// sound is a site at which the innermost frame has been taken down and all registers are those of its caller.
func sound(c *Checker) *record.Site {
	a, _ := c.innermost()
	return &record.Site{
		RIP: a.Fn.Addr, RSP: a.RBP, RBP: a.RBP, RBX: a.Caller.RBX, R12: a.Caller.R12, R13: a.Caller.R13, R14: a.Caller.R14, R15: a.Caller.R15,
		Stack: [2]uint64{a.Caller.RBP, uint64(a.ReturnTo)},
	}
}

// expect compares what was found with an invariant, "" for none, and a piece of its text.
func expect(t *testing.T, name string, v *Violation, inv Invariant, text string) {
	t.Helper()
	switch {
	case v == nil && inv == "":
	case v == nil || v.Invariant != inv || !strings.Contains(v.Text, text):
		t.Errorf("%s: %v, want %s: %s", name, v, inv, text)
	}
}

// TestTailCallLeaves: how a frame must be left for the target of a tail call, and where that is.
func TestTailCallLeaves(t *testing.T) {
	type given struct {
		c *Checker
		e *trace.Event
		s *record.Site
		f *trace.Fn // which leaves
	}
	for _, tc := range []struct {
		name   string
		change func(g given)
		inv    Invariant
		text   string
	}{
		{"as it must", func(given) {}, "", ""},
		{"to no program", func(g given) { g.e.Target, g.e.TargetAddr = nil, 0x1234 }, Balance, "the tail call goes to 0x1234, which is no program"},
		{"to nobody knows what", func(g given) { g.e.Target, g.e.TargetAddr = nil, 0 }, "", ""},
		{"past the landing", func(g given) { g.e.TargetAddr++ }, Balance, "tail calls enter entry at"},
		{"where its design enters", func(g given) { g.e.Tail.Enter, g.e.TargetAddr = 4, g.e.TargetAddr+4 }, "", ""},
		{"at the landing where its design does not", func(g given) { g.e.Tail.Enter = 4 }, Balance, "tail calls enter entry at"},
		{"to what has no landing", func(g given) { g.e.Target.Frame.Landing = -1; g.e.TargetAddr += 3 }, "", ""},
		{"rsp too low", func(g given) { g.s.RSP -= 8 }, Balance, "where the saved rbp lies"},
		{"rsp too high", func(g given) { g.s.RSP += 8 }, Balance, "where the saved rbp lies"},
		{"another rbp", func(g given) { g.s.RBP += 8 }, Balance, "where the saved rbp lies"},
		{"another saved rbp", func(g given) { g.s.Stack[0]++ }, Balance, "at [rbp]; rbp of entry is"},
		{"another return address", func(g given) { g.s.Stack[1]++ }, Balance, "at [rbp+8]; the return address is"},
		{"rbx", func(g given) { g.s.RBX++ }, CalleeSaved, "rbx (R6)"},
		{"r12", func(g given) { g.s.R12++ }, CalleeSaved, "r12 is"},
		{"r13", func(g given) { g.s.R13++ }, CalleeSaved, "r13 (R7)"},
		{"r14", func(g given) { g.s.R14++ }, CalleeSaved, "r14 (R8)"},
		{"r15", func(g given) { g.s.R15++ }, CalleeSaved, "r15 (R9)"},
		{"words that are kept below the saved rbp", func(g given) { g.f.Frame.Kept, g.s.RSP = 16, g.s.RSP-16 }, "", ""},
		{"words that should be kept", func(g given) { g.f.Frame.Kept = 16 }, Balance, "where the saved rbp lies"},
		{"a whole frame handed over", func(g given) {
			g.f.Frame.Reused, g.s.RSP = true, g.s.RBP+image.Addr(int64(g.f.FrameLow()))
		}, "", ""},
		{"a frame handed over, taken down", func(g given) { g.f.Frame.Reused = true }, Balance, "the frame it hands over has"},
		{"a frame handed over with another rbp", func(g given) {
			g.f.Frame.Reused, g.s.RSP, g.s.RBP = true, g.s.RBP+image.Addr(int64(g.f.FrameLow())), g.s.RBP+8
		}, Balance, "the frame it hands over has"},
		{"a frame handed over of which nothing is known", func(g given) { g.f.Frame.Reused, g.f.Frame.Slots = true, nil }, "", ""},
		{"one too many", func(g given) { g.e.Taken = 34 }, Limit, "the 34th tail call was taken; the limit is 33"},
		{"the last one", func(g given) { g.e.Taken = 33 }, "", ""},
		{"junk", func(g given) { g.e.RAX = 0xbad }, HelperClobber, "is tail-called with rax 0xbad"},
		{"what is no junk", func(g given) { g.e.RAX = 0xbae }, "", ""},
		{"junk that nobody takes", func(g given) { g.e.RAX, g.e.Target.Frame.Counter.Form = 0xbad, image.CounterNone }, "", ""},
	} {
		c, entry, sub := inside(t, tracetest.Graph{Design: tracetest.Hier}, 2, Config{Junk: []uint64{0xbad}})
		e := &trace.Event{
			Kind: trace.KindTailCall, Fn: sub, Target: entry, TargetAddr: entry.Addr + image.Addr(entry.Frame.Landing), Tail: &sub.TailCalls[0], Taken: 1,
		}
		s := sound(c)
		tc.change(given{c, e, s, sub})
		c.tailCall(e, s)
		expect(t, tc.name, c.Violation(), tc.inv, tc.text)
	}
}

// TestReturnLeaves: a return finds the stack and the registers as the call left them.
func TestReturnLeaves(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(s *record.Site)
		inv    Invariant
		text   string
	}{
		{"as it must", func(*record.Site) {}, "", ""},
		{"rsp too low", func(s *record.Site) { s.RSP -= 16 }, Balance, "16 bytes higher"},
		{"rsp too high", func(s *record.Site) { s.RSP += 8 }, Balance, "8 bytes lower"},
		{"elsewhere", func(s *record.Site) { s.Stack[0]++ }, Balance, "the call pushed"},
		{"rbp", func(s *record.Site) { s.RBP++ }, CalleeSaved, "rbp is"},
		{"rbx", func(s *record.Site) { s.RBX++ }, CalleeSaved, "when sub returns; entry had"},
		{"r15", func(s *record.Site) { s.R15++ }, CalleeSaved, "r15 (R9)"},
	} {
		c, _, sub := inside(t, tracetest.Graph{Design: tracetest.Hier}, 2, Config{})
		a, _ := c.innermost()
		s := sound(c)
		s.RSP, s.RBP, s.Stack[0] = a.Top, image.Addr(a.Caller.RBP), uint64(a.ReturnTo)
		tc.change(s)
		c.returns(&trace.Event{Kind: trace.KindReturn, Fn: sub}, s)
		expect(t, tc.name, c.Violation(), tc.inv, tc.text)
	}
}

// TestFrameEnd: at a call the whole frame is above rsp, and what else was pushed; where a tail call starts, it ends there.
func TestFrameEnd(t *testing.T) {
	for _, tc := range []struct {
		name   string
		kind   trace.MarkKind
		change func(c *Checker, s *record.Site)
		bad    bool
	}{
		{"a call", trace.MarkCall, func(*Checker, *record.Site) {}, false},
		{"a call after a push", trace.MarkCall, func(_ *Checker, s *record.Site) { s.RSP -= 8 }, false},
		{"a call in the frame", trace.MarkCall, func(_ *Checker, s *record.Site) { s.RSP += 8 }, true},
		{"a tail call", trace.MarkTailStart, func(*Checker, *record.Site) {}, false},
		{"a tail call after a push", trace.MarkTailStart, func(_ *Checker, s *record.Site) { s.RSP -= 8 }, true},
		{"a tail call in the frame", trace.MarkTailStart, func(_ *Checker, s *record.Site) { s.RSP += 8 }, true},
		{"with another rbp", trace.MarkCall, func(_ *Checker, s *record.Site) { s.RSP += 8; s.RBP++ }, false},
		{"of a frame that is not described", trace.MarkCall, func(c *Checker, s *record.Site) {
			a, _ := c.innermost()
			a.Fn.Frame.Slots = nil
			s.RSP += 8
		}, false},
	} {
		c, _, sub := inside(t, tracetest.Graph{Design: tracetest.Hier}, 2, Config{})
		a, _ := c.innermost()
		s := &record.Site{RSP: a.RBP + image.Addr(int64(a.FrameLow())), RBP: a.RBP}
		tc.change(c, s)
		c.frameEnd(tc.kind, sub, s)
		expect(t, tc.name, c.Violation(), map[bool]Invariant{true: Balance}[tc.bad], "but the frame of sub goes down to")
	}
	c, entry, _ := inside(t, tracetest.Graph{Design: tracetest.Hier}, 2, Config{})
	a, _ := c.innermost()
	c.frameEnd(trace.MarkCall, entry, &record.Site{RSP: a.Top, RBP: a.RBP})
	expect(t, "a function that is not the innermost", c.Violation(), "", "")
}

// TestCallChecks: what is called begins there, gets no junk, and the chain of frames holds.
func TestCallChecks(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(c *Checker, e *trace.Event)
		inv    Invariant
		text   string
	}{
		{"as it must", func(*Checker, *trace.Event) {}, "", ""},
		{"into the middle", func(_ *Checker, e *trace.Event) { e.TargetAddr += 5 }, FaultFree, "the call goes into the middle of sub, to +0x5"},
		{"by a trampoline, past the patched bytes", func(_ *Checker, e *trace.Event) { e.Fn.Trampoline = true; e.TargetAddr += 5 }, "", ""},
		{"by a trampoline, past endbr64 and the patched bytes", func(_ *Checker, e *trace.Event) { e.Fn.Trampoline = true; e.TargetAddr += 9 }, "", ""},
		{"by a trampoline, elsewhere", func(_ *Checker, e *trace.Event) { e.Fn.Trampoline = true; e.TargetAddr += 4 }, FaultFree, "into the middle"},
		{"junk", func(_ *Checker, e *trace.Event) { e.RAX = 0xbad }, HelperClobber, "sub is called with rax 0xbad"},
		{"junk that nobody takes", func(_ *Checker, e *trace.Event) { e.RAX, e.Target.Frame.Counter.Form = 0xbad, image.CounterNone }, "", ""},
		{"junk for a helper", func(_ *Checker, e *trace.Event) { e.Kind, e.RAX = trace.KindHelper, 0xbad }, "", ""},
		{"another rbp", func(_ *Checker, e *trace.Event) { e.RBP += 8 }, Backtrace, "the frame chain must go through"},
		{"rbp that was not pushed", func(c *Checker, _ *trace.Event) { c.link(1, false) }, Backtrace, "entry has not pushed rbp of the outside caller"},
	} {
		c, entry, sub := inside(t, tracetest.Graph{Design: tracetest.Hier}, 1, Config{Junk: []uint64{0xbad}})
		a, _ := c.innermost()
		e := &trace.Event{Kind: trace.KindCall, Fn: entry, Target: sub, TargetAddr: sub.Addr, Depth: 1, RBP: a.RBP}
		tc.change(c, e)
		c.call(e)
		expect(t, tc.name, c.Violation(), tc.inv, tc.text)
		if tc.inv == "" && e.Kind == trace.KindCall && (len(c.linked) < 2 || c.linked[1]) {
			t.Errorf("%s: the frame that is called has pushed rbp already", tc.name)
		}
	}
}

// TestRefusedGoesOn: a refused tail call goes on with what it had, and is not refused by a limit that is not reached.
func TestRefusedGoesOn(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(c *Checker, e *trace.Event, s *record.Site)
		inv    Invariant
		text   string
		latent bool
	}{
		{"as it must", func(*Checker, *trace.Event, *record.Site) {}, "", "", false},
		{"through a frame that is gone", func(_ *Checker, e *trace.Event, _ *record.Site) { e.FellThrough = true }, Pokes, "falls through", false},
		{"rsp", func(_ *Checker, _ *trace.Event, s *record.Site) { s.RSP += 8 }, Balance, "the frame of sub ends at", false},
		{"rbp", func(_ *Checker, _ *trace.Event, s *record.Site) { s.RBP += 8 }, CalleeSaved, "rbp is", false},
		{"nothing known of the frame", func(c *Checker, _ *trace.Event, s *record.Site) {
			a, _ := c.innermost()
			a.Fn.Frame.Slots = nil
			s.RSP += 8
		}, "", "", false},
		{"by the limit, too early", func(_ *Checker, e *trace.Event, _ *record.Site) { e.Reason = trace.ReasonLimit }, "", "", true},
		{"by the limit of one that is not reached", func(c *Checker, e *trace.Event, _ *record.Site) {
			e.Reason, c.cfg.Limit = trace.ReasonLimit, 1
		}, "", "", true},
		{"by the limit where none is known", func(c *Checker, e *trace.Event, _ *record.Site) {
			e.Reason, e.Fn.Limit = trace.ReasonLimit, 1<<32-1
			c.cfg.Limit = 1<<32 - 1
		}, "", "", false},
		{"by a limit of nothing", func(_ *Checker, e *trace.Event, _ *record.Site) { e.Reason, e.Fn.Limit = trace.ReasonLimit, 0 }, "", "", false},
		{"by the bounds", func(_ *Checker, e *trace.Event, _ *record.Site) { e.Reason = trace.ReasonBounds }, "", "", false},
	} {
		c, _, sub := inside(t, tracetest.Graph{Design: tracetest.Hier}, 2, Config{})
		a, _ := c.innermost()
		e := &trace.Event{Kind: trace.KindRefused, Fn: sub, Tail: &sub.TailCalls[0], Reason: trace.ReasonEmpty, No: 7, Site: 8}
		s := &record.Site{RSP: a.RBP + image.Addr(int64(a.FrameLow())), RBP: a.RBP}
		tc.change(c, e, s)
		c.refused(e, s)
		expect(t, tc.name, c.Violation(), tc.inv, tc.text)
		if l := c.Latent(); (l != nil) != tc.latent || l != nil && (l.Invariant != Limit || l.Event != 7 || l.Site != 8 || !strings.Contains(l.Text, "and 0 were tried before")) {
			t.Errorf("%s: latent %v", tc.name, l)
		}
	}
}

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

// TestStackBudget: rsp may come to the end of the stack, and no further.
func TestStackBudget(t *testing.T) {
	c, _, _ := inside(t, tracetest.Graph{Design: tracetest.Hier}, 1, Config{})
	deep := uint64(c.top - c.rec.Deepest().RSP)
	for _, less := range []uint64{0, 1} {
		c, _, _ := inside(t, tracetest.Graph{Design: tracetest.Hier}, 1, Config{})
		c.cfg.StackBudget = deep - less
		c.budget(3, tracetest.EntryAddr)
		expect(t, fmt.Sprint(less), c.Violation(), map[uint64]Invariant{1: StackBudget}[less], fmt.Sprintf("the stack is %d bytes deep in 1 frames", deep))
	}
	for at, want := range map[image.Addr]Invariant{
		c.bottom(): FaultFree, c.bottom() - 1: StackBudget, c.bottom() - guard: StackBudget, c.bottom() - guard - 1: FaultFree, 0: FaultFree,
	} {
		c, _, _ := inside(t, tracetest.Graph{Design: tracetest.Hier}, 1, Config{})
		c.Fault(Fault{RIP: tracetest.EntryAddr, Addr: at, Text: "a fault"})
		expect(t, fmt.Sprintf("a fault at %#x", uint64(at)), c.Violation(), want, "a fault")
	}
	none, _ := begun(t, 0)
	none.Fault(Fault{Addr: ^image.Addr(0) - 100, Text: "a fault"})
	expect(t, "a fault before the first entry", none.Violation(), FaultFree, "a fault")
}

// TestKeepGoing: the first violation stays, each other one is kept once, with how often it was, up to a bound.
func TestKeepGoing(t *testing.T) {
	c, _, _ := inside(t, tracetest.Graph{Design: tracetest.Hier}, 1, Config{KeepGoing: true})
	v := func(i Invariant, rip trace.Hex) Violation { return Violation{Invariant: i, RIP: rip} }
	for _, x := range []Violation{v(Frame, 1), v(Frame, 1), v(Frame, 1), v(Frame, 2), v(Balance, 1)} {
		c.Report(x)
	}
	if got := fmt.Sprintf("%d %d %d %d %s", c.Violation().RIP, len(c.More()), c.More()[0].Times, c.More()[1].RIP, c.More()[2].Invariant); got != "1 3 2 2 balance" {
		t.Errorf("%s", got)
	}
	for i := range 1000 {
		c.Report(v(Limit, trace.Hex(i)))
	}
	if len(c.More()) != maxMore || c.rec.Stopped() {
		t.Errorf("%d are kept; stopped %v", len(c.More()), c.rec.Stopped())
	}
	c, _, _ = inside(t, tracetest.Graph{Design: tracetest.Hier}, 1, Config{})
	c.Report(v(Frame, 1))
	c.Report(v(Frame, 2))
	if c.Violation().RIP != 1 || len(c.More()) != 0 || !c.rec.Stopped() {
		t.Errorf("%v, %v, stopped %v", c.Violation(), c.More(), c.rec.Stopped())
	}
}

func TestOrdinal(t *testing.T) {
	for n, want := range map[uint64]string{
		1: "1st", 2: "2nd", 3: "3rd", 4: "4th", 10: "10th", 11: "11th", 12: "12th", 13: "13th", 14: "14th", 21: "21st", 22: "22nd", 23: "23rd", 111: "111th", 113: "113th", 121: "121st",
	} {
		if got := ordinal(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
}

// TestPokedSites: what the patched instructions of a direct tail call must do.
func TestPokedSites(t *testing.T) {
	const bypass, jump, out, landing = 0x1000, 0x1020, 0x1040, 0x2000
	nop := []byte{0x0f, 0x1f, 0x44, 0, 0}
	jmp := func(at, to int32) []byte {
		d := uint32(to - at - 5)
		return []byte{0xe9, byte(d), byte(d >> 8), byte(d >> 16), byte(d >> 24)}
	}
	site := image.PokeSite{Bypass: bypass, Jump: jump, Out: out}
	for _, tc := range []struct {
		name         string
		site         image.PokeSite
		first, then  []byte
		to           image.Addr
		fault, leads string
	}{
		{"filled", site, nop, jmp(jump, landing), landing, "", ""},
		{"empty", site, jmp(bypass, out), nop, 0, "", ""},
		{"empty, with the jump still there", site, jmp(bypass, out), jmp(jump, landing), 0, "", ""},
		{"filled, but bypassed", site, jmp(bypass, out), jmp(jump, landing), landing, "", "leads to nothing, the slot to 0x2000"},
		{"both nops", site, nop, nop, 0, "are both nops", ""},
		{"both nops, filled", site, nop, nop, landing, "are both nops", "leads to nothing, the slot to 0x2000"},
		{"elsewhere", site, nop, jmp(jump, 0x3000), landing, "", "leads to 0x3000, the slot to 0x2000"},
		{"not emptied", site, nop, jmp(jump, landing), 0, "", "leads to 0x2000, the slot to nothing"},
		{"bypassed to elsewhere", site, jmp(bypass, out+1), nop, 0, "", "the bypass jumps to 0x1041; the tail call ends at 0x1040"},
		{"without a bypass, filled", image.PokeSite{Jump: jump}, nil, jmp(jump, landing), landing, "", ""},
		{"without a bypass, empty", image.PokeSite{Jump: jump}, nil, nop, 0, "", ""},
		{"without a bypass, not filled", image.PokeSite{Jump: jump}, nil, nop, landing, "", "leads to nothing"},
	} {
		st, err := ReadSite(tc.site, func(a image.Addr, _ int) ([]byte, error) {
			if a == bypass {
				return tc.first, nil
			}
			return tc.then, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		text := func(e *PokeError) string {
			if e == nil {
				return ""
			}
			return e.Error()
		}
		if got := text(st.Fault()); (got == "") != (tc.fault == "") || !strings.Contains(got, tc.fault) {
			t.Errorf("%s: fault %s", tc.name, got)
		}
		if got := text(st.Leads(tc.to)); (got == "") != (tc.leads == "") || !strings.Contains(got, tc.leads) {
			t.Errorf("%s: leads %s", tc.name, got)
		}
	}
	for _, bad := range []image.Addr{bypass, jump} {
		if _, err := ReadSite(site, func(a image.Addr, _ int) ([]byte, error) {
			if a == bad {
				return nil, fmt.Errorf("no memory")
			}
			return nop, nil
		}); err == nil {
			t.Errorf("%#x cannot be read: no error", uint64(bad))
		}
	}
}
