// SPDX-License-Identifier: GPL-2.0-only

package trace

import (
	"slices"

	"github.com/tcsim/tcsim/emu/record"
	"github.com/tcsim/tcsim/jit/image"
)

// Config bounds a Recorder. The zero value means the defaults.
type Config struct {
	// MaxEvents is how many events may happen before Consume asks to stop; 0 means 1<<20.
	MaxEvents uint64
	// Keep is how many events stay in memory, the first ones; later ones are only counted and
	// handed to the watcher. 0 means 1<<16, a negative number none.
	Keep int
	// Each takes every event, also those that are not kept; nil for none. The event is valid during the call.
	Each func(*Event)
	// Watcher is told everything as it happens; nil for none.
	Watcher Watcher
	// Memory is overwritten with the events that are kept, as far as it goes; nil is fine. Those of a recorder
	// that is not used any more save making more.
	Memory []Event
}

// The defaults of Config.
const (
	DefaultMaxEvents = 1 << 20
	DefaultKeep      = 1 << 16
)

// Watcher follows a run through its Recorder, in the order of execution. It may read the recorder,
// and call Stop, from inside the calls.
type Watcher interface {
	// Site is called for each marked instruction, before anything is concluded from it.
	Site(k MarkKind, f *Fn, s *record.Site)
	// Event is called when an event is complete, with the site that it comes from (nil for pokes)
	// and, except for KindEntry, before the activations change. Both are valid during the call.
	Event(e *Event, s *record.Site)
	// Store is called for each retired instruction of the images that writes memory, calls and
	// pushes included. seq counts retired instructions before it.
	Store(seq uint64, f *Fn, op Op, r record.Retired)
}

// LoadWatcher is a Watcher that also looks at what is read.
type LoadWatcher interface {
	Watcher
	// Load is called, before Store, for each retired instruction of the images with OpReach, and
	// for each one with OpLoad while WatchLoads is on.
	Load(seq uint64, f *Fn, op Op, r record.Retired)
}

// Batch is a piece of the stream. Retired is empty if only sites are recorded; else Retired[i] is
// instruction number First+i of the run, and each Site belongs to the instruction Seq.
type Batch struct {
	First   uint64
	Retired []record.Retired
	Sites   []record.Site
}

// Recorder makes events from batches. It is not safe for concurrent use. Apart from the growing
// list of events it allocates nothing while it runs.
type Recorder struct {
	code     *Code
	cfg      Config
	events   []Event
	counts   Counts
	starts   []uint64 // by Fn.id
	stack    []Activation
	popped   Activation // by the return at poppedAt
	poppedAt image.Addr
	gen      uint64 // changes with stack
	acts     int
	no       uint64
	sites    uint64
	taken    uint64 // in this invocation
	inner    int    // interrupts that are going on
	stop     bool

	cur   *Fn // where the last instruction was; never nil
	cache [64]*Fn

	// The tail call in progress.
	open     bool // its start was a site
	openTail int
	openFn   *Fn
	openAct  int
	start    record.Site

	// A jump whose outcome the next instruction or site tells.
	pending     bool
	pendingMark *mark
	pendingSite record.Site
	pendingEv   Event
	jumpedTo    image.Addr // where the site being looked at was reached by a tail call; 0 if not

	deepest Deepest
	scratch Event

	loads LoadWatcher // nil for none
	look  Op          // what the watcher is told of
}

// Deepest is the lowest point that the stack reached.
type Deepest struct {
	RSP   image.Addr // 0 if nothing ran
	Event uint64     // number of the event whose consequence it is
}

// outside stands for code that belongs to no image.
var outside = &Fn{name: "outside", FuncImage: &image.FuncImage{Name: "outside"}}

// NewRecorder returns a recorder that has seen nothing.
func NewRecorder(c *Code, cfg Config) *Recorder {
	if cfg.MaxEvents == 0 {
		cfg.MaxEvents = DefaultMaxEvents
	}
	if cfg.Keep == 0 {
		cfg.Keep = DefaultKeep
	}
	r := &Recorder{code: c, cfg: cfg, starts: make([]uint64, len(c.fns)), stack: make([]Activation, 0, 64)}
	if r.events = cfg.Memory[:0]; cap(r.events) == 0 {
		r.events = make([]Event, 0, max(0, min(cfg.Keep, 256)))
	}
	r.loads, _ = cfg.Watcher.(LoadWatcher)
	r.Reset()
	return r
}

// Reset forgets the run and keeps the memory; slices returned before are overwritten.
func (r *Recorder) Reset() {
	*r = Recorder{
		code: r.code, cfg: r.cfg, events: r.events[:0], starts: r.starts, stack: r.stack[:0],
		cur: outside, cache: r.cache, gen: r.gen + 1, loads: r.loads,
	}
	r.WatchLoads(false)
	clear(r.starts)
}

