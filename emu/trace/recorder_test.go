// SPDX-License-Identifier: GPL-2.0-only

package trace_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/emu/trace/tracetest"
	"github.com/tcsim/tcsim/fixtures/golden"
	"github.com/tcsim/tcsim/jit/image"
)

const full = trace.MarkStart

func options(m trace.Marks) trace.Options {
	return trace.Options{Marks: m, Symbol: func(a image.Addr) string {
		switch a {
		case tracetest.HelperAddr:
			return "bpf_get_prandom_u32"
		case tracetest.Outside:
			return "bpf_test_run"
		}
		return ""
	}}
}

// run records a graph and returns the recorder that saw it, and how many entries were counted by
// the machine itself.
func run(t *testing.T, g tracetest.Graph, m trace.Marks, retired bool) *trace.Recorder {
	t.Helper()
	c, mach, err := g.Record(options(m), 1<<20, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := trace.NewRecorder(c, trace.Config{})
	if r.Consume(mach.Batch(retired)) {
		t.Fatal("asked to stop")
	}
	r.Finish()
	return r
}

func TestHierarchyText(t *testing.T) {
	for _, tt := range []struct {
		name string
		g    tracetest.Graph
	}{
		{"hier-two-calls.txt", tracetest.Graph{Design: tracetest.Hier, Calls: 2}},
		{"rework-one-call.txt", tracetest.Graph{Design: tracetest.Rework, Helper: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := run(t, tt.g, full, true)
			text := trace.Text(r.Code(), r.Events())
			for l := range strings.Lines(text) {
				if len(l) > trace.Width+1 {
					t.Errorf("%d columns: %s", len(l)-1, l)
				}
			}
			golden.Check(t, "testdata/"+tt.name, text)
			b, err := trace.JSON(r.Code(), r.Events()[:6])
			if err != nil {
				t.Fatal(err)
			}
			golden.Check(t, "testdata/"+strings.Replace(tt.name, ".txt", ".json", 1), strings.ReplaceAll(string(b), "},{", "},\n{")+"\n")
		})
	}
}

// The same run gives the same events whatever was recorded of it.
func TestLevelsAgree(t *testing.T) {
	for _, g := range []tracetest.Graph{
		{Design: tracetest.Hier, Calls: 2},
		{Design: tracetest.Hier, Calls: 3, Direct: true, Helper: true},
		{Design: tracetest.Hier, Around: true},
		{Design: tracetest.Rework},
	} {
		want := strip(run(t, g, full, true))
		for _, m := range []trace.Marks{0, full} {
			for _, retired := range []bool{false, true} {
				got := strip(run(t, g, m, retired))
				if d := cmp.Diff(want, got); d != "" {
					t.Errorf("%s direct %v marks %d retired %v (-want +got):\n%s", g.Design.Name, g.Direct, m, retired, d)
				}
			}
		}
	}
}

// strip returns the lines of a run without what the number of marks decides.
func strip(r *trace.Recorder) []string {
	var l []string
	for i := range r.Events() {
		l = append(l, trace.Line(r.Code(), &r.Events()[i]))
	}
	return l
}

func TestCounts(t *testing.T) {
	for _, tt := range []struct {
		g     tracetest.Graph
		taken uint64
		limit uint64
		calls uint64
	}{
		// One counter for the whole invocation: 33 taken; each of the 34 runs of entry calls twice.
		{tracetest.Graph{Design: tracetest.Hier, Calls: 2}, 33, 35, 68},
		{tracetest.Graph{Design: tracetest.Hier, Calls: 2, Direct: true}, 33, 35, 68},
		// By value, one call: a chain of 34 entries.
		{tracetest.Graph{Design: tracetest.Rework}, 33, 1, 34},
	} {
		for _, retired := range []bool{false, true} {
			r := run(t, tt.g, full, retired)
			c := r.Counts()
			if c.Taken != tt.taken || c.Refused[trace.ReasonLimit] != tt.limit || c.Calls != tt.calls || c.RefusedTotal() != tt.limit {
				t.Errorf("%s retired %v: %+v", tt.g.Design.Name, retired, c)
			}
			if c.Entries != 1 || c.Returns != tt.calls+1 || len(r.Stack()) != 0 {
				t.Errorf("%s: entries %d, returns %d, %d frames left", tt.g.Design.Name, c.Entries, c.Returns, len(r.Stack()))
			}
			if n := r.Starts(r.Code().Lookup(tracetest.EntryAddr)); n != tt.taken+1 {
				t.Errorf("%s: entry began %d times", tt.g.Design.Name, n)
			}
		}
	}
}

// By value, with two calls, every run of entry doubles: for limit L it is 2+4+...+2^L.
func TestCountsExplode(t *testing.T) {
	for l := byte(1); l <= 6; l++ {
		g := tracetest.Graph{Design: tracetest.Rework, Calls: 2}
		c, m, err := g.Record(trace.Options{Limit: uint32(l)}, 1<<20, func(img *image.Image, _ *tracetest.Machine) {
			f := &img.Funcs[1]
			f.Code[f.TailCalls[0].Limit-1] = l
		})
		if err != nil {
			t.Fatal(err)
		}
		r := trace.NewRecorder(c, trace.Config{})
		r.Consume(m.Batch(false))
		r.Finish()
		if want := uint64(1)<<(l+1) - 2; r.Counts().Taken != want {
			t.Errorf("limit %d: %d taken, want %d", l, r.Counts().Taken, want)
		}
	}
}

func TestRefused(t *testing.T) {
	for _, tt := range []struct {
		name   string
		g      tracetest.Graph
		change func(*image.Image, *tracetest.Machine)
		want   trace.Reason
	}{
		{"empty", tracetest.Graph{Design: tracetest.Hier}, func(_ *image.Image, m *tracetest.Machine) { m.Fill(false) }, trace.ReasonEmpty},
		{"empty rework", tracetest.Graph{Design: tracetest.Rework}, func(_ *image.Image, m *tracetest.Machine) { m.Fill(false) }, trace.ReasonEmpty},
		{"empty direct", tracetest.Graph{Design: tracetest.Hier, Direct: true}, func(_ *image.Image, m *tracetest.Machine) { m.Fill(false) }, trace.ReasonEmpty},
		{"bounds", tracetest.Graph{Design: tracetest.Hier}, func(img *image.Image, m *tracetest.Machine) {
			img.Program.Maps[0].MaxEntries = 0
			m.Write(tracetest.MapAddr+0x24, 0, 4)
		}, trace.ReasonBounds},
	} {
		for _, m := range []trace.Marks{0, full} {
			for _, retired := range []bool{false, true} {
				c, mach, err := tt.g.Record(options(m), 1<<20, tt.change)
				if err != nil {
					t.Fatal(err)
				}
				r := trace.NewRecorder(c, trace.Config{})
				r.Consume(mach.Batch(retired))
				r.Finish()
				var got []trace.Reason
				for _, e := range r.Events() {
					if e.Kind == trace.KindRefused {
						got = append(got, e.Reason)
					}
				}
				if d := cmp.Diff([]trace.Reason{tt.want}, got); d != "" {
					t.Errorf("%s, marks %d, retired %v (-want +got):\n%s", tt.name, m, retired, d)
				}
			}
		}
	}
}

// A jump around the tail call is not a refused one.
func TestJumpedAround(t *testing.T) {
	g := tracetest.Graph{Design: tracetest.Hier, Around: true}
	c, m, err := g.Record(options(0), 1<<20, func(_ *image.Image, m *tracetest.Machine) { m.Regs[7] = 0 })
	if err != nil {
		t.Fatal(err)
	}
	r := trace.NewRecorder(c, trace.Config{})
	r.Consume(m.Batch(false))
	if n := r.Counts().RefusedTotal() + r.Counts().Taken; n != 0 || r.Counts().Returns != 2 {
		t.Errorf("%d tail calls, %d returns: %s", n, r.Counts().Returns, trace.Text(c, r.Events()))
	}
}

// Cutting the stream anywhere changes nothing.
func TestBatches(t *testing.T) {
	g := tracetest.Graph{Design: tracetest.Hier, Calls: 2, Direct: true}
	c, m, err := g.Record(options(full), 1<<20, nil)
	if err != nil {
		t.Fatal(err)
	}
	whole := trace.NewRecorder(c, trace.Config{})
	whole.Consume(m.Batch(true))
	for _, n := range []int{1, 2, 7, 100} {
		r := trace.NewRecorder(c, trace.Config{})
		sites := m.Sites
		for at := 0; at < len(m.Retired); at += n {
			end := min(at+n, len(m.Retired))
			k := 0
			for k < len(sites) && sites[k].Seq < uint64(end) {
				k++
			}
			r.Consume(trace.Batch{First: uint64(at), Retired: m.Retired[at:end], Sites: sites[:k]})
			sites = sites[k:]
		}
		if d := cmp.Diff(strip(whole), strip(r)); d != "" {
			t.Errorf("pieces of %d (-whole +pieces):\n%s", n, d)
		}
		if whole.Counts() != r.Counts() || whole.Deepest() != r.Deepest() {
			t.Errorf("pieces of %d: %+v %+v", n, r.Counts(), r.Deepest())
		}
	}
}

// TestStackAtIsAQuery asks for the stack before every instruction: the answer knows of each tail call that was
// just executed, and nothing that is recorded later changes by the question.
func TestStackAtIsAQuery(t *testing.T) {
	for _, direct := range []bool{true, false} {
		g := tracetest.Graph{Design: tracetest.Hier, Calls: 2, Direct: direct}
		c, m, err := g.Record(options(full), 1<<20, nil)
		if err != nil {
			t.Fatal(err)
		}
		whole := trace.NewRecorder(c, trace.Config{})
		whole.Consume(m.Batch(true))
		r, sites, ahead := trace.NewRecorder(c, trace.Config{}), m.Sites, uint64(0)
		for at := range m.Retired {
			if n := len(r.Stack()); n > 0 {
				old, now := r.Stack()[n-1], r.StackAt(m.Retired[at].RIP, 0)
				if len(now) == n && now[n-1].N != old.N {
					if ahead++; now[n-1].Via != trace.ViaTailCall || now[n-1].FromN != old.N || now[n-1].Top != old.Top {
						t.Errorf("direct %v: instruction %d: %+v after %+v", direct, at, now[n-1], old)
					}
				}
			}
			k := 0
			for k < len(sites) && sites[k].Seq <= uint64(at) {
				k++
			}
			r.Consume(trace.Batch{First: uint64(at), Retired: m.Retired[at : at+1], Sites: sites[:k]})
			sites = sites[k:]
		}
		if d := cmp.Diff(strip(whole), strip(r)); d != "" || whole.Counts() != r.Counts() || whole.Deepest() != r.Deepest() {
			t.Errorf("direct %v: events (-left alone +asked): %s\n%+v %+v", direct, d, whole.Counts(), r.Counts())
		}
		if taken := whole.Counts().Taken; ahead != taken || taken == 0 {
			t.Errorf("direct %v: %d tail calls were seen before they were recorded, of %d", direct, ahead, taken)
		}
	}
}

func TestBudget(t *testing.T) {
	c, m, err := (tracetest.Graph{Design: tracetest.Hier, Calls: 2}).Record(options(0), 1<<20, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := trace.NewRecorder(c, trace.Config{MaxEvents: 10, Keep: 4})
	if !r.Consume(m.Batch(false)) {
		t.Error("did not ask to stop")
	}
	if len(r.Events()) != 4 || r.Counts().Calls+r.Counts().Taken+1 != 10 {
		t.Errorf("%d events kept, counts %+v", len(r.Events()), r.Counts())
	}
	r.Reset()
	if r.Stopped() || len(r.Events()) != 0 || r.Counts() != (trace.Counts{}) || len(r.Stack()) != 0 {
		t.Error("Reset left something")
	}
}

func TestDeepest(t *testing.T) {
	r := run(t, tracetest.Graph{Design: tracetest.Hier}, 0, false)
	// 34 frames of entry, each: return address, rbp, 8 of stack, two words, rbx; then sub: return
	// address, rbp, two words. Each entry but the first stands in the frame of a sub.
	want := tracetest.StackTop + 8 - 34*(6*8) - 4*8
	if got := r.Deepest(); got.RSP != want || r.Events()[got.Event-1].Kind != trace.KindCall {
		t.Errorf("deepest %#x at event %d, want %#x", uint64(got.RSP), got.Event, uint64(want))
	}
	if got := run(t, tracetest.Graph{Design: tracetest.Hier}, 0, true).Deepest(); got.RSP != want {
		t.Errorf("retired: deepest %#x, want %#x", uint64(got.RSP), uint64(want))
	}
}

func TestPoke(t *testing.T) {
	img := tracetest.Graph{Design: tracetest.Hier, Direct: true}.Image()
	c, err := trace.NewCode([]*image.Image{img}, trace.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r := trace.NewRecorder(c, trace.Config{})
	tail := &img.Funcs[1].TailCalls[0]
	r.Poke(7, tracetest.SubAddr+image.Addr(tail.Bypass), "nop to jmp")
	e := r.Events()[0]
	want := fmt.Sprintf("sub+%#x nop to jmp", int(tail.Bypass))
	if e.Kind != trace.KindPoke || e.Seq != 7 || e.Insn != tail.Insn || e.What(c) != want {
		t.Errorf("%+v %s", e, e.What(c))
	}
}

func TestNewCodeErrors(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		change     func(*image.Image)
	}{
		{"overlap", "overlap", func(i *image.Image) { i.Funcs[1].Addr = i.Funcs[0].Addr + 8 }},
		{"bytes", "decode", func(i *image.Image) { i.Funcs[0].Code[len(i.Funcs[0].Code)-1] = 0x06 }},
		{"call", "call 0: no instruction", func(i *image.Image) { i.Funcs[0].Calls[0].Off++ }},
		{"tail", "tail call 0: no instruction", func(i *image.Image) { i.Funcs[1].TailCalls[0].Jump = -1 }},
		{"entry", "no instruction at the entry", func(i *image.Image) { i.Funcs[0].Entry = 1 }},
	} {
		img := tracetest.Graph{Design: tracetest.Hier}.Image()
		tt.change(img)
		if _, err := trace.NewCode([]*image.Image{img}, trace.Options{}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", tt.name, err, tt.want)
		}
	}
}
