// SPDX-License-Identifier: GPL-2.0-only

package trace

import (
	"github.com/tcsim/tcsim/emu/record"
	"github.com/tcsim/tcsim/jit/image"
)

// site interprets one marked instruction.
func (r *Recorder) site(s *record.Site) {
	r.sites++
	f := r.cur
	if !f.Contains(s.RIP) {
		f = r.find(s.RIP)
		if f == outside {
			return
		}
		r.cur = f
	}
	m := f.at(s.RIP)
	if m == nil {
		return
	}
	r.jumpedTo = 0
	if r.pending && !r.siteResolves(f, m, s) {
		return
	}
	if s.RSP < r.deepest.RSP || r.deepest.RSP == 0 {
		r.deepest = Deepest{RSP: s.RSP, Event: r.no + 1}
	}
	if w := r.cfg.Watcher; w != nil {
		w.Site(m.kinds, f, s)
	}
	r.kinds(f, m, s)
}

// siteResolves settles a pending jump when a site comes before another instruction is seen. It reports whether to go on.
func (r *Recorder) siteResolves(f *Fn, m *mark, s *record.Site) bool {
	if from := r.pendingEv.Fn; m.kinds&MarkTailEnd != 0 && f == from && s.Prev >= r.pendingSite.RIP &&
		s.Prev < from.Addr+image.Addr(r.pendingMark.tailSite(from).End) {
		r.pending = false // a nop
		return true
	}
	a := image.Addr(0)
	if m.kinds&MarkEntry != 0 || r.counts.Retired > 0 {
		a = s.RIP // nothing of the images can have come between
	}
	r.landed(f, a)
	r.jumpedTo = a
	return !r.stop
}

// kinds does what each kind of a mark asks for; the end of a tail call comes before what begins
// at the same instruction.
func (r *Recorder) kinds(f *Fn, m *mark, s *record.Site) {
	if m.kinds&MarkTailEnd != 0 {
		r.tailEnd(f, m, s)
	}
	if m.kinds&MarkTailStart != 0 {
		r.open, r.openTail, r.openFn, r.openAct = true, m.tail, f, r.topN()
		r.start = *s
	}
	if r.stop {
		return
	}
	if m.kinds&MarkEntry != 0 {
		r.entry(f, s)
	}
	if m.kinds&MarkTailJump != 0 {
		r.tailJump(f, m, s)
	}
	if m.kinds&MarkCall != 0 {
		r.call(f, m, s)
	}
	if m.kinds&MarkReturn != 0 {
		r.ret(f, s)
	}
}

func (r *Recorder) topN() int {
	if len(r.stack) == 0 {
		return 0
	}
	return r.stack[len(r.stack)-1].N
}

// entry begins an invocation, unless the function was called from inside or, by mistake, a tail
// call enters it here.
func (r *Recorder) entry(f *Fn, s *record.Site) {
	if f.Trampoline {
		r.hook(f, s)
		return
	}
	if r.jumpedTo == s.RIP {
		return
	}
	if n := len(r.stack); n > 0 {
		if top := &r.stack[n-1]; top.Top == s.RSP && top.Via == ViaCall && !top.Hooked {
			if top.Fn != f {
				r.replaced(top, f)
			}
			return
		}
	}
	// From the return address of the first program comes what interrupts it.
	nested := len(r.stack) > 0
	inner := nested && r.stack[0].ReturnTo == image.Addr(s.Stack[0])
	outer := r.taken
	if r.taken = 0; inner {
		r.inner++
	}
	r.counts.Entries++
	e := r.siteEvent(KindEntry, f, s)
	e.TargetAddr, e.Name = image.Addr(s.Stack[0]), r.code.Where(image.Addr(s.Stack[0]))
	e.Act, e.Begun = r.acts+1, r.acts+1
	e.Depth = len(r.stack) + 1
	r.push(Activation{
		Fn: f, Top: s.RSP, ReturnTo: image.Addr(s.Stack[0]), Via: f.entered(), Caller: savedOf(s), Event: e.No,
		nested: nested, outer: outer, inner: inner,
	})
	r.emit(e, s)
}

// entered is how the outside begins an activation of f.
func (f *Fn) entered() Via {
	if f.Index > 0 && !f.Trampoline {
		return ViaHelper
	}
	return ViaOutside
}

// replaced notes that the function that was called has jumped to the program that replaces it.
func (r *Recorder) replaced(a *Activation, f *Fn) {
	r.gen++
	a.Fn, a.RBP = f, f.FrameBase(a.Top)
	r.begin(a)
}