// WatchLoads says whether a LoadWatcher is told of every load, or only of those with OpReach.
func (r *Recorder) WatchLoads(all bool) {
	r.look = OpStore | OpPush
	if r.loads != nil {
		if r.look |= OpReach; all {
			r.look |= OpLoad
		}
	}
}

// Code returns what the recorder was made with.
func (r *Recorder) Code() *Code { return r.code }

// Events returns the kept events: Events()[i].No is i+1. The slice is valid until the next call
// that records.
func (r *Recorder) Events() []Event { return r.events }

// Counts returns the totals so far.
func (r *Recorder) Counts() Counts { return r.counts }

// Stack returns the live activations, the outermost first. It is valid until the next call that
// records and must not be changed.
func (r *Recorder) Stack() []Activation { return r.stack }

// StackAt returns the activations as they are directly before the instruction at rip with this
// rsp, where the machine has stopped. It differs from Stack if the last site recorded is a call or
// return that has not been executed yet, or a tail call that has been and that no later record tells
// of; and at the first instruction of what nothing calls: a program that is entered from outside, a trampoline, a
// program that replaces a function. An entry that is not recorded yet is an activation with ReturnTo 0. The slice is the
// caller's.
func (r *Recorder) StackAt(rip, rsp image.Addr) []Activation {
	acts := slices.Clone(r.stack)
	f := r.code.Lookup(rip)
	n := len(acts)
	if n > 0 && f != nil && r.arrives(f, rip) == pendingTaken {
		acts[n-1].tailCalled(f, r.acts+1, r.no+1)
	}
	switch {
	case n == 0 && f != nil && rip == f.Addr+image.Addr(f.Entry):
		return []Activation{r.unrecorded(f, rsp, ViaOutside)} // about to be entered
	case n > 0 && acts[n-1].Top < rsp:
		return acts[:n-1]
	case r.popped.Fn != nil && r.popped.Top == rsp && rip == r.poppedAt && (n == 0 || acts[n-1].Top > rsp):
		return append(acts, r.popped) // not one that returned from there before
	case n > 0 && f != nil && rip == f.Addr+image.Addr(f.Entry):
		return r.begun(acts, f, rsp)
	}
	return acts
}

// begun adds what is about to execute its first instruction, unless it is there: entry would record it.
func (r *Recorder) begun(acts []Activation, f *Fn, rsp image.Addr) []Activation {
	top := &acts[len(acts)-1]
	switch {
	case top.Fn == f && top.Top == rsp:
	case f.Trampoline && top.Top == rsp: // it has taken the function's place
		top.From, top.FromN = top.Fn, top.N
		top.Fn, top.N, top.Via, top.Event, top.RBP = f, r.acts+1, ViaHook, r.no+1, f.FrameBase(rsp)
	case f.Trampoline:
		top.Hooked, top.RBP = true, top.Top
		return append(acts, r.unrecorded(f, rsp, ViaHook))
	case top.Top == rsp && top.Via == ViaCall && !top.Hooked: // it replaces the function
		top.Fn, top.RBP = f, f.FrameBase(rsp)
	case top.Top > rsp && !f.ExceptionCB: // an interrupt, or a callback of a helper
		return append(acts, r.unrecorded(f, rsp, f.entered()))
	}
	return acts
}

// unrecorded is an activation that the next event begins.
func (r *Recorder) unrecorded(f *Fn, rsp image.Addr, via Via) Activation {
	return Activation{N: r.acts + 1, Fn: f, Top: rsp, RBP: f.FrameBase(rsp), Via: via, Event: r.no + 1}
}

// Arrive says that the machine has stopped directly before the instruction at rip and that something else
// runs first: a tail call that has been executed becomes an event.
func (r *Recorder) Arrive(rip image.Addr) {
	f := r.find(rip)
	switch r.arrives(f, rip) {
	case pendingNop:
		r.pending = false
	case pendingTaken:
		r.landed(f, 0)
	}
}

// What being at an instruction means for the jump whose outcome is not known yet.
const (
	pendingNone  = iota // there is none, or it is still to be executed, or the code is no program's
	pendingNop          // it was a patched nop
	pendingTaken        // it was taken
)

// arrives says which of these it is.
func (r *Recorder) arrives(f *Fn, rip image.Addr) int {
	switch {
	case !r.pending || rip == r.pendingSite.RIP:
		return pendingNone
	case r.passed(f, image.CodeOff(rip-f.Addr)):
		return pendingNop
	case f == outside:
		return pendingNone
	}
	return pendingTaken
}

// Generation changes whenever Stack does.
func (r *Recorder) Generation() uint64 { return r.gen }

