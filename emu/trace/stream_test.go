// SPDX-License-Identifier: GPL-2.0-only

package trace_test

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/emu/record"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
)

// The code of streams: a program of two functions and an exception callback, a trampoline, a tracing program, and a
// program that replaces a function.
const (
	mainAt    image.Addr = 0x1000
	subAt     image.Addr = 0x2000
	trampAt   image.Addr = 0x3000
	tracerAt  image.Addr = 0x4000
	cbAt      image.Addr = 0x5000
	insteadAt image.Addr = 0x6000
	throwAt   image.Addr = 0x9000
	helpAt    image.Addr = 0x9100
	kernelAt  image.Addr = 0x8888

	// Offsets in main: two calls, a tail call, the return. Those of the other functions are the same as far as they
	// have them.
	firstCall, secondCall, tailAt, retAt = 0x10, 0x18, 0x20, 0x38
)

// streamCode has a direct tail call in main and an indirect one in sub, both to sub by its landing.
func streamCode(t *testing.T) *trace.Code {
	t.Helper()
	frame := image.Frame{Body: 8, Landing: 4, Slots: []image.FrameSlot{
		{Off: 8, Size: 8, Kind: image.SlotReturn}, {Off: 0, Size: 8, Kind: image.SlotSavedReg}, {Off: -16, Size: 16, Kind: image.SlotBPFStack},
	}}
	fn := func(name string, at image.Addr, calls ...image.Addr) image.FuncImage {
		code := []byte(strings.Repeat("\x90", 0x40))
		f := image.FuncImage{Name: name, Addr: at, Frame: frame, InsnOff: []image.CodeOff{8, firstCall, secondCall, tailAt, 0x30, retAt}}
		for i, to := range calls {
			off := image.CodeOff(firstCall + 8*i)
			code[off] = 0xe8
			binary.LittleEndian.PutUint32(code[off+1:], uint32(to-at-image.Addr(off)-5))
			f.Calls = append(f.Calls, image.CallSite{Off: off, Target: to, Insn: bpf.InsnIndex(1 + i)})
		}
		code[retAt] = 0xc3
		f.Code = code
		return f
	}
	tail := func(f *image.FuncImage, direct bool) {
		f.TailCalls = []image.TailCallSite{{
			Direct: direct, Start: tailAt, Bounds: tailAt + 1, Limit: tailAt + 2, Null: tailAt + 3, Bypass: -1, Bump: tailAt + 4, Unwind: tailAt + 5,
			Jump: tailAt + 6, End: 0x30, Insn: 3, Map: 0, Key: 7,
		}}
		if direct {
			f.TailCalls[0].Bounds, f.TailCalls[0].Null, f.TailCalls[0].Bypass = -1, -1, tailAt+3
		}
	}
	main, sub := fn("main", mainAt, subAt, helpAt), fn("sub", subAt, throwAt)
	tail(&main, true)
	tail(&sub, false)
	cb := fn("cb", cbAt)
	cb.ExceptionCB = true
	tramp := fn("tramp", trampAt, tracerAt, mainAt+5)
	tramp.Trampoline, tramp.Frame.Landing, tramp.InsnOff = true, -1, nil
	images := []*image.Image{
		{Limit: 33, Program: &bpf.Program{Name: "p", Maps: []bpf.Map{{Name: "jt"}}}, Funcs: []image.FuncImage{main, sub, cb}},
		{Limit: 33, Funcs: []image.FuncImage{tramp}},
		{Limit: 33, Program: &bpf.Program{Name: "t"}, Funcs: []image.FuncImage{fn("tracer", tracerAt)}},
		{Limit: 33, Program: &bpf.Program{Name: "i"}, Funcs: []image.FuncImage{fn("instead", insteadAt)}},
	}
	c, err := trace.NewCode(images, trace.Options{Marks: trace.MarkStart, Symbol: func(a image.Addr) string {
		return map[image.Addr]string{throwAt: "bpf_throw", helpAt: "bpf_ktime_get_ns", kernelAt: "kernel"}[a]
	}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// live are the activations of a recorder: function, number, how it began, and where its return address lies.
func live(acts []trace.Activation) string {
	via := [...]string{"outside", "call", "tail call", "hook", "throw"}
	var out []string
	for i := range acts {
		a := &acts[i]
		s := fmt.Sprintf("%s#%d %s %x", a.Fn, a.N, via[a.Via], uint64(a.Top))
		if a.Hooked {
			s += " hooked"
		}
		out = append(out, s)
	}
	return strings.Join(out, ", ")
}

// TestStreams feeds sites of what no short program does: trampolines, exceptions, replaced functions, interrupts.
func TestStreams(t *testing.T) {
	const s = 0x10000 // rsp at the entry of the first function
	type at struct {
		rip, rsp, top, prev image.Addr
		want                string // the event, if there is one, and what is live then
	}
	enter := at{mainAt, s, kernelAt, 0, "main from outside begins 1 | main#1 outside 10000"}
	ends := at{mainAt + retAt, s, kernelAt, 0, "main to kernel | "}
	for _, row := range []struct {
		name   string
		sites  []at
		counts string
	}{
		{"a call", []at{
			enter,
			{mainAt + firstCall, s - 0x20, 0, 0, "main[1] -> sub begins 2 | main#1 outside 10000, sub#2 call ffd8"},
			{subAt + retAt, s - 0x28, mainAt + firstCall + 5, 0, "sub to main+0x15 | main#1 outside 10000"},
			{mainAt + secondCall, s - 0x20, 0, 0, "main[2] -> bpf_ktime_get_ns | main#1 outside 10000"},
			ends,
		}, "1 entries, 1 calls, 1 helpers, 2 returns, 0 taken; main 1, sub 1"},
		{"a trampoline that is called before the function", []at{
			enter,
			{trampAt, s - 8, mainAt + 5, 0, "tramp for main begins 2 | main#1 outside 10000 hooked, tramp#2 hook fff8"},
			{trampAt + firstCall, s - 0x40, 0, 0, "tramp -> tracer begins 3 | main#1 outside 10000 hooked, tramp#2 hook fff8, tracer#3 call ffb8"},
			{tracerAt + retAt, s - 0x48, trampAt + firstCall + 5, 0, "tracer to tramp+0x15 | main#1 outside 10000 hooked, tramp#2 hook fff8"},
			{trampAt + retAt, s - 8, mainAt + 5, 0, "tramp to main+0x5 | main#1 outside 10000"},
			ends,
		}, "1 entries, 1 calls, 0 helpers, 3 returns, 0 taken; main 1, tramp 1, tracer 1"},
		{"a trampoline that calls the function", []at{
			enter,
			{trampAt, s - 8, mainAt + 5, 0, "tramp for main begins 2 | main#1 outside 10000 hooked, tramp#2 hook fff8"},
			{trampAt + secondCall, s - 0x40, 0, 0, "tramp -> main begins 3 | main#1 outside 10000 hooked, tramp#2 hook fff8, main#3 call ffb8"},
			{mainAt + retAt, s - 0x48, trampAt + secondCall + 5, 0, "main to tramp+0x1d | main#1 outside 10000 hooked, tramp#2 hook fff8"},
			{trampAt + retAt, s, kernelAt, 0, "tramp to kernel | "},
		}, "1 entries, 1 calls, 0 helpers, 2 returns, 0 taken; main 1, tramp 1"},
		{"a trampoline that is jumped to", []at{
			enter,
			{trampAt, s, kernelAt, 0, "tramp for main begins 2 | tramp#2 hook 10000"},
			{trampAt + retAt, s, kernelAt, 0, "tramp to kernel | "},
		}, "1 entries, 0 calls, 0 helpers, 1 returns, 0 taken; main 1, tramp 1"},
		{"a trampoline out of nowhere", []at{
			{trampAt, s, kernelAt, 0, "tramp for  begins 1 | "},
		}, "0 entries, 0 calls, 0 helpers, 0 returns, 0 taken"},
		{"an exception of a subprogram", []at{
			enter,
			{mainAt + firstCall, s - 0x20, 0, 0, "main[1] -> sub begins 2 | main#1 outside 10000, sub#2 call ffd8"},
			{subAt + firstCall, s - 0x40, 0, 0, "sub[1] -> bpf_throw | cb#3 throw 10000"},
			{cbAt + retAt, s, kernelAt, 0, "cb to kernel | "},
		}, "1 entries, 1 calls, 1 helpers, 1 returns, 0 taken; main 1, sub 1, cb 1"},
		{"a function that is replaced", []at{
			enter,
			{mainAt + firstCall, s - 0x20, 0, 0, "main[1] -> sub begins 2 | main#1 outside 10000, sub#2 call ffd8"},
			{insteadAt, s - 0x28, mainAt + firstCall + 5, 0, " | main#1 outside 10000, instead#2 call ffd8"},
			{insteadAt + retAt, s - 0x28, mainAt + firstCall + 5, 0, "instead to main+0x15 | main#1 outside 10000"},
			ends,
		}, "1 entries, 1 calls, 0 helpers, 2 returns, 0 taken; main 1, sub 1, instead 1"},
		{"an interrupt", []at{
			enter,
			{tracerAt, s - 0x100, kernelAt, 0, "tracer, an interrupt begins 2 | main#1 outside 10000, tracer#2 outside ff00"},
			{tracerAt + retAt, s - 0x100, kernelAt, 0, "tracer to kernel | main#1 outside 10000"},
			ends,
		}, "2 entries, 0 calls, 0 helpers, 2 returns, 0 taken; main 1, tracer 1"},
		{"a callback of a helper", []at{
			enter,
			{tracerAt, s - 0x100, helpAt, 0, "tracer from bpf_ktime_get_ns begins 2 | main#1 outside 10000, tracer#2 outside ff00"},
			{tracerAt + retAt, s - 0x100, helpAt, 0, "tracer to bpf_ktime_get_ns | main#1 outside 10000"},
			ends,
		}, "2 entries, 0 calls, 0 helpers, 2 returns, 0 taken; main 1, tracer 1"},
		{"a return into a prologue", []at{
			enter,
			{subAt + retAt, s - 0x20, mainAt + 7, 0, " | main#1 outside 10000"},
			{subAt + retAt, s - 0x20, mainAt + 8, 0, "sub to main+0x8 | "},
		}, "1 entries, 0 calls, 0 helpers, 1 returns, 0 taken; main 1"},
		{"a return that nothing was called for", []at{
			{mainAt + retAt, s, kernelAt, 0, "main to kernel | "},
		}, "0 entries, 0 calls, 0 helpers, 1 returns, 0 taken"},
		{"what lies outside", []at{
			{0x7777, s, kernelAt, 0, " | "}, {mainAt + 1, s, kernelAt, 0, " | "}, enter,
		}, "1 entries, 0 calls, 0 helpers, 0 returns, 0 taken; main 1"},
	} {
		c := streamCode(t)
		r := trace.NewRecorder(c, trace.Config{})
		for i, a := range row.sites {
			before := len(r.Events())
			r.Consume(trace.Batch{Sites: []record.Site{{Seq: uint64(i), RIP: a.rip, RSP: a.rsp, Stack: [2]uint64{uint64(a.top)}, Prev: a.prev}}})
			got := ""
			for _, e := range r.Events()[before:] {
				if got += e.What(c); e.Begun != 0 {
					got += fmt.Sprintf(" begins %d", e.Begun)
				}
			}
			if got += " | " + live(r.Stack()); got != a.want {
				t.Errorf("%s, site %d: %q, want %q", row.name, i, got, a.want)
			}
		}
		n := r.Counts()
		got := fmt.Sprintf("%d entries, %d calls, %d helpers, %d returns, %d taken", n.Entries, n.Calls, n.Helpers, n.Returns, n.Taken)
		var starts []string
		for _, f := range c.Funcs() {
			if k := r.Starts(f); k > 0 {
				starts = append(starts, fmt.Sprintf("%s %d", f, k))
			}
		}
		if len(starts) > 0 {
			got += "; " + strings.Join(starts, ", ")
		}
		if got != row.counts {
			t.Errorf("%s: %s, want %s", row.name, got, row.counts)
		}
	}
}

// TestRefusals: from where a tail call is left says why it was refused; what jumps to its end has made none.
func TestRefusals(t *testing.T) {
	for _, row := range []struct {
		direct bool
		prev   image.CodeOff
		want   string
	}{
		{false, tailAt, "unknown"}, {false, tailAt + 1, "bounds"}, {false, tailAt + 2, "limit"}, {false, tailAt + 3, "empty slot"}, {false, tailAt + 4, "unknown"},
		{false, tailAt + 6, "empty slot, fell through"}, {false, tailAt + 7, "unknown"}, {false, 0x2f, "unknown"}, {false, 0x30, ""}, {false, tailAt - 1, ""},
		{true, tailAt + 1, "unknown"}, {true, tailAt + 2, "limit"}, {true, tailAt + 3, "empty slot"}, {true, tailAt + 6, "empty slot, fell through"},
		{true, tailAt + 7, "empty slot"}, {true, 0x2f, "empty slot"}, {true, 0x30, ""},
	} {
		c := streamCode(t)
		r := trace.NewRecorder(c, trace.Config{})
		f := mainAt
		if !row.direct {
			f = subAt
		}
		r.Consume(trace.Batch{Sites: []record.Site{
			{RIP: mainAt, RSP: 0x10000}, {RIP: f + tailAt, RSP: 0xff00, RDX: 3}, {RIP: f + 0x30, RSP: 0xff00, RDX: 3, Prev: f + image.Addr(row.prev)},
		}})
		got := ""
		for _, e := range r.Events() {
			if e.Kind == trace.KindRefused {
				if got = e.Reason.String(); e.FellThrough {
					got += ", fell through"
				}
				if key := map[bool]uint32{true: 7, false: 3}[row.direct]; e.Key != key || e.Insn != 3 || !e.HasInsn {
					t.Errorf("%+v: key %d, want %d; instruction %d", row, e.Key, key, e.Insn)
				}
			}
		}
		n := r.Counts()
		if total := uint64(min(len(got), 1)); got != row.want || n.RefusedTotal() != total || n.Taken != 0 {
			t.Errorf("%+v: %s, counts %+v", row, got, n)
		}
	}
}

// TestInterruptedCounts: tail calls of what interrupts a program are counted apart, and its limit is its own.
func TestInterruptedCounts(t *testing.T) {
	c := streamCode(t)
	r := trace.NewRecorder(c, trace.Config{})
	site := func(rip, rsp, top, prev image.Addr) record.Site {
		return record.Site{RIP: rip, RSP: rsp, Stack: [2]uint64{uint64(top)}, Prev: prev}
	}
	jump := func(f image.Addr, rsp image.Addr) []record.Site { // a tail call to sub, whose own is refused by the limit
		return []record.Site{site(f+tailAt, rsp, 0, 0), site(f+tailAt+6, rsp, 0, 0), site(subAt+tailAt, rsp, 0, 0), site(subAt+0x30, rsp, 0, subAt+tailAt+2)}
	}
	var all []record.Site
	all = append(all, site(mainAt, 0x10000, kernelAt, 0))
	all = append(all, jump(mainAt, 0xff00)...)
	all = append(all, jump(subAt, 0xff00)...)
	all = append(all, site(mainAt, 0xe000, kernelAt, 0))
	all = append(all, jump(mainAt, 0xdf00)...)
	all = append(all, site(subAt+retAt, 0xe000, kernelAt, 0))
	all = append(all, jump(subAt, 0xff00)...)
	all = append(all, site(subAt+retAt, 0x10000, kernelAt, 0))
	r.Consume(trace.Batch{Sites: all})
	n := r.Counts()
	if n.Taken != 4 || n.InnerTaken != 1 || n.Refused[trace.ReasonLimit] != 4 || n.InnerRefused[trace.ReasonLimit] != 1 || len(r.Stack()) != 0 {
		t.Errorf("%+v, live %s", n, live(r.Stack()))
	}
	var taken []string
	for _, e := range r.Events() {
		if e.Kind == trace.KindTailCall {
			taken = append(taken, fmt.Sprintf("%d %v", e.Taken, e.Inner))
		}
	}
	if got := strings.Join(taken, ", "); got != "1 false, 2 false, 1 true, 3 false" {
		t.Errorf("tail calls, in which invocation: %s", got)
	}
}

// TestStackAtEntries asks for the stack at the first instruction of what nothing calls, which no site has told of yet.
func TestStackAtEntries(t *testing.T) {
	c := streamCode(t)
	r := trace.NewRecorder(c, trace.Config{})
	ask := func(rip, rsp image.Addr) string { return live(r.StackAt(rip, rsp)) }
	check := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	check("before the entry", ask(mainAt, 0x10000), "main#1 outside 10000")
	check("not at an entry", ask(mainAt+1, 0x10000), "")
	check("outside", ask(0x7777, 0x10000), "")
	r.Consume(trace.Batch{Sites: []record.Site{{RIP: mainAt, RSP: 0x10000, Stack: [2]uint64{uint64(kernelAt)}}}})
	check("at the entry", ask(mainAt, 0x10000), "main#1 outside 10000")
	check("in the body", ask(mainAt+8, 0xffe0), "main#1 outside 10000")
	check("a trampoline, called", ask(trampAt, 0xfff8), "main#1 outside 10000 hooked, tramp#2 hook fff8")
	check("a trampoline, jumped to", ask(trampAt, 0x10000), "tramp#2 hook 10000")
	check("an interrupt", ask(tracerAt, 0xe000), "main#1 outside 10000, tracer#2 outside e000")
	check("an exception callback", ask(cbAt, 0xe000), "main#1 outside 10000")
	check("after the return", ask(kernelAt, 0x10008), "")
	r.Consume(trace.Batch{Sites: []record.Site{{RIP: mainAt + firstCall, RSP: 0xffe0}}})
	check("before the call", ask(mainAt+firstCall, 0xffe0), "main#1 outside 10000")
	check("after the call", ask(subAt, 0xffd8), "main#1 outside 10000, sub#2 call ffd8")
	check("an interrupt of what was called", ask(tracerAt, 0xe000), "main#1 outside 10000, sub#2 call ffd8, tracer#3 outside e000")
	check("what replaces the function", ask(insteadAt, 0xffd8), "main#1 outside 10000, instead#2 call ffd8")
	r.Consume(trace.Batch{Sites: []record.Site{{RIP: subAt + retAt, RSP: 0xffd8, Stack: [2]uint64{uint64(mainAt + firstCall + 5)}}}})
	check("before the return", ask(subAt+retAt, 0xffd8), "main#1 outside 10000, sub#2 call ffd8")
	check("after it", ask(mainAt+firstCall+5, 0xffe0), "main#1 outside 10000")
	r.Consume(trace.Batch{Sites: []record.Site{{RIP: mainAt + tailAt + 6, RSP: 0xfff8}}})
	check("before the jump of a tail call", ask(mainAt+tailAt+6, 0xfff8), "main#1 outside 10000")
	check("after it", ask(subAt+4, 0xfff8), "sub#3 tail call 10000")
	check("after a nop", ask(mainAt+tailAt+11, 0xfff8), "main#1 outside 10000")
}

// TestOps: what instructions do to memory, and which of them reach through a pointer for the design.
func TestOps(t *testing.T) {
	for _, row := range []struct {
		name, code string
		want       trace.Op
		size       int
	}{
		{"between registers", "4889c8", 0, 0},
		{"a load", "488b4508", trace.OpLoad, 0}, {"a load by rsp", "488b0424", trace.OpLoad, 0}, {"a load through a pointer", "488b00", trace.OpLoad | trace.OpReach, 0},
		{"a load per CPU", "65488b00", 0, 0}, {"a store", "48890424", trace.OpStore, 8}, {"a store through a pointer", "8900", trace.OpStore, 4},
		{"a store per CPU", "65488900", 0, 0}, {"add to memory", "48830001", trace.OpLoad | trace.OpReach | trace.OpStore, 8},
		{"a comparison", "80380a", trace.OpLoad | trace.OpReach, 0}, {"push", "50", trace.OpPush, 8}, {"pop", "58", trace.OpLoad, 0},
		{"push from memory", "ff30", trace.OpPush | trace.OpLoad | trace.OpReach, 8}, {"an address", "488d00", 0, 0}, {"ret", "c3", trace.OpLoad, 0},
	} {
		f := function(t, row.code+" 90 90", 16) // all of it is prologue
		if got := f.OpAt(0); got&^(trace.OpBelow|trace.OpDesign) != row.want|trace.OpInsn|trace.Op(row.size)<<7 || got&trace.OpDesign == 0 || got.Size() != row.size {
			t.Errorf("%s: %b, %d bytes", row.name, got, got.Size())
		}
		body := function(t, "90 "+row.code+" 90", 1)
		if got := body.OpAt(1); got&(trace.OpDesign|trace.OpReach) != 0 {
			t.Errorf("%s: of the program, but %b", row.name, got)
		}
	}
}

// loads counts what a LoadWatcher is told.
type loads struct{ n int }

func (*loads) Site(trace.MarkKind, *trace.Fn, *record.Site)       {}
func (*loads) Event(*trace.Event, *record.Site)                   {}
func (*loads) Store(uint64, *trace.Fn, trace.Op, record.Retired)  {}
func (l *loads) Load(uint64, *trace.Fn, trace.Op, record.Retired) { l.n++ }

// TestWatchLoads: a watcher is told of what the design reads through pointers, and of everything else if it asks.
func TestWatchLoads(t *testing.T) {
	img := &image.Image{Limit: 33, Funcs: []image.FuncImage{{
		Name: "f", Addr: 0x1000, Code: []byte{0x48, 0x8b, 0x00, 0x90, 0x48, 0x8b, 0x00, 0xc3}, Frame: image.Frame{Body: 4, Landing: -1}, // a load of each
	}}}
	c, err := trace.NewCode([]*image.Image{img}, trace.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		all  bool
		want int
	}{{false, 1}, {true, 3}} { // ret loads, too
		w := new(loads)
		r := trace.NewRecorder(c, trace.Config{Watcher: w})
		r.WatchLoads(row.all)
		r.Consume(trace.Batch{Retired: []record.Retired{{RIP: 0x1000}, {RIP: 0x1003}, {RIP: 0x1004}, {RIP: 0x1007}}})
		if w.n != row.want {
			t.Errorf("all %v: told of %d loads, want %d", row.all, w.n, row.want)
		}
	}
}

// starts notes where refused tail calls began.
type starts struct {
	r  *trace.Recorder
	at []uint64
}

func (*starts) Site(trace.MarkKind, *trace.Fn, *record.Site)      {}
func (*starts) Store(uint64, *trace.Fn, trace.Op, record.Retired) {}
func (w *starts) Event(e *trace.Event, _ *record.Site) {
	if s, ok := w.r.StartSite(); ok && e.Kind == trace.KindRefused {
		w.at = append(w.at, uint64(s.RIP))
	}
}

// TestTailCallsSideBySide: where one tail call ends and another begins, each is itself.
func TestTailCallsSideBySide(t *testing.T) {
	site := func(start image.CodeOff, insn bpf.InsnIndex) image.TailCallSite {
		return image.TailCallSite{Start: start, Bounds: start, Limit: -1, Null: -1, Bypass: -1, Bump: -1, Unwind: -1, Jump: start + 1, End: start + 2, Insn: insn, Map: -1}
	}
	for _, n := range []int{2, 40} { // of many there is a map
		var sites []image.TailCallSite
		for i := range n {
			sites = append(sites, site(image.CodeOff(2+2*i), bpf.InsnIndex(5+i)))
		}
		tailCallsSideBySide(t, sites)
	}
}

func tailCallsSideBySide(t *testing.T, sites []image.TailCallSite) {
	t.Helper()
	img := &image.Image{Limit: 33, Funcs: []image.FuncImage{{
		Name: "f", Addr: 0x1000, Code: []byte(strings.Repeat("\x90", 4+2*len(sites)) + "\xc3"), Frame: image.Frame{Body: 1, Landing: -1},
		TailCalls: sites,
	}}}
	c, err := trace.NewCode([]*image.Image{img}, trace.Options{Marks: trace.MarkStart})
	if err != nil {
		t.Fatal(err)
	}
	w := new(starts)
	r := trace.NewRecorder(c, trace.Config{Watcher: w})
	w.r = r
	r.Consume(trace.Batch{Sites: []record.Site{
		{RIP: 0x1000, RSP: 0x10000}, {RIP: 0x1002, RSP: 0xff00}, {RIP: 0x1004, RSP: 0xff00, Prev: 0x1002}, {RIP: 0x1006, RSP: 0xff00, Prev: 0x1004},
	}})
	var got []string
	for _, e := range r.Events()[1:] {
		got = append(got, fmt.Sprintf("%s at %d, %s", e.Kind, e.Insn, e.Reason))
	}
	if text := strings.Join(got, "; "); text != "refused at 5, bounds; refused at 6, bounds" {
		t.Error(text)
	}
	if got := fmt.Sprintf("%x", w.at); got != "[1002 1004]" {
		t.Errorf("they started at %s", got)
	}
}

// TestDesignCode: what belongs to the design is the prologue, tail calls, trampolines, and what takes a count back.
func TestDesignCode(t *testing.T) {
	c := streamCode(t)
	main, tramp := c.Lookup(mainAt), c.Lookup(trampAt)
	main.Calls[0].TakeBack = 0x15
	for _, row := range []struct {
		f    *trace.Fn
		off  image.CodeOff
		want bool
	}{
		{main, 0, true}, {main, 7, true}, {main, 8, false}, {main, firstCall - 1, false}, {main, firstCall, true}, {main, tailAt - 1, false}, {main, tailAt, true},
		{main, 0x2f, true}, {main, 0x30, false}, {main, retAt, false}, {tramp, 0x30, true},
	} {
		if got := row.f.OpAt(row.off)&trace.OpDesign != 0; got != row.want {
			t.Errorf("%s+%#x: %v", row.f, row.off, got)
		}
	}
	sub := c.Lookup(subAt)
	for _, row := range []struct {
		f    *trace.Fn
		off  image.CodeOff
		want bool
	}{
		{main, tailAt + 4, false}, {main, tailAt + 5, true}, {main, 0x2f, true}, {main, 0x30, false}, {main, tailAt - 1, false}, {sub, tailAt + 5, true}, {sub, tailAt + 6, true},
	} {
		if got := row.f.Unwinding(row.off); got != row.want {
			t.Errorf("%s+%#x: unwinding %v", row.f, row.off, got)
		}
	}
	for _, f := range []*trace.Fn{main, sub} {
		f.TailCalls[0].Unwind = -1
	}
	if main.Unwinding(tailAt+6) || !sub.Unwinding(tailAt+6) || sub.Unwinding(tailAt+5) {
		t.Error("without a frame to take down only an indirect jump leaves")
	}
}

// TestNames: functions have their own name, and that of the program where several have the same.
func TestNames(t *testing.T) {
	img := func(prog string, at image.Addr, names ...string) *image.Image {
		i := &image.Image{Limit: 33}
		if prog != "" {
			i.Program = &bpf.Program{Name: prog}
		}
		for k, n := range names {
			i.Funcs = append(i.Funcs, image.FuncImage{Name: n, Addr: at + image.Addr(16*k), Code: []byte{0xc3}})
		}
		return i
	}
	c, err := trace.NewCode([]*image.Image{img("q", 0x2000, "q", "helper"), img("p", 0x1000, "p", "helper"), img("", 0x3000, "helper", "alone")}, trace.Options{Limit: 5})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range c.Funcs() {
		names = append(names, f.String())
		if f.Limit != 5 {
			t.Errorf("%s: limit %d", f, f.Limit)
		}
	}
	if got := strings.Join(names, " "); got != "p p:helper q q:helper helper alone" {
		t.Errorf("%s", got)
	}
	if got := c.Where(0x1010) + " " + c.Where(0x5000); got != "p:helper+0x0 0x5000" {
		t.Errorf("%s", got)
	}
}
