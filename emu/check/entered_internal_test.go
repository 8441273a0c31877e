// SPDX-License-Identifier: GPL-2.0-only

package check

import (
	"strings"
	"testing"

	"github.com/tcsim/tcsim/emu/record"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/emu/trace/tracetest"
	"github.com/tcsim/tcsim/jit/image"
)

// begun is a checker that has seen so many instructions of a graph, with the function that is being executed.
func begun(t *testing.T, insns int) (*Checker, *trace.Fn) {
	t.Helper()
	code, m, err := tracetest.Graph{Design: tracetest.Hier, Calls: 1}.Record(trace.Options{}, max(insns, 1), func(*image.Image, *tracetest.Machine) {})
	if code == nil {
		t.Fatal(err)
	}
	c := New(code, trace.Config{}, Config{})
	if insns > 0 {
		c.Consume(m.Batch(true))
	}
	f := code.Lookup(m.Batch(true).Retired[0].RIP)
	if f == nil || c.Violation() != nil {
		t.Fatalf("%v, %v", f, c.Violation())
	}
	return c, f
}

// TestNothingEntered: a trampoline, a call, a return and a tail call where no function is active.
func TestNothingEntered(t *testing.T) {
	for what, do := range map[string]func(c *Checker, e *trace.Event, s *record.Site){
		"no function was entered": (*Checker).hook,
		"call from":               func(c *Checker, e *trace.Event, _ *record.Site) { c.call(e) },
		"return from":             (*Checker).returns,
		"tail call from":          (*Checker).tailCall,
	} {
		c, f := begun(t, 0)
		do(c, &trace.Event{Fn: f}, &record.Site{})
		if v := c.Violation(); v == nil || v.Invariant != Balance || !strings.Contains(v.Text, what) {
			t.Errorf("%s: %v", what, v)
		}
	}
}

// TestHook: a function comes to its trampoline with its return address on top of the stack, or that of the call which
// leads to it.
func TestHook(t *testing.T) {
	for off, fine := range map[int]bool{0: true, -8: true, 8: false, -16: false} {
		c, f := begun(t, 4)
		a, ok := c.innermost()
		if !ok {
			t.Fatal("nothing is entered")
		}
		c.linked = []bool{true}
		c.hook(&trace.Event{Fn: f, Depth: 1}, &record.Site{RSP: a.Top + image.Addr(int64(off))})
		if c.linked[0] == fine {
			t.Errorf("rsp %+d: of the frame rbp is linked: %v", off, c.linked[0])
		}
		if v := c.Violation(); (v == nil) != fine || v != nil && !strings.Contains(v.Text, "comes to its trampoline with rsp") {
			t.Errorf("rsp %+d: %v", off, v)
		}
	}
}

// TestEnteredAgain: an invocation begins without a counter.
func TestEnteredAgain(t *testing.T) {
	c, f := begun(t, 4)
	c.counter = 0x1000
	c.Event(&trace.Event{Kind: trace.KindEntry, Fn: f, Depth: 1}, &record.Site{RSP: c.top - 8})
	if c.counter != 0 {
		t.Errorf("the counter is at %#x", uint64(c.counter))
	}
}

// TestBelow: what was written below rsp is not to be read, but for what was written again properly.
func TestBelow(t *testing.T) {
	const at image.Addr = 0xffffc90000203000
	const word = trace.Op(8) << 7 // see trace.Op.Size
	if word.Size() != 8 {
		t.Fatal("the size of a store stands elsewhere in trace.Op")
	}
	for _, row := range []struct {
		again image.Addr // where 8 bytes are written properly, 0 for nowhere
		read  image.Addr
		seen  bool
	}{
		{0, at, true}, {0, at + 7, true}, {0, at - 1, false}, {0, at + 8, false},
		{at, at, false}, {at - 4, at + 3, false}, {at - 4, at + 4, true}, {at + 4, at + 3, true}, {at + 4, at + 4, false}, {at + 16, at, true},
	} {
		c, f := begun(t, 4)
		c.belowStore(word|trace.OpBelow, record.Retired{EA: at})
		if row.again != 0 {
			c.belowStore(word, record.Retired{EA: row.again})
		}
		c.Load(9, f, 0, record.Retired{RIP: f.Addr, EA: row.read})
		if v := c.Latent(); (v != nil) != row.seen || v != nil && (v.Invariant != BelowRSP || !strings.Contains(v.Text, "was written while rsp was above it")) {
			t.Errorf("written again at %+d, read at %+d: %v", int64(row.again-at), int64(row.read-at), v)
		}
	}
}