// Deepest returns the lowest rsp so far. Where a function's frame is known it counts whole,
// whether or not something was recorded while it ran.
func (r *Recorder) Deepest() Deepest { return r.deepest }

// StartSite returns the site of the start of the tail call that the event being reported comes
// from: ok is false if the start was not marked.
func (r *Recorder) StartSite() (s *record.Site, ok bool) { return &r.start, r.open }

// Stop makes Consume return true.
func (r *Recorder) Stop() { r.stop = true }

// Stopped reports whether the machine should stop: the watcher asked for it or MaxEvents is reached.
func (r *Recorder) Stopped() bool { return r.stop }

// Consume takes the next piece of the stream. It returns true when the machine should stop; the
// rest of the batch has then been ignored.
func (r *Recorder) Consume(b Batch) bool {
	done := 0
	for i := range b.Sites {
		if r.stop {
			return true
		}
		s := &b.Sites[i]
		if s.Seq >= b.First {
			if n := int(min(s.Seq-b.First, uint64(len(b.Retired)))); n > done {
				r.walk(b.First+uint64(done), b.Retired[done:n])
				done = n
			}
		}
		if !r.stop {
			r.site(s)
		}
	}
	if !r.stop && done < len(b.Retired) {
		r.walk(b.First+uint64(done), b.Retired[done:])
	}
	return r.stop
}

// Finish ends the run: a tail call whose target was not seen becomes an event.
func (r *Recorder) Finish() {
	if r.pending && !r.stop {
		r.landed(nil, 0)
	}
}

// Poke records that text at addr was changed, by the outside or by a planned map update.
func (r *Recorder) Poke(seq uint64, addr image.Addr, what string) {
	r.counts.Pokes++
	e := r.event(KindPoke)
	e.Seq, e.RIP, e.Name = seq, addr, what
	e.Fn = r.code.Lookup(addr)
	e.setInsn()
	r.emit(e, nil)
}

// walk goes over instructions between two sites.
func (r *Recorder) walk(seq uint64, rs []record.Retired) {
	r.counts.Retired += uint64(len(rs))
	f := r.cur
	w := r.cfg.Watcher
	for i := 0; i < len(rs); i++ {
		off := uint64(rs[i].RIP - f.Addr)
		if off >= uint64(len(f.ops)) {
			f = r.find(rs[i].RIP)
			if f == outside {
				continue
			}
			off = uint64(rs[i].RIP - f.Addr)
		}
		if r.pending {
			r.resolve(f, image.CodeOff(off))
			if r.stop {
				return
			}
		}
		op := f.ops[off]
		if op&r.look == 0 {
			continue
		}
		if r.loads != nil && op&(OpLoad|OpReach)&r.look != 0 {
			r.loads.Load(seq+uint64(i), f, op, rs[i])
		}
		if op&(OpStore|OpPush) == 0 {
			continue
		}
		if op&OpPush != 0 && rs[i].EA < r.deepest.RSP {
			r.deepest = Deepest{RSP: rs[i].EA, Event: r.no}
		}
		if w != nil {
			w.Store(seq+uint64(i), f, op, rs[i])
			if r.stop {
				return
			}
		}
	}
	r.cur = f
}

// find returns the function at a, or outside, and remembers the answer.
func (r *Recorder) find(a image.Addr) *Fn {
	slot := &r.cache[a>>6&63]
	if f := *slot; f != nil && f.Contains(a) {
		return f
	}
	f := r.code.Lookup(a)
	if f == nil {
		return outside
	}
	*slot = f
	return f
}

// resolve looks at the first instruction of the images after a jump.
func (r *Recorder) resolve(f *Fn, off image.CodeOff) {
	a := f.Addr + image.Addr(off)
	if a == r.pendingSite.RIP {
		return // the jump itself, which follows its site in the stream
	}
	if r.passed(f, off) {
		r.pending = false
		return // a nop: the end of the sequence is a site and comes next
	}
	if t := r.pendingMark.tailSite(r.pendingEv.Fn); f == r.pendingEv.Fn && !t.Direct && off > t.Jump && off < t.End {
		return // a retpoline inline, on its way
	}
	r.landed(f, a)
}

// passed says that being at off in f means that the pending jump is a patched nop.
func (r *Recorder) passed(f *Fn, off image.CodeOff) bool {
	t := r.pendingMark.tailSite(r.pendingEv.Fn)
	return f == r.pendingEv.Fn && t.Direct && off == t.Jump+pokeSize
}

// pokeSize is X86_PATCH_SIZE of arch/x86/net/bpf_jit_comp.c, Linux 6.12.
const pokeSize = 5

func (m *mark) tailSite(f *Fn) *image.TailCallSite { return &f.TailCalls[m.tail] }
