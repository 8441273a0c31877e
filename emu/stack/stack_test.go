// SPDX-License-Identifier: GPL-2.0-only

package stack_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/emu/stack"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/emu/trace/tracetest"
	"github.com/tcsim/tcsim/fixtures/golden"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

func options() trace.Options {
	return trace.Options{Symbol: func(a image.Addr) string {
		if a == tracetest.Outside {
			return "bpf_test_run"
		}
		return ""
	}}
}

// runOf runs the graph once and returns what happened.
func runOf(t *testing.T, g tracetest.Graph) stack.Run {
	t.Helper()
	c, m, err := g.Record(options(), 1<<20, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := trace.NewRecorder(c, trace.Config{})
	r.Consume(m.Batch(true))
	r.Finish()
	return stack.Run{Events: r.Events(), Deepest: r.Deepest()}
}

// layoutAt runs the graph up to a moment and dumps the stack there.
func layoutAt(t *testing.T, g tracetest.Graph, mo stack.Moment) *stack.Layout {
	t.Helper()
	var l *stack.Layout
	c, m, err := g.Record(options(), 1<<20, func(_ *image.Image, m *tracetest.Machine) {
		m.Each = func(m *tracetest.Machine, seq uint64) bool {
			return seq == mo.Seq && mo.Until == 0 || seq >= mo.Seq && m.RIP == mo.Until
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	r := trace.NewRecorder(c, trace.Config{})
	r.Consume(m.Batch(false))
	rsp := image.Addr(m.Regs[x86.RSP])
	l, err = stack.Dump(stack.Input{
		Code: c, Mem: m.Mem, RIP: m.RIP, RSP: rsp, RBP: image.Addr(m.Regs[x86.RBP]), Acts: r.StackAt(m.RIP, rsp),
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func resolve(t *testing.T, at string, r stack.Run) []stack.Moment {
	t.Helper()
	a, err := stack.ParseAt(at)
	if err != nil {
		t.Fatal(err)
	}
	m, err := a.Resolve(r)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestPictures(t *testing.T) {
	hier := tracetest.Graph{Design: tracetest.Hier, Calls: 2}
	rework := tracetest.Graph{Design: tracetest.Rework, Stack: 64}
	for _, tt := range []struct {
		name string
		g    tracetest.Graph
		at   string
		all  bool
	}{
		{"hier-entry", hier, "entry:1", false},
		{"hier-call-1", hier, "call:1", false},
		{"hier-tailcall-1", hier, "tailcall:1", false},
		{"hier-call-2", hier, "call:2", false},
		{"hier-tailcall-33", hier, "tailcall:33", false},
		{"hier-tailcall-5-all", hier, "tailcall:10", true},
		{"hier-at-jump", hier, "5", false},
		{"hier-refused-1", hier, "refused:1", false},
		{"rework-call-1", rework, "call:1", false},
		{"rework-tailcall-2", rework, "tailcall:2", false},
		{"rework-deepest", rework, "deepest", false},
		{"rework-return-1", rework, "return:1", false},
		{"rework-return-last", rework, "return:35", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			mo := resolve(t, tt.at, runOf(t, tt.g))[0]
			l := layoutAt(t, tt.g, mo)
			p := l.Picture(stack.Options{Title: tt.g.Design.Name + ", " + mo.Name + ", at " + l.Where, All: tt.all})
			for line := range strings.Lines(p) {
				if len(line) > stack.Width+1 {
					t.Errorf("%d columns: %s", len(line)-1, line)
				}
			}
			for _, c := range p {
				if c > 126 {
					t.Errorf("not ASCII: %q", c)
				}
			}
			golden.Check(t, "testdata/"+tt.name+".txt", p)
		})
	}
}

// TestWidths draws in lines of any width, and loses no word where they are short.
func TestWidths(t *testing.T) {
	for _, g := range []tracetest.Graph{{Design: tracetest.Hier, Calls: 2}, {Design: tracetest.Rework, Stack: 64}} {
		l := layoutAt(t, g, resolve(t, "tailcall:33", runOf(t, g))[0])
		for _, box := range []bool{false, true} {
			for width := stack.MinWidth; width <= 120; width++ {
				p := l.Picture(stack.Options{Title: strings.Repeat("a long title ", 10), Width: width, Box: box, All: true})
				for line := range strings.Lines(p) {
					if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > width {
						t.Errorf("width %d: %d columns: %s", width, n, line)
					}
				}
				for _, s := range l.Slots {
					for _, word := range strings.Fields(s.Meaning) {
						if !strings.Contains(p, word) {
							t.Fatalf("width %d: no %q in\n%s", width, word, p)
						}
					}
				}
				if box == (strings.Contains(p, "+--") || !strings.Contains(p, "├─")) {
					t.Errorf("box %v:\n%s", box, p)
				}
			}
		}
	}
}

// The whole sequence that developers draw by hand.
func TestEach(t *testing.T) {
	g := tracetest.Graph{Design: tracetest.Hier}
	ms := resolve(t, "each:tailcall", runOf(t, g))
	if len(ms) != 33 {
		t.Fatalf("%d moments", len(ms))
	}
	for i, mo := range ms {
		l := layoutAt(t, g, mo)
		if len(l.Frames) != i+2 {
			t.Errorf("%s: %d frames", mo.Name, len(l.Frames))
		}
		last := l.Frames[len(l.Frames)-1]
		if last.Func != "entry" || last.From != "sub" || last.Activation != 2*i+3 || last.FromNumber != 2*i+2 {
			t.Errorf("%s: %+v", mo.Name, last)
		}
		// One counter, every pointer to it.
		n := 0
		for _, s := range l.Slots {
			if s.Count != nil {
				n++
				if *s.Count != uint64(i+1) || s.Frame != 0 {
					t.Errorf("%s: tail_call_cnt %d in frame %d", mo.Name, *s.Count, s.Frame)
				}
			}
		}
		if n != 1 {
			t.Errorf("%s: %d counters", mo.Name, n)
		}
	}
}

// Every word between rsp and the outside caller is there once.
func TestComplete(t *testing.T) {
	for _, g := range []tracetest.Graph{{Design: tracetest.Hier, Stack: 40, Calls: 2}, {Design: tracetest.Rework, Stack: 128}} {
		for n := range 120 {
			l := layoutAt(t, g, stack.Moment{Seq: uint64(n), Event: 0})
			next := uint64(tracetest.StackTop) + 8
			for _, s := range l.Slots {
				if uint64(s.Addr)+uint64(s.Size) != next {
					t.Fatalf("instruction %d: slot at %#x of %d bytes, want it to end at %#x", n, uint64(s.Addr), s.Size, next)
				}
				next = uint64(s.Addr)
				if s.Label == "?" {
					t.Errorf("instruction %d at %s: %#x is not described", n, l.Where, uint64(s.Addr))
				}
			}
			if next != uint64(l.RSP) {
				t.Errorf("instruction %d: ends at %#x, rsp %#x", n, next, uint64(l.RSP))
			}
		}
	}
}

// Words that still have the fill value are told from zeros, alone and folded.
func TestFill(t *testing.T) {
	const fill = 0x5ac35ac35ac35ac3
	g := tracetest.Graph{Design: tracetest.Hier, Stack: 40}
	c, m, err := g.Record(options(), 1<<20, func(_ *image.Image, m *tracetest.Machine) {
		m.Each = func(m *tracetest.Machine, _ uint64) bool { return m.RIP == tracetest.SubAddr }
		for i := range 4 {
			m.Write(tracetest.StackTop-8*image.Addr(i+3), fill, 8)
		}
		m.Write(tracetest.StackTop-8*4, 0, 8)
	})
	if err != nil {
		t.Fatal(err)
	}
	r := trace.NewRecorder(c, trace.Config{})
	r.Consume(m.Batch(false))
	rsp := image.Addr(m.Regs[x86.RSP])
	l, err := stack.Dump(stack.Input{Code: c, Mem: m.Mem, RIP: m.RIP, RSP: rsp, Acts: r.StackAt(m.RIP, rsp), Fill: fill})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range l.Slots[2:6] {
		got = append(got, s.Label+": "+s.Meaning)
	}
	want := []string{"fp-8: BPF stack", "fp-16: BPF stack, not written", "fp-24: BPF stack", "fp-40..: BPF stack, 16 bytes, not written"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestJSON(t *testing.T) {
	g := tracetest.Graph{Design: tracetest.Hier}
	l := layoutAt(t, g, resolve(t, "call:1", runOf(t, g))[0])
	b, err := json.MarshalIndent(l, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden.Check(t, "testdata/"+"hier-call-1.json", string(b)+"\n")
	var back stack.Layout
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(*l, back); d != "" {
		t.Errorf("not the same again (-want +got):\n%s", d)
	}
}

// Pointers to different counters get arrows side by side; one to nowhere says so.
func TestTwoCounters(t *testing.T) {
	g := tracetest.Graph{Design: tracetest.Hier}
	l := layoutAt(t, g, resolve(t, "tailcall:3", runOf(t, g))[0])
	k := 0
	for i := range l.Slots {
		s := &l.Slots[i]
		if !s.Ptr {
			continue
		}
		k++
		switch k {
		case 4, 5:
			s.Value = l.Slots[i-1].Addr + trace.Hex(8*k-32)
		case 6:
			s.Value = 0xffff888100000000
		}
	}
	golden.Check(t, "testdata/"+"two-counters.txt", l.Picture(stack.Options{All: true}))
}

func TestParseAtErrors(t *testing.T) {
	for _, s := range []string{"", "0", "-1", "tailcall", "tailcall:", "tailcall:0", "tailcall:x", "tailcall:-1", "each:", "each:5", "jump:1", "poke:1", "deepest:1"} {
		if a, err := stack.ParseAt(s); strings.Contains(s, "-1") && (err == nil || !strings.Contains(err.Error(), "whole number from 1")) {
			t.Errorf("%q: %v", s, err)
		} else if err == nil {
			t.Errorf("%q is taken for %s", s, a)
		} else if !strings.Contains(err.Error(), fmt.Sprintf("moment %q", s)) {
			t.Errorf("%q: %v", s, err)
		}
	}
	for _, s := range []string{"1", "tailcall:33", "call:2", "return:1", "refused:4", "helper:1", "entry:1", "each:tailcall", "each:call", "deepest", "violation"} {
		if a, err := stack.ParseAt(s); err != nil || a.String() != s {
			t.Errorf("%q: %v, %v", s, a, err)
		}
	}
}

func TestResolveErrors(t *testing.T) {
	r := runOf(t, tracetest.Graph{Design: tracetest.Hier})
	for at, want := range map[string]string{
		"tailcall:34": "has 33 events of this kind", "999": "has 104 events", "violation": "no invariant was broken", "each:helper": "has 0 events",
	} {
		a, err := stack.ParseAt(at)
		if err != nil {
			t.Fatal(err)
		}
		if m, err := a.Resolve(r); err == nil || m != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v", at, m, err)
		}
	}
	v := stack.Moment{Seq: 5, Name: "violation"}
	r.Violation = &v
	if m := resolve(t, "violation", r); len(m) != 1 || m[0] != v {
		t.Errorf("violation: %v", m)
	}
}

func TestDumpErrors(t *testing.T) {
	g := tracetest.Graph{Design: tracetest.Hier}
	c, m, err := g.Record(options(), 1<<20, nil)
	if err != nil {
		t.Fatal(err)
	}
	act := trace.Activation{N: 1, Fn: c.Lookup(tracetest.EntryAddr), Top: tracetest.StackTop}
	ok := stack.Input{Code: c, Mem: m.Mem, RIP: tracetest.EntryAddr, RSP: tracetest.StackTop, Acts: []trace.Activation{act}}
	if _, err := stack.Dump(ok); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*stack.Input){
		"no function is active":    func(i *stack.Input) { i.Acts = nil },
		"not in the 1048576 bytes": func(i *stack.Input) { i.RSP += 16 },
		"rsp 0x1000 is not in":     func(i *stack.Input) { i.RSP = 0x1000 },
		"unmapped": func(i *stack.Input) {
			i.Mem = func(image.Addr, int) ([]byte, error) { return nil, errors.New("unmapped") }
		},
		"is not between the one before and rsp": func(i *stack.Input) { i.Acts = append(i.Acts, act, act); i.Acts[1].Top += 64 },
	} {
		in := ok
		in.Acts = append([]trace.Activation(nil), ok.Acts...)
		change(&in)
		if l, err := stack.Dump(in); err == nil || l != nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v, %v", name, l, err)
		}
	}
}