// call is a call instruction, directly before it.
func (r *Recorder) call(f *Fn, m *mark, s *record.Site) {
	site := &f.Calls[m.call]
	kind := KindCall
	if m.target == nil {
		kind = KindHelper
		r.counts.Helpers++
	} else {
		r.counts.Calls++
	}
	e := r.siteEvent(kind, f, s)
	if m.target != nil {
		e.Begun = r.acts + 1
	}
	if r.countsHere(f) {
		e.counter(s)
	}
	e.Target, e.TargetAddr = m.target, site.Target
	if m.target == nil {
		e.Name = r.code.symbol(site.Target)
	}
	no := e.No
	r.emit(e, s)
	if m.throws {
		r.throw(no)
	}
	if m.target == nil {
		return
	}
	r.push(Activation{
		Fn: m.target, Top: s.RSP - 8, ReturnTo: s.RIP + image.Addr(m.length), Via: ViaCall, Caller: savedOf(s), Event: no,
	})
	switch {
	case invokes(f, site, m.target):
		top := &r.stack[len(r.stack)-1]
		top.nested, top.outer = true, r.taken
		r.taken = 0
	case f.Trampoline:
		r.starts[m.target.id]-- // it was counted when it came to the trampoline
	}
}

// throw takes frames down to that of the innermost main function, which its program's exception
// callback goes on in (bpf_stack_walker, kernel/bpf/helpers.c). Without a callback nothing is known
// of what follows.
func (r *Recorder) throw(event uint64) {
	n := len(r.stack)
	for n > 0 && (r.stack[n-1].Fn.Index != 0 || r.stack[n-1].Fn.Trampoline) {
		n--
	}
	if n == 0 {
		return
	}
	cb := r.code.exceptionCB(r.stack[n-1].Fn.Image)
	if cb == nil {
		return
	}
	r.stack = r.stack[:n]
	top := &r.stack[n-1]
	r.gen++
	r.acts++
	top.From, top.FromN = top.Fn, top.N
	top.Fn, top.N, top.Via, top.Event, top.Builder = cb, r.acts, ViaThrow, event, nil
	top.RBP = cb.FrameBase(top.Top)
	r.begin(top)
}

// countsHere reports whether f's own description says where the counter of the current frame is:
// not if f goes on in a frame of another size.
func (r *Recorder) countsHere(f *Fn) bool {
	n := len(r.stack)
	return n == 0 || r.stack[n-1].Builder == nil || r.stack[n-1].Builder.Frame.Counter == f.Frame.Counter
}

// push adds a frame, the lowest address of which counts as used.
func (r *Recorder) push(a Activation) {
	r.gen++
	r.acts++
	a.N = r.acts
	a.RBP = a.Fn.FrameBase(a.Top)
	r.stack = append(r.stack, a)
	r.begin(&r.stack[len(r.stack)-1])
}

// begin accounts for the activation that has just begun.
func (r *Recorder) begin(a *Activation) {
	r.starts[a.Fn.id]++
	low := a.Top
	if len(a.Frame().Slots) > 0 {
		low = min(low, a.RBP+image.Addr(int64(a.FrameLow())))
	}
	if low < r.deepest.RSP || r.deepest.RSP == 0 {
		r.deepest = Deepest{RSP: low, Event: a.Event}
	}
}

// ret is a return instruction, directly before it. A return to a prologue, which can be that of the
// program that was entered first, is part of a design in which programs call their own bodies.
func (r *Recorder) ret(f *Fn, s *record.Site) {
	if f.Trampoline {
		r.leaveHook(s)
	} else if to := image.Addr(s.Stack[0]); r.inPrologue(to) {
		return
	}
	r.counts.Returns++
	e := r.siteEvent(KindReturn, f, s)
	e.TargetAddr = image.Addr(s.Stack[0])
	e.Target = r.code.Lookup(e.TargetAddr)
	if e.Target == nil {
		e.Name = r.code.Where(e.TargetAddr)
	}
	r.emit(e, s)
	if n := len(r.stack); n > 0 {
		r.popped, r.poppedAt = r.stack[n-1], s.RIP
		r.stack = r.stack[:n-1]
		r.gen++
		if r.popped.nested {
			r.taken = r.popped.outer
		}
		if r.popped.inner {
			r.inner--
		}
		if r.popped.Via == ViaHook {
			r.unhook()
		}
	}
}

func (r *Recorder) inPrologue(a image.Addr) bool {
	f := r.find(a)
	return image.CodeOff(a-f.Addr) < f.Frame.Body && f != outside
}

// tailJump is the instruction that leaves for the target. An indirect jump is taken; what a
// patched site does, the next instruction tells. Either way the target is only known then.
func (r *Recorder) tailJump(f *Fn, m *mark, s *record.Site) {
	e := r.tailEvent(KindTailCall, f, m.tail, s)
	r.pending, r.pendingMark, r.pendingSite, r.pendingEv = true, m, *s, *e
}

