// SPDX-License-Identifier: GPL-2.0-only

package timing

import "github.com/tcsim/tcsim/jit/x86"

// front is prediction and fetch. The predictor names one block a cycle, plus bubbles, and runs ahead
// of fetch; fetch takes micro-operations from their cache or, for code that is not in it, from the
// decoders. Whatever is slower binds.
type front struct {
	core *FrontEnd
	fits int // micro-operations of a window that their cache has room for

	bp         Cycle // when the predictor named the present block
	nbr        int   // branches that it predicted in this cycle
	after      afterBranch
	redirected Cause    // why the present block was named late; CauseFrontEnd if it was not redirected
	returns    Cycle    // directly after each other, up to now
	jumpTo     x86.Addr // where the last branch went if it was a direct jump without a bubble, else 0
	stayed     bool     // the last taken branch was direct, no call, and went forward in its line
	ntaken     int      // taken branches that were named in this cycle
	moved      bool     // the last return went elsewhere than before

	cycle   Cycle   // in which the present group reaches the queue
	used    int     // micro-operations of the group
	wide    int     // 64-bit immediates in the group
	win     *window // of the present entry of the micro-operation cache
	entry   int     // micro-operations taken from it
	entries int     // read in this cycle
	fresh   bool    // a block begins
	why     Cause   // of the last redirection, for the first group after it; else CauseFrontEnd
	decode  bool    // the last instruction came from the decoders
	bytes   int     // that the decoders may still take in this cycle

	queue  ring // issue cycles of the last QueueEntries micro-operations
	blocks ring // fetch cycles of the last blocks that the predictor named
}

func (f *front) init(c *FrontEnd) {
	f.core, f.fits = c, c.CacheLines*c.CacheWidth
	f.why, f.redirected = CauseFrontEnd, CauseFrontEnd
	f.queue, f.blocks = newRing(c.QueueEntries), newRing(c.PredictedBlocks)
}

// fetch decides when an instruction reaches the queue.
func (f *front) fetch(m *Model, s *site, slots int) {
	if f.bp > f.cycle {
		f.newGroup(f.bp - f.cycle)
		f.why, f.redirected = f.redirected, CauseFrontEnd
	}
	if !s.seen || s.win.slots > f.fits {
		f.fetchDecode(s)
	} else {
		f.fetchCached(s, slots)
	}
	if full := f.queue.oldest(); f.cycle < full {
		f.newGroup(full - f.cycle)
		f.used = int(s.in.slots)
	}
	m.last.Fetch = f.cycle
}

// fetchDecode is fetch through the legacy decoders.
func (f *front) fetchDecode(s *site) {
	c := f.core
	if !f.decode {
		f.newGroup(1)
		f.decode, f.bytes = true, c.DecodeBytes
	}
	length := int(s.in.len)
	if f.used >= c.DecodeWidth || f.bytes < length {
		f.newGroup(1)
		f.bytes += c.DecodeBytes
	}
	f.used++
	f.bytes -= length
}

// fetchCached is fetch from the micro-operation cache.
func (f *front) fetchCached(s *site, slots int) {
	c, in := f.core, s.in
	if f.decode {
		f.decode = false
		f.newGroup(1)
	}
	if c.EntryOps > 0 {
		f.readEntry(s, slots)
	} else if c.LoopOps > 0 {
		f.nextLine(s)
	}
	if f.used+slots > c.CacheWidth || in.wide && f.wide == c.WideImmediates {
		f.newGroup(1)
		f.entries = 1
	}
	f.used += slots
	if in.wide {
		f.wide++
	}
}

// nextLine ends the group of a cycle where a taken branch led to another window, unless the instruction
// was in the queue not long ago: then it is part of a loop that runs from there.
func (f *front) nextLine(s *site) {
	looped := s.fetched != 0 && f.queue.n+1-s.fetched <= uint64(f.core.LoopOps)
	if f.fresh && f.win != s.win && !looped && f.used > 0 {
		f.newGroup(1)
	}
	f.fresh, f.win = false, s.win
	s.fetched = f.queue.n + 1
}

// readEntry goes on to the next entry of the micro-operation cache where that is needed.
func (f *front) readEntry(s *site, slots int) {
	c, w := f.core, s.win
	if f.win == w && !f.fresh && f.entry+slots <= c.EntryOps {
		f.entry += slots
		return
	}
	dense := w.half[s.half] > c.DenseOps
	if f.win != w && !f.fresh || f.entries == 2 || dense {
		f.newGroup(1)
		f.entries = 0
	}
	f.entries++
	if dense {
		f.entries = 2
	}
	f.win, f.entry, f.fresh = w, slots, false
}

func (f *front) newGroup(delay Cycle) {
	f.cycle += delay
	f.used, f.wide = 0, 0
	f.why = CauseFrontEnd
}

