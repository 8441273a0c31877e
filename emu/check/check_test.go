// SPDX-License-Identifier: GPL-2.0-only

package check_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/emu/check"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/emu/trace/tracetest"
	"github.com/tcsim/tcsim/jit/image"
)

const full = trace.MarkStart

func options(m trace.Marks) trace.Options {
	return trace.Options{Marks: m, Symbol: func(a image.Addr) string {
		if a == tracetest.Outside {
			return "bpf_test_run"
		}
		return ""
	}}
}

type change func(t *testing.T, img *image.Image, m *tracetest.Machine)

// judge records at most max instructions of a graph, changed before it runs, and checks them.
func judge(t *testing.T, g tracetest.Graph, ch change, level level, cfg check.Config) *check.Checker {
	t.Helper()
	c, m, err := g.Record(options(level.marks), level.max, func(img *image.Image, m *tracetest.Machine) {
		if ch != nil {
			ch(t, img, m)
		}
	})
	if c == nil {
		t.Fatal(err)
	}
	if cfg.Junk == nil {
		cfg.Junk = []uint64{tracetest.Junk}
	}
	ck := check.New(c, trace.Config{}, cfg)
	ck.Consume(m.Batch(level.retired))
	ck.Finish()
	if err != nil && ck.Violation() == nil {
		t.Fatalf("no violation, but %v", err)
	}
	return ck
}

type level struct {
	marks   trace.Marks
	retired bool
	max     int
}

var levels = map[string]level{
	"sites lean":   {max: 20000},
	"sites full":   {marks: full, max: 20000},
	"retired lean": {retired: true, max: 20000},
	"retired full": {retired: true, marks: full, max: 20000},
}

