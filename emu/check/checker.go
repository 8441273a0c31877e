// SPDX-License-Identifier: GPL-2.0-only

package check

import (
	"slices"

	"github.com/tcsim/tcsim/emu/record"
	"github.com/tcsim/tcsim/emu/trace"
	"github.com/tcsim/tcsim/jit/image"
)

// DefaultStackBudget is THREAD_SIZE of x86-64 without KASAN in bytes (Linux 6.12,
// arch/x86/include/asm/page_64_types.h).
const DefaultStackBudget = 16 << 10

// Range is a piece of memory.
type Range struct {
	Lo, End image.Addr // [Lo, End)
	Name    string     // for messages
}

// Config says what a run is checked against. The zero value checks the images' own limits and a
// default stack, and allows no store outside the stack.
type Config struct {
	// Limit is how many tail calls an invocation may take; 0 means what the images' target says.
	Limit uint32
	// StackBudget is the size of the kernel stack in bytes; 0 means DefaultStackBudget.
	StackBudget uint64
	// StackTop is the end of the stack; 0 means the outside caller's rsp at the first entry.
	StackTop image.Addr
	// Writable is what programs may write besides BPF stacks: map values, packet, context.
	Writable []Range
	// DesignWritable is what only code of the design may write besides its frames, such as a
	// per-CPU counter.
	DesignWritable []Range
	// Junk are the values that helper stubs leave in rax.
	Junk []uint64
	// KeepGoing goes on after a broken invariant: what follows is as the code does it, and what is found then may be
	// a consequence of what came first.
	KeepGoing bool
}

// maxMore is how many different violations after the first are kept.
const maxMore = 256

// Again is a violation after the first, and how often it occurred.
type Again struct {
	Violation
	Times uint64 `json:"times"`
}

// Checker follows a run. It is not safe for concurrent use.
type Checker struct {
	cfg   Config
	rec   *trace.Recorder
	found *Violation
	more  []Again    // violations after the first, with KeepGoing
	event uint64     // number of the last event
	top   image.Addr // end of the stack, 0 before the first entry

	// What stores are compared with, valid while gen is the recorder's.
	gen   uint64
	cur   frame
	known bool // the current frame is described
	// counter is where tail_call_cnt lives while a pointer to it is in use, 0 if unknown.
	counter image.Addr
	linked  []bool // by depth: the saved rbp was seen to be pushed
	last    Range  // the writable range hit last

	allowed []Range    // by AllowDesign
	below   []below    // words that were written below rsp and not again since
	latent  *Violation // the first read of memory that had been below rsp, or refusal without a reason
}

// frame is what matters of an activation for stores. Addresses go up: low, lo, hi, top.
type frame struct {
	act    trace.Activation
	low    image.Addr // lowest address of the frame
	lo, hi image.Addr // the BPF stack [lo, hi)
}

// New returns a checker with its own recorder. rc.Watcher is replaced.
func New(code *trace.Code, rc trace.Config, cfg Config) *Checker {
	if cfg.StackBudget == 0 {
		cfg.StackBudget = DefaultStackBudget
	}
	c := &Checker{cfg: cfg}
	rc.Watcher = c
	c.rec = trace.NewRecorder(code, rc)
	c.Reset()
	return c
}

// Reset forgets the run.
func (c *Checker) Reset() {
	*c = Checker{cfg: c.cfg, rec: c.rec, top: c.cfg.StackTop, linked: c.linked[:0], below: c.below[:0], allowed: c.allowed[:0]}
	c.rec.Reset()
}

// Recorder returns the recorder with the events of the run. Its Consume must not be called.
func (c *Checker) Recorder() *trace.Recorder { return c.rec }

// Consume takes the next piece of the stream. It returns true when the machine should stop.
func (c *Checker) Consume(b trace.Batch) bool { return c.rec.Consume(b) }

// AllowDesign adds, until Reset, to what only code of the design may write.
func (c *Checker) AllowDesign(r Range) { c.allowed = append(c.allowed, r) }

// Finish ends the run.
func (c *Checker) Finish() { c.rec.Finish() }

// Violation returns the first broken invariant; nil if none is.
func (c *Checker) Violation() *Violation { return c.found }

// More returns what was broken after the first with KeepGoing: each invariant at each instruction once.
func (c *Checker) More() []Again { return c.more }

// over reports whether nothing is looked at any more.
func (c *Checker) over() bool { return c.found != nil && !c.cfg.KeepGoing }

func (c *Checker) bottom() image.Addr { return c.top - image.Addr(c.cfg.StackBudget) }

// Site implements trace.Watcher.
func (c *Checker) Site(k trace.MarkKind, f *trace.Fn, s *record.Site) {
	c.budget(s.Seq, s.RIP)
	if k&(trace.MarkCall|trace.MarkTailStart) != 0 && !c.over() {
		c.frameEnd(k, f, s)
	}
}

// Event implements trace.Watcher.
func (c *Checker) Event(e *trace.Event, s *record.Site) {
	c.event = e.No
	switch e.Kind {
	case trace.KindEntry:
		if c.top == 0 {
			c.top = s.RSP + 8
		}
		c.counter = 0
		c.link(e.Depth, false)
	case trace.KindCall, trace.KindHelper:
		c.call(e)
	case trace.KindHook:
		c.hook(e, s)
	case trace.KindReturn:
		c.returns(e, s)
	case trace.KindTailCall:
		c.tailCall(e, s)
	case trace.KindRefused:
		c.refused(e, s)
	}
	c.budget(e.Seq, e.RIP)
}

// Store implements trace.Watcher.
func (c *Checker) Store(seq uint64, f *trace.Fn, op trace.Op, r record.Retired) {
	if g := c.rec.Generation(); g != c.gen {
		c.gen = g
		c.refresh()
	}
	if op&trace.OpBelow != 0 || len(c.below) != 0 {
		c.belowStore(op, r)
	}
	if r.EA >= c.cur.lo && r.EA+image.Addr(op.Size()) <= c.cur.hi && op&(trace.OpDesign|trace.OpPush) == 0 {
		return
	}
	c.store(seq, f, op, r)
}

// link notes whether the saved rbp of the frame at a depth, from 1, has been pushed.
func (c *Checker) link(depth int, yes bool) {
	for len(c.linked) < depth {
		c.linked = append(c.linked, false)
	}
	if depth > 0 {
		c.linked[depth-1] = yes
	}
}

// budget compares the deepest rsp with the stack.
func (c *Checker) budget(seq uint64, rip image.Addr) {
	d := c.rec.Deepest().RSP
	if c.top == 0 || d == 0 || d >= c.bottom() || c.over() {
		return
	}
	c.Report(c.violation(StackBudget, seq, rip, overBudget(c.top-d, c.cfg.StackBudget, len(c.rec.Stack()))))
}

// limitFor returns how many tail calls an invocation may take; 0 if it is unknown.
func (c *Checker) limitFor(f *trace.Fn) uint64 {
	if c.cfg.Limit != 0 {
		return uint64(c.cfg.Limit)
	}
	return uint64(f.Limit)
}

func (c *Checker) isJunk(v uint64) bool { return slices.Contains(c.cfg.Junk, v) }