// predict takes the predictor's slot of a branch; bubble is what delays the block after it.
func (f *front) predict(taken bool, bubble Cycle) {
	if f.nbr == f.core.BranchesPerCycle {
		f.bp++
		f.nbr = 0
	}
	f.nbr++
	switch {
	case taken && bubble == 0 && f.ntaken+1 < f.core.TakenPerCycle:
		f.ntaken++
		f.fresh = true
	case taken:
		f.block(f.bp + 1 + bubble)
	case bubble > 0:
		f.block(f.bp + bubble)
	}
}

// block starts a new block of the predictor, at most PredictedBlocks ahead of fetch.
func (f *front) block(at Cycle) {
	f.bp, f.nbr, f.ntaken, f.fresh = max(at, f.blocks.oldest()), 0, 0, true
	f.blocks.add(f.cycle)
}

// rename is allocation and retirement.
type rename struct {
	core  *Core
	syncs bool  // rsp after a push or pop costs something
	cycle Cycle // of issue
	used  int   // slots of it
	why   Cause // why not a cycle earlier
	floor Cycle // no issue before
	hold  Cause // why

	rob   ring // retirement of the last ROB micro-operations
	loads ring // retirement of the last LoadBuffer loads

	retire Cycle
	left   int // micro-operations retired in it
}

func (r *rename) init(c *Core) {
	r.core, r.syncs = c, c.Rename.StackSync || c.Rename.StackSyncLatency > 0
	r.rob, r.loads = newRing(c.Rename.ROB), newRing(c.Memory.LoadBuffer)
}

// allocate decides in which cycle an instruction issues and takes its slots.
func (m *Model) allocate(in *insn, slots int) {
	r := &m.rename
	if in.rmw {
		m.rmwTenths += max(0, m.core.Rename.RMWTenths-10*int(in.form.slots))
		slots += m.rmwTenths / 10
		m.rmwTenths %= 10
	}
	if r.syncs {
		if sync := m.stackSync(in); r.core.Rename.StackSync {
			slots += sync
		}
	}
	at := r.cycle
	if t := m.last.Fetch + 1; t > at {
		at, r.why = t, m.front.why
	}
	if r.floor > at {
		at, r.why = r.floor, r.hold
	}
	if in.load|in.data != 0 {
		if full := m.buffers(in); full > at {
			at, r.why = full, CauseWindow
		}
	}
	if at > r.cycle || m.cal.full() {
		m.issueAt(at)
	}
	m.now.slot, m.now.slots = r.used, slots
	for n := range slots {
		if r.used == r.core.Rename.Width {
			r.why = CauseIssue
			m.issueAt(r.cycle + 1)
		}
		if free := r.rob.oldestBut(n); free > r.cycle {
			r.why = CauseWindow
			m.issueAt(free)
		}
		r.used++
	}
	for range slots {
		m.front.queue.add(r.cycle)
	}
	m.last.Issue, m.now.why.issue = r.cycle, r.why
}

// issueAt moves issue to cycle at, later if the schedulers are full.
func (m *Model) issueAt(at Cycle) {
	r := &m.rename
	for {
		if at > r.cycle {
			r.cycle, r.used = at, 0
			m.cal.advance(at)
		}
		if !m.cal.full() {
			return
		}
		at = r.cycle + 1
		r.why = CauseWindow
	}
}

// buffers returns when the load and store buffers have room for the instruction.
func (m *Model) buffers(in *insn) Cycle {
	r, at := &m.rename, Cycle(0)
	if in.load != 0 {
		at = r.loads.oldest()
	}
	if in.data != 0 {
		if o := m.stores.oldest(m.core.Memory.StoreBuffer); o != nil {
			at = max(at, o.commit)
		}
	}
	return at
}

// stackSync returns 1 if the instruction reads an rsp that the stack engine has moved.
func (m *Model) stackSync(in *insn) int {
	n := 0
	if in.usesRSP && m.stackMoved {
		n = 1
		if in.inst.Writes.Has(x86.RSP) {
			m.regs[x86.RSP].ready += m.core.Rename.StackSyncLatency
		}
	}
	if in.usesRSP || in.kind == kindLeave {
		m.stackMoved = false
	}
	if in.stackOp {
		m.stackMoved = true
	}
	return n
}

// retire decides when an instruction leaves the core.
func (m *Model) retire(in *insn) {
	r := &m.rename
	before := r.retire
	at := max(m.last.Complete, r.retire)
	if at > r.retire {
		r.retire, r.left = at, 0
	}
	for range m.now.slots {
		if r.left == r.core.Rename.Retire {
			r.retire, r.left = r.retire+1, 0
		}
		r.left++
		r.rob.add(r.retire)
	}
	if in.load != 0 {
		r.loads.add(r.retire)
	}
	if m.now.stores {
		m.stores.commit(r.retire+m.core.Memory.StoreCommit, &m.core.Memory)
	}
	m.last.Retire = r.retire
	m.last.Cost = r.retire - before
	m.last.Cause = CauseNone
	if m.last.Cost != 0 {
		m.last.Cause = m.attribute(before)
	}
	m.total = r.retire
	m.done = max(m.done, m.last.Complete)
}