// replace changes the first occurrence of from, hexadecimal like to, in the code of a function.
func replace(fn int, from, to string) change {
	return func(t *testing.T, img *image.Image, _ *tracetest.Machine) {
		t.Helper()
		f, w := unhex(t, from), unhex(t, to)
		code := img.Funcs[fn].Code
		i := bytes.Index(code, f)
		if i < 0 || len(f) != len(w) {
			t.Fatalf("%s is not in the code, or %s is not as long", from, to)
		}
		copy(code[i:], w)
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	var b []byte
	for _, w := range strings.Fields(s) {
		for i := 0; i+1 < len(w); i += 2 {
			b = append(b, byte(strings.IndexByte("0123456789abcdef", w[i])<<4|strings.IndexByte("0123456789abcdef", w[i+1])))
		}
	}
	return b
}

// Code that is right breaks nothing.
func TestSound(t *testing.T) {
	ctx := check.Range{Lo: 0xffff888100000000, End: 0xffff888100000100, Name: "ctx"}
	for _, g := range []tracetest.Graph{
		{Design: tracetest.Hier, Calls: 3},
		{Design: tracetest.Hier, Calls: 2, Direct: true, Helper: true},
		{Design: tracetest.Hier, Around: true, Stack: 64},
		{Design: tracetest.Rework, Helper: true, Stack: 40},
		{Design: tracetest.Reuse, Self: true, Stack: 512, Helper: true},
		{Design: tracetest.Hier, Self: true}, {Design: tracetest.Rework, Self: true, Stack: 24},
		{Design: tracetest.Hier, Extra: "48891f"},                              // mov [rdi], rbx
		{Design: tracetest.Hier, SubExtra: "48c7452800000000"},                 // mov qword [rbp+40], 0: caller's fp-8
		{Design: tracetest.Rework, SubExtra: "48c7452000000000", Stack: 8},     // the same
		{Design: tracetest.Rework, Stack: 400},                                 // below the budget
		{Design: tracetest.Hier, Extra: "50 52 5a 58", Helper: true, Calls: 2}, // push rax; push rdx; pop rdx; pop rax
	} {
		for name, l := range levels {
			ck := judge(t, g, nil, l, check.Config{Writable: []check.Range{ctx}})
			if v := ck.Violation(); v != nil {
				t.Errorf("%s, %+v: %s", name, g, v)
			}
			if n := ck.Recorder().Counts().Taken; n != 33 {
				t.Errorf("%s, %+v: %d tail calls", name, g, n)
			}
		}
	}
}

// Each invariant is broken on purpose, and found under its name, at the levels that can see it.
func TestBroken(t *testing.T) {
	hier, rework := tracetest.Graph{Design: tracetest.Hier, Calls: 2}, tracetest.Graph{Design: tracetest.Rework}
	with := func(g tracetest.Graph, f func(*tracetest.Graph)) tracetest.Graph { f(&g); return g }
	for _, tt := range []struct {
		name string
		g    tracetest.Graph
		ch   change
		cfg  check.Config
		inv  check.Invariant
		text string
		only string // levels that see it, "" for all
	}{
		{
			name: "by value, two calls", g: tracetest.Graph{Design: tracetest.Rework, Calls: 2},
			inv: check.Limit, text: "the 34th tail call was taken; the limit is 33",
		},
		{
			name: "limit one too high", g: hier, ch: replace(1, "48833821", "48833822"),
			inv: check.Limit, text: "the 34th tail call was taken; the limit is 33",
		},
		{
			name: "limit as an argument", g: rework, cfg: check.Config{Limit: 5},
			inv: check.Limit, text: "the 6th tail call was taken; the limit is 5",
		},
		{
			name: "no leave", g: hier, ch: replace(1, "c9c3", "90c3"),
			inv: check.Balance, text: "sub returns with rsp",
		},
		{
			name: "one pop missing before the jump", g: hier, ch: replace(1, "5858", "5890"),
			inv: check.Balance, text: "the tail call to entry leaves with rsp",
		},
		{
			name: "prologue without the push of the counter", g: rework, ch: replace(0, "5053", "9053"),
			inv: check.Balance, text: "but the frame of entry goes down to 0xffffc90000003f98",
		},
		{
			name: "frame reuse with a push", g: tracetest.Graph{Design: tracetest.Reuse, Self: true}, ch: replace(0, "83c001", "506690"),
			inv: check.Balance, text: "the tail call to entry leaves with rsp 0xffffc90000003f90 and rbp 0xffffc90000003fb0; the frame it hands over",
		},
		{
			name: "wrong offset of the landing", g: hier, ch: replace(1, "4883c10c", "4883c10b"),
			inv: check.Balance, text: "lands at entry+0xb; tail calls enter entry at +0xc", only: "retired",
		},
		{
			name: "lands at the entry", g: rework, ch: replace(1, "4883c10b", "4883c100"),
			inv: check.Balance, text: "lands at entry+0x0; tail calls enter entry at +0xb",
		},
		{
			name: "epilogue without pop rbx", g: hier, ch: replace(0, "5bc9c3", "58c9c3"),
			inv: check.CalleeSaved, text: "rbx (R6) is",
		},
		{
			name: "prologue does not save r13 that the program uses", g: with(hier, func(g *tracetest.Graph) { g.Extra = "4989fd" }), // mov r13, rdi
			inv: check.CalleeSaved, text: "r13 (R7) is 0xffff888100000000",
		},
		{
			name: "store to the saved rbp", g: with(hier, func(g *tracetest.Graph) { g.Extra = "48895d00" }), // mov [rbp], rbx
			inv: check.Frame, text: "the program writes 8 bytes at 0xffffc90000003fb0: a register that entry has saved #1", only: "retired",
		},
		{
			name: "store to the return address", g: with(hier, func(g *tracetest.Graph) { g.Extra = "48895d08" }),
			inv: check.Frame, text: "the return address of entry #1", only: "retired",
		},
		{
			name: "store to the counter", g: with(hier, func(g *tracetest.Graph) { g.Extra = "48895df0" }),
			inv: check.Frame, text: "tail_call_cnt in the frame of entry #1", only: "retired",
		},
		{
			name: "store that straddles", g: with(hier, func(g *tracetest.Graph) { g.Extra = "48895dfc" }),
			inv: check.Frame, text: "the program writes 8 bytes", only: "retired",
		},
		{
			name: "store to a register that the caller saved", g: with(hier, func(g *tracetest.Graph) { g.SubExtra = "48c7451000000000" }),
			inv: check.Frame, text: "a register that entry has saved #1", only: "retired",
		},
		{
			name: "store to the context", g: with(hier, func(g *tracetest.Graph) { g.Extra = "48891f" }),
			inv: check.Frame, text: "memory that the program was not given", only: "retired",
		},
		{
			name: "counter written to the caller's BPF stack", g: rework, ch: replace(1, "8985fcffffff", "898520000000"),
			inv: check.Frame, text: "code of the design writes 4 bytes at 0xffffc90000003fa8: the BPF stack of entry #1", only: "retired",
		},
		{
			name: "room for the BPF stack missing", g: hier, ch: replace(0, "4881ec08000000", "0f1f8000000000"),
			inv: check.Frame, text: "the BPF stack of entry #1", only: "retired",
		},
		{
			name: "deep frames", g: tracetest.Graph{Design: tracetest.Hier, Stack: 504},
			inv: check.StackBudget, text: "the kernel stack has 16384",
		},
		{
			name: "small stack", g: hier, cfg: check.Config{StackBudget: 256},
			inv: check.StackBudget, text: "the stack is 272 bytes deep in 6 frames; the kernel stack has 256",
		},
		{
			name: "rbp moved", g: with(hier, func(g *tracetest.Graph) { g.Extra = "4883c508" }), // add rbp, 8
			inv: check.Backtrace, text: "the frame chain must go through 0xffffc90000003fb0",
		},
		{
			name: "rbp not pushed", g: hier, ch: replace(0, "554889e5", "504889e5"),
			inv: check.Backtrace, text: "entry has not pushed rbp of the outside caller", only: "retired",
		},
		{
			name: "counter not reloaded after a helper", g: with(rework, func(g *tracetest.Graph) { g.Helper = true }),
			ch:  replace(0, "4889df 488b85f0ffffff", "4889df 0f1f8000000000"),
			inv: check.HelperClobber, text: "sub is called with rax 0xffffdeadbeef5a5a",
		},
		{
			name: "pointer not reloaded after a helper", g: with(hier, func(g *tracetest.Graph) { g.Helper = true }),
			ch:  replace(0, "4889df 488b85e8ffffff", "4889df 0f1f8000000000"),
			inv: check.HelperClobber, text: "sub is called with rax 0xffffdeadbeef5a5a",
		},
		{
			name: "bypass open, target a nop", g: with(hier, func(g *tracetest.Graph) { g.Direct = true }),
			ch: func(_ *testing.T, img *image.Image, _ *tracetest.Machine) {
				f := &img.Funcs[1]
				copy(f.Code[f.TailCalls[0].Jump:], []byte{0x0f, 0x1f, 0x44, 0, 0})
			},
			inv: check.Pokes, text: "falls through",
		},
	} {
		for name, l := range levels {
			if !strings.HasPrefix(name, tt.only) {
				continue
			}
			v := judge(t, tt.g, tt.ch, l, tt.cfg).Violation()
			if v == nil || v.Invariant != tt.inv || !strings.Contains(v.Text, tt.text) {
				t.Errorf("%s, %s: %v, want %s: %s", tt.name, name, v, tt.inv, tt.text)
			}
		}
	}
}

// What follows a violation is as it was when it was found, for a drawing.
func TestStackAtViolation(t *testing.T) {
	ck := judge(t, tracetest.Graph{Design: tracetest.Rework, Calls: 2}, nil, levels["retired full"], check.Config{})
	v := ck.Violation()
	s := ck.Recorder().StackAt(v.Until, 0)
	if v.Until == 0 || len(s) != 34 || s[33].Fn.Name != "entry" || s[33].From.Name != "sub" {
		t.Errorf("%d frames at %s, the last %+v", len(s), v, s[len(s)-1])
	}
}

// Streams that no short code makes, by changing what was recorded.
func TestBrokenStreams(t *testing.T) {
	g := tracetest.Graph{Design: tracetest.Hier, Calls: 2}
	for _, tt := range []struct {
		name   string
		marks  trace.Marks
		kind   trace.Kind
		nth    int
		change func(m *tracetest.Machine, site int)
		inv    check.Invariant
		text   string
	}{
		{"R6 lost in a refused tail call", full, trace.KindRefused, 1, func(m *tracetest.Machine, i int) { m.Sites[i].RBX = 7 },
			check.CalleeSaved, "rbx (R6) is 0x7 after a refused tail call, 0xffff888100000000 before it"},
		{"r15 lost in a refused tail call", trace.MarkStart, trace.KindRefused, 2, func(m *tracetest.Machine, i int) { m.Sites[i].R15++ },
			check.CalleeSaved, "r15 (R9)"},
		{"rsp after a refused tail call", full, trace.KindRefused, 1, func(m *tracetest.Machine, i int) { m.Sites[i].RSP += 8 },
			check.Balance, "after a refused tail call"},
		{"rsp after a refused tail call, lean", 0, trace.KindRefused, 1, func(m *tracetest.Machine, i int) { m.Sites[i].RSP += 8 },
			check.Balance, "the frame of sub ends at"},
		{"rbp after a refused tail call, lean", 0, trace.KindRefused, 1, func(m *tracetest.Machine, i int) { m.Sites[i].RBP += 8 },
			check.CalleeSaved, "rbp is"},
		{"another return address", full, trace.KindReturn, 1, func(m *tracetest.Machine, i int) { m.Sites[i].Stack[0]++ },
			check.Balance, "sub returns to entry+0x39; the call pushed entry+0x38"},
		{"saved rbp at the landing", full, trace.KindTailCall, 3, func(m *tracetest.Machine, i int) { m.Sites[i].Stack[0]++ },
			check.Balance, "at [rbp]; rbp of entry is"},
		{"return address at the landing", full, trace.KindTailCall, 3, func(m *tracetest.Machine, i int) { m.Sites[i].Stack[1]++ },
			check.Balance, "at [rbp+8]; the return address is"},
		{"r14 at the landing", full, trace.KindTailCall, 3, func(m *tracetest.Machine, i int) { m.Sites[i].R14++ },
			check.CalleeSaved, "r14 (R8) is 0xca11ee04 when sub tail-calls entry; entry had 0xca11ee03 in it"},
		{"junk in rax at the landing", full, trace.KindTailCall, 3, func(m *tracetest.Machine, i int) { m.Sites[i].RAX = tracetest.Junk },
			check.HelperClobber, "entry is tail-called with rax"},
		{"r12 at a return", full, trace.KindReturn, 4, func(m *tracetest.Machine, i int) { m.Sites[i].R12 = 1 },
			check.CalleeSaved, "r12 is 0x1 when"},
	} {
		c, m, err := g.Record(options(tt.marks), 20000, nil)
		if err != nil {
			t.Fatal(err)
		}
		rec := trace.NewRecorder(c, trace.Config{})
		rec.Consume(m.Batch(true))
		rec.Finish()
		n := 0
		var want trace.Event
		for _, e := range rec.Events() {
			if e.Kind == tt.kind {
				if n++; n == tt.nth {
					want = e
				}
			}
		}
		tt.change(m, int(want.Site)-1)
		ck := check.New(c, trace.Config{}, check.Config{Junk: []uint64{tracetest.Junk}})
		if !ck.Consume(m.Batch(true)) {
			t.Errorf("%s: did not ask to stop", tt.name)
		}
		v := ck.Violation()
		if v == nil || v.Invariant != tt.inv || !strings.Contains(v.Text, tt.text) {
			t.Errorf("%s: %v, want %s: %s", tt.name, v, tt.inv, tt.text)
			continue
		}
		if v.Event != want.No || v.Seq != want.Seq || image.Addr(v.RIP) != want.RIP || v.Func != want.Fn.String() {
			t.Errorf("%s: found at event %d, instruction %d, want %d, %d", tt.name, v.Event, v.Seq, want.No, want.Seq)
		}
	}
}

// Nothing was entered: each kind of event says so.
func TestNotEntered(t *testing.T) {
	for _, kind := range []trace.Kind{trace.KindCall, trace.KindTailCall, trace.KindReturn} {
		c, m, err := (tracetest.Graph{Design: tracetest.Hier}).Record(options(0), 20000, nil)
		if err != nil {
			t.Fatal(err)
		}
		rec := trace.NewRecorder(c, trace.Config{})
		rec.Consume(m.Batch(false))
		for _, e := range rec.Events() {
			if e.Kind == kind {
				m.Sites = m.Sites[e.Site-1:]
				break
			}
		}
		ck := check.New(c, trace.Config{}, check.Config{})
		ck.Consume(m.Batch(false))
		if v := ck.Violation(); v == nil || v.Invariant != check.Balance || !strings.Contains(v.Text, "which nothing has entered") {
			t.Errorf("%s: %v", kind, v)
		}
	}
}

func TestFault(t *testing.T) {
	g := tracetest.Graph{Design: tracetest.Hier}
	for _, tt := range []struct {
		addr image.Addr
		inv  check.Invariant
	}{
		{0x1000, check.FaultFree},
		{tracetest.StackTop + 8 - 16<<10 - 8, check.StackBudget},
		{tracetest.StackTop + 8 - 16<<10, check.FaultFree},
		{0, check.FaultFree},
	} {
		ck := judge(t, g, nil, levels["sites lean"], check.Config{})
		ck.Fault(check.Fault{Seq: 77, RIP: tracetest.EntryAddr + 0x22, Addr: tt.addr, Text: "write to unmapped memory"})
		v := ck.Violation()
		if v == nil || v.Invariant != tt.inv || v.Seq != 77 || v.Insn == nil || *v.Insn != 0 || v.Where != "entry+0x22" {
			t.Errorf("fault at %#x: %+v", uint64(tt.addr), v)
		}
	}
}

// The first one stays.
func TestReport(t *testing.T) {
	ck := judge(t, tracetest.Graph{Design: tracetest.Hier, Extra: "48895d00"}, nil, levels["retired full"], check.Config{})
	first := *ck.Violation()
	ck.Report(check.Violation{Invariant: check.Semantics})
	if got := *ck.Violation(); got != first {
		t.Errorf("%s instead of %s", &got, &first)
	}
	const want = "frame: the program writes 8 bytes at 0xffffc90000003fb0: a register that entry has saved #1 " +
		"(at entry+0x29, rip ffffffffc0011029, BPF instruction 2, event 1)"
	if first.String() != want {
		t.Errorf("got  %s\nwant %s", &first, want)
	}
	if mo := first.Moment(); mo.Seq != first.Seq || mo.Until != 0 || mo.Name != "violation of frame" {
		t.Errorf("%+v", mo)
	}
	ck.Reset()
	if ck.Violation() != nil || len(ck.Recorder().Events()) != 0 {
		t.Error("Reset left something")
	}
}

func TestInvariants(t *testing.T) {
	seen := map[check.Invariant]bool{}
	for _, i := range check.Invariants() {
		if seen[i] || i == "" {
			t.Errorf("%q twice or empty", i)
		}
		seen[i] = true
	}
	if len(seen) != 11 {
		t.Errorf("%d invariants", len(seen))
	}
}

// BenchmarkChecker measures what checking costs per instruction on top of the machine.
func BenchmarkChecker(b *testing.B) {
	for _, bb := range []struct {
		name string
		g    tracetest.Graph
		l    level
	}{
		{"tailcalls/retired", tracetest.Graph{Design: tracetest.Hier, Calls: 2}, levels["retired full"]},
		{"tailcalls/sites", tracetest.Graph{Design: tracetest.Hier, Calls: 2}, levels["sites lean"]},
		{"straight/retired", tracetest.Graph{Design: tracetest.Hier, Extra: strings.Repeat("48895df8 4831c0 4801d8 4839d8", 25)}, levels["retired full"]},
	} {
		b.Run(bb.name, func(b *testing.B) {
			c, m, err := bb.g.Record(options(bb.l.marks), 1<<20, nil)
			if err != nil {
				b.Fatal(err)
			}
			ck := check.New(c, trace.Config{}, check.Config{})
			batch := m.Batch(bb.l.retired)
			ck.Consume(batch)
			if v := ck.Violation(); v != nil {
				b.Fatal(v)
			}
			n := 0
			b.ReportAllocs()
			for b.Loop() {
				ck.Reset()
				ck.Consume(batch)
				ck.Finish()
				n++
			}
			b.ReportMetric(float64(n)*float64(len(m.Retired))/b.Elapsed().Seconds(), "insns/s")
		})
	}
}