// landed makes the pending jump an event: a is the first instruction reached in f, 0 if only
// sites are recorded. f is nil at the end of the run.
func (r *Recorder) landed(f *Fn, a image.Addr) {
	r.pending = false
	r.counts.Taken++
	r.taken++
	if r.inner > 0 {
		r.counts.InnerTaken++
	}
	e := r.event(KindTailCall)
	no := e.No
	*e = r.pendingEv
	e.No, e.Begun, e.Taken, e.Target, e.TargetAddr = no, r.acts+1, r.taken, f, a
	if f != nil && a == 0 && f.Frame.Landing >= 0 {
		e.TargetAddr = f.Addr + image.Addr(f.Frame.Landing+e.Tail.Enter)
	}
	r.emit(e, &r.pendingSite)
	r.open = false
	if f == nil || len(r.stack) == 0 {
		return
	}
	top := &r.stack[len(r.stack)-1]
	r.gen++
	r.acts++
	top.tailCalled(f, r.acts, no)
	r.begin(top)
}

// tailCalled makes an activation that of f, number n, in the frame that it has: what a tail call does.
func (a *Activation) tailCalled(f *Fn, n int, event uint64) {
	a.From, a.FromN = a.Fn, a.N
	a.Fn, a.N, a.Via, a.Event = f, n, ViaTailCall, event
	// rbp is what the prologue of the first program in the frame made it, in all designs.
	if f.Frame.Reused && a.Builder == nil {
		a.Builder = a.From
	}
}

// tailEnd is where a refused tail call goes on. The program can also jump there; the instruction
// before tells.
func (r *Recorder) tailEnd(f *Fn, m *mark, s *record.Site) {
	t := &f.TailCalls[m.ended]
	from := image.CodeOff(s.Prev - f.Addr)
	r.open = r.open && r.openFn == f && r.openTail == m.ended && r.openAct == r.topN()
	if f.Contains(s.Prev) && from >= t.Start && from < t.End {
		e := r.tailEvent(KindRefused, f, m.ended, s)
		e.Reason, e.FellThrough = reasonOf(t, from)
		r.counts.Refused[e.Reason]++
		if r.inner > 0 {
			r.counts.InnerRefused[e.Reason]++
		}
		r.emit(e, s)
	}
	r.open = false
}

// reasonOf says what it means that the sequence is left from off.
func reasonOf(t *image.TailCallSite, off image.CodeOff) (why Reason, through bool) {
	switch off {
	case t.Bounds:
		return ReasonBounds, false
	case t.Limit:
		return ReasonLimit, false
	case t.Null, t.Bypass:
		return ReasonEmpty, false
	case t.Jump:
		return ReasonEmpty, t.Unwind >= 0
	}
	if t.Direct && off > t.Jump {
		return ReasonEmpty, false // the frame was put up again
	}
	return ReasonUnknown, false
}

// tailEvent fills what taken and refused tail calls share.
func (r *Recorder) tailEvent(k Kind, f *Fn, tail int, s *record.Site) *Event {
	e := r.siteEvent(k, f, s)
	e.counter(s)
	e.Tail = &f.TailCalls[tail]
	if e.Tail.Insn >= 0 {
		e.Insn, e.HasInsn = e.Tail.Insn, true
	}
	e.Key = uint32(s.RDX) // also loaded where the key is constant
	if e.Tail.Direct && e.Tail.Map >= 0 {
		e.Key = e.Tail.Key
	}
	e.Taken = r.taken
	return e
}

func (r *Recorder) siteEvent(k Kind, f *Fn, s *record.Site) *Event {
	e := r.event(k)
	e.Seq, e.Site, e.Fn = s.Seq, r.sites, f
	e.RIP, e.RSP, e.RBP, e.RAX = s.RIP, s.RSP, s.RBP, s.RAX
	e.Act, e.Depth = r.topN(), len(r.stack)
	e.setInsn()
	return e
}

// event clears the scratch event, numbered as the next one.
func (r *Recorder) event(k Kind) *Event {
	r.scratch = Event{No: r.no + 1, Kind: k, Taken: r.taken, Inner: r.inner > 0}
	return &r.scratch
}

func (e *Event) setInsn() {
	if e.Fn != nil {
		e.Insn, e.HasInsn = e.Fn.InsnAt(image.CodeOff(e.RIP - e.Fn.Addr))
	}
}

func (e *Event) counter(s *record.Site) {
	e.Counter, e.CounterAddr, e.CounterPtrAt = s.Counter, s.CounterAddr, s.CounterPtrAt
}

// emit numbers, keeps and reports an event.
func (r *Recorder) emit(e *Event, s *record.Site) {
	r.no++
	if len(r.events) < r.cfg.Keep {
		r.events = append(r.events, *e)
	}
	if r.cfg.Each != nil {
		r.cfg.Each(e)
	}
	if r.cfg.Watcher != nil {
		r.cfg.Watcher.Event(e, s)
	}
	if r.no >= r.cfg.MaxEvents {
		r.stop = true
	}
}

func savedOf(s *record.Site) Saved {
	return Saved{RBX: s.RBX, RBP: uint64(s.RBP), R12: s.R12, R13: s.R13, R14: s.R14, R15: s.R15}
}
