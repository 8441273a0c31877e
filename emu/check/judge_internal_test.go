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
		{"to what is not known", func(g given) { g.e.Target, g.e.TargetAddr = nil, 0 }, "", ""},
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
		{"words that are kept below the saved rbp", func(g given) { g.e.Target.Frame.Kept, g.s.RSP = 16, g.s.RSP-16 }, "", ""},
		{"words that should be kept", func(g given) { g.e.Target.Frame.Kept = 16 }, Balance, "16 bytes below the saved rbp"},
		{"words that the target does not expect", func(g given) { g.f.Frame.Kept, g.s.RSP = 16, g.s.RSP-16 }, Balance, "where the saved rbp lies"},
		{"a whole frame handed over", func(g given) {
			g.f.Frame.Reused, g.s.RSP = true, g.s.RBP+image.Addr(int64(g.f.FrameLow()))
		}, "", ""},
		{"a frame handed over, taken down", func(g given) { g.f.Frame.Reused = true }, Balance, "the frame it hands over has"},
		{"a frame handed over with another rbp", func(g given) {
			g.f.Frame.Reused, g.s.RSP, g.s.RBP = true, g.s.RBP+image.Addr(int64(g.f.FrameLow())), g.s.RBP+8
		}, Balance, "the frame it hands over has"},
		{"a frame handed over of which nothing is known", func(g given) { g.f.Frame.Reused, g.f.Frame.Slots, g.s.RSP = true, nil, g.s.RSP-8 }, "", ""},
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
	// Also where nothing happens but that rsp is there.
	deeper, entry, _ := inside(t, tracetest.Graph{Design: tracetest.Hier}, 1, Config{})
	deeper.cfg.StackBudget = deep - 1
	deeper.Site(trace.MarkTailStart, entry, &record.Site{Seq: 3, RIP: entry.Addr})
	expect(t, "at a site", deeper.Violation(), StackBudget, "bytes deep in 1 frames")
	for at, want := range map[image.Addr]Invariant{
		c.bottom(): FaultFree, c.bottom() - 1: StackBudget, c.bottom() - guard: StackBudget, c.bottom() - guard - 1: FaultFree, 0: FaultFree,
	} {
		c, _, _ := inside(t, tracetest.Graph{Design: tracetest.Hier}, 1, Config{})
		c.Fault(Fault{RIP: tracetest.EntryAddr, Addr: at, Text: "a fault"})
		expect(t, fmt.Sprintf("a fault at %#x", uint64(at)), c.Violation(), want, "a fault")
	}
	none, _ := begun(t, 0)
	none.Fault(Fault{Addr: none.bottom() - 10, Text: "a fault"})
	expect(t, "a fault before the first entry", none.Violation(), FaultFree, "a fault")
}

// TestBelowLevel: what the design reads through a pointer must not lie below rsp, as far as that is known: where the
// function that reads is the innermost, and the frame its own.
func TestBelowLevel(t *testing.T) {
	reach := func(f *trace.Fn) image.CodeOff {
		for off := range f.Code {
			if f.OpAt(image.CodeOff(off))&trace.OpReach != 0 {
				return image.CodeOff(off)
			}
		}
		t.Fatalf("%s reads through no pointer", f)
		return 0
	}
	for _, row := range []struct {
		name   string
		frames int
		below  image.Addr // of rsp
		seen   bool
		change func(c *Checker)
	}{
		{"at rsp", 2, 0, false, nil}, {"below it", 2, 1, true, nil}, {"a word below it", 2, 8, true, nil}, {"as far as is looked", 2, redZone, true, nil},
		{"further", 2, redZone + 1, false, nil}, {"in another function's frame", 1, 8, false, nil},
		{"in a frame that another function made", 2, 8, false, func(c *Checker) {
			a, _ := c.innermost()
			a.Builder = a.Fn
		}},
		{"beyond the stack", 2, 8, false, func(c *Checker) { c.cfg.StackBudget = 64 }},
		{"after a violation", 2, 8, false, func(c *Checker) { c.Report(Violation{Invariant: Frame}) }},
	} {
		c, _, sub := inside(t, tracetest.Graph{Design: tracetest.Hier}, row.frames, Config{})
		a, _ := c.innermost()
		off := reach(sub)
		rsp, ok := sub.Level(off, a.Top)
		if !ok {
			t.Fatal("where rsp is is not known")
		}
		if row.change != nil {
			row.change(c)
		}
		c.Load(9, sub, sub.OpAt(off), record.Retired{RIP: sub.Addr + image.Addr(off), EA: rsp - row.below})
		if v := c.Latent(); (v != nil) != row.seen || v != nil && !strings.Contains(v.Text, fmt.Sprintf("lies %d bytes below rsp", row.below)) {
			t.Errorf("%s: %v", row.name, v)
		}
	}
	c, f := begun(t, 0)
	c.top = 0x10000
	c.Load(1, f, trace.OpReach, record.Retired{RIP: f.Addr, EA: 0xff00})
	if c.Latent() != nil {
		t.Error("nothing is entered, but something lies below rsp")
	}
}

// TestCallers names the function that a frame returns to.
func TestCallers(t *testing.T) {
	c, _, _ := inside(t, tracetest.Graph{Design: tracetest.Hier}, 2, Config{})
	s := c.rec.Stack()
	if got := c.caller(&s[0]) + ", " + c.caller(&s[1]); got != "the outside caller, entry" {
		t.Error(got)
	}
}

// TestKeepCounter: the counter lives where a pointer says, as long as there is one.
func TestKeepCounter(t *testing.T) {
	c, _, _ := inside(t, tracetest.Graph{Design: tracetest.Hier}, 1, Config{})
	for _, row := range []struct{ ptrAt, addr, want image.Addr }{{0x100, 0x200, 0x200}, {0x100, 0x300, 0x300}, {0, 0x300, 0}} {
		if c.keepCounter(&trace.Event{CounterPtrAt: row.ptrAt, CounterAddr: row.addr}); c.counter != row.want {
			t.Errorf("%+v: %#x", row, uint64(c.counter))
		}
	}
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
