// SPDX-License-Identifier: GPL-2.0-only

package trace_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/emu/timing"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/fixtures/golden"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// TestText shows events of every kind, with and without what they may have, in every layout.
func TestText(t *testing.T) {
	site := image.TailCallSite{Map: 0}
	other := image.TailCallSite{Map: 1}
	img := &image.Image{
		Program: &bpf.Program{Name: "p", Maps: []bpf.Map{{Name: "jt"}}},
		Funcs: []image.FuncImage{
			{Name: "main", Addr: 0xffffffffc0000000, Code: make16()}, {Name: "sub", Addr: 0xffffffffc0000040, Code: make16()},
		},
	}
	c, err := trace.NewCode([]*image.Image{img}, options(0))
	if err != nil {
		t.Fatal(err)
	}
	main, sub := c.Funcs()[0], c.Funcs()[1]
	regs := &[16]uint64{1, 2, 3, 4, 5, 6, 7, 8}
	at := func(e trace.Event) trace.Event {
		e.RIP, e.RSP, e.RBP = 0xffffffffc0000005, 0xffffc90000203fd0, 0xffffc90000203fe0
		return e
	}
	events := []trace.Event{
		{No: 1, Kind: trace.KindPoke, RIP: 0xffffffffc0000045, Name: "makes a jump of the nop"},
		at(trace.Event{No: 2, Kind: trace.KindEntry, Fn: main, Depth: 1, RAX: 0xdead0000beef}),
		at(trace.Event{No: 3, Kind: trace.KindEntry, Fn: main, Depth: 1, Inner: true}),
		at(trace.Event{No: 4, Kind: trace.KindCall, Fn: main, Insn: 7, HasInsn: true, Target: sub, Depth: 2, Regs: regs}),
		at(trace.Event{No: 5, Kind: trace.KindHelper, Fn: main, TargetAddr: 0xffffffff81000000, Depth: 2}),
		at(trace.Event{No: 6, Kind: trace.KindHelper, Fn: main, Name: "bpf_get_prandom_u32", TargetAddr: 0xffffffff81000000, Depth: 2}),
		at(trace.Event{No: 7, Kind: trace.KindHook, Fn: sub, Target: main, Depth: 2}),
		at(trace.Event{No: 8, Kind: trace.KindReturn, Fn: sub, Target: main, TargetAddr: 0xffffffffc0000009, Depth: 2}),
		at(trace.Event{No: 9, Kind: trace.KindReturn, Fn: main, Name: "the kernel", Depth: 1}),
		at(trace.Event{No: 10, Kind: trace.KindTailCall, Fn: main, Tail: &site, Key: 3, Target: sub, CounterAddr: 0xffffc90000203f00, Counter: 4, Depth: 1}),
		at(trace.Event{No: 11, Kind: trace.KindTailCall, Fn: main, Tail: &other, Key: 3, Depth: 1}),
		at(trace.Event{No: 12345678, Kind: trace.KindRefused, Fn: main, Tail: &site, Key: 3, Reason: trace.ReasonLimit, FellThrough: true, Depth: 1}),
		{No: 12345679, Kind: trace.KindRefused, Fn: main, Tail: &site, Reason: trace.ReasonEmpty, RIP: 0x1000, RSP: 0x2000, RBP: 0x3000, Depth: 1},
		at(trace.Event{No: 12345680, Kind: trace.KindReturn, Name: strings.Repeat("a name of many words ", 8) + strings.Repeat("long", 40), Depth: 1}),
	}
	var b strings.Builder
	show := func(what string, text string, width int) {
		fmt.Fprintf(&b, "== %s\n%s", what, text)
		for l := range strings.Lines(text) {
			if len(strings.TrimSuffix(l, "\n")) > width {
				t.Errorf("%s: %d columns: %s", what, len(l)-1, l)
			}
		}
	}
	show("wide", trace.Text(c, events), trace.Width)
	show("narrow, with registers", trace.TextIn(c, events, trace.MinWidth, x86.RAX, x86.RCX, x86.RDX), trace.MinWidth)
	timed := append([]trace.Event(nil), events[:5]...)
	for i := range timed {
		timed[i].Cycle = timing.Cycle(i * 1_000_000)
	}
	show("with cycles and five registers", trace.TextIn(c, timed, trace.Width, x86.RAX, x86.RCX, x86.RDX, x86.RBX, x86.RSP), trace.Width)
	show("four registers", trace.TextIn(c, timed[3:4], trace.Width, x86.RAX, x86.RCX, x86.RDX, x86.RBX), trace.Width)
	show("none", trace.Text(c, nil), trace.Width)
	golden.Check(t, "testdata/text.txt", b.String())
}

func make16() []byte { return []byte(strings.Repeat("\x90", 15) + "\xc3") }
