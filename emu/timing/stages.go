// SPDX-License-Identifier: GPL-2.0-only

package timing

// front is fetch: the micro-operation cache and, for code that is not in it, the decoders.
type front struct {
	core   *FrontEnd
	cycle  Cycle // in which the present group reaches the queue
	used   int   // entries of the group
	wide   int   // 64-bit immediates in the group
	nbr    int   // branches in the group
	taken  bool  // one of them taken
	decode bool  // the last instruction came from the decoders
	bytes  int   // that the stretch of decoded instructions may still take in this cycle

	after afterBranch

	queue    []Cycle // issue cycles of the last QueueEntries micro-operations
	inserted uint64
}

func (f *front) init(c *FrontEnd) {
	f.core = c
	f.queue = make([]Cycle, c.QueueEntries)
}

// fetch decides when an instruction reaches the queue.
func (f *front) fetch(m *Model, s *site) {
	in := s.in
	c := f.core
	if !s.seen || s.win.slots > c.CacheLines*c.CacheWidth {
		f.fetchDecode(s)
	} else {
		f.fetchCached(in)
	}
	if full := f.queue[f.inserted%uint64(len(f.queue))]; f.cycle < full {
		f.newGroup(full - f.cycle)
		f.used = int(in.slots)
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
	length := int(s.in.inst.Len)
	if f.used >= c.DecodeWidth || f.bytes < length {
		f.newGroup(1)
		f.bytes += c.DecodeBytes
	}
	f.used++
	f.bytes -= length
}

// fetchCached is fetch from the micro-operation cache.
func (f *front) fetchCached(in *insn) {
	c := f.core
	if f.decode {
		f.decode = false
		f.newGroup(1)
	}
	if f.used+int(in.slots) > c.CacheWidth || in.wide && f.wide == c.WideImmediates {
		f.newGroup(1)
	}
	f.used += int(in.slots)
	if in.wide {
		f.wide++
	}
}

// branchSlot makes room for a branch in the group: two a cycle, of which only the last may be taken.
func (f *front) branchSlot(taken bool) {
	if f.nbr == f.core.BranchesPerCycle || f.taken {
		f.newGroup(1)
	}
	f.nbr++
	f.taken = f.taken || taken
}

func (f *front) newGroup(delay Cycle) {
	f.cycle += delay
	f.used, f.wide, f.nbr, f.taken = 0, 0, 0, false
}

// issued notes the issue of an instruction's micro-operations: their entries are free.
func (f *front) issued(n int, at Cycle) {
	for range n {
		f.queue[f.inserted%uint64(len(f.queue))] = at
		f.inserted++
	}
}

// rename is allocation and retirement.
type rename struct {
	core  *Core
	cycle Cycle // of issue
	used  int   // slots of it
	floor Cycle // no issue before

	rob    []Cycle // retirement of the last ROB micro-operations
	count  uint64
	loads  []Cycle // retirement of the last LoadBuffer loads
	nloads uint64

	retire Cycle
	left   int // micro-operations retired in it
}

func (r *rename) init(c *Core) {
	r.core = c
	r.rob = make([]Cycle, c.Rename.ROB)
	r.loads = make([]Cycle, c.Memory.LoadBuffer)
}

// allocate decides in which cycle an instruction issues and takes its slots.
func (m *Model) allocate(s *site) {
	r, in := &m.rename, s.in
	slots := int(in.slots)
	if s.fusedTail(m) {
		slots = 0
	}
	if m.core.Rename.StackSync {
		slots += m.stackSync(in)
	}
	at := max(r.cycle, m.last.Fetch+1, r.floor)
	if in.load != 0 {
		at = max(at, r.loads[r.nloads%uint64(len(r.loads))])
	}
	if in.data != 0 {
		if o := m.stores.oldest(m.core.Memory.StoreBuffer); o != nil {
			at = max(at, o.commit)
		}
	}
	m.issueAt(at)
	m.slot = r.used
	for range slots {
		if r.used == r.core.Rename.Width {
			m.issueAt(r.cycle + 1)
		}
		if free := r.rob[r.count%uint64(len(r.rob))]; free > r.cycle {
			m.issueAt(free)
		}
		r.used++
		r.count++
	}
	m.slots = slots
	m.front.issued(slots, r.cycle)
	m.last.Issue = r.cycle
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
	}
}

// stackSync returns 1 if the instruction reads an rsp that the stack engine has moved.
func (m *Model) stackSync(in *insn) int {
	n := 0
	if in.usesRSP && m.stackMoved {
		n = 1
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
	slots := m.slots
	for n := range slots {
		if r.left == r.core.Rename.Retire {
			r.retire, r.left = r.retire+1, 0
		}
		r.left++
		r.rob[(r.count-uint64(slots)+uint64(n))%uint64(len(r.rob))] = r.retire
	}
	if in.load != 0 {
		r.loads[r.nloads%uint64(len(r.loads))] = r.retire
		r.nloads++
	}
	if st := m.uncommitted; st != nil {
		m.stores.commit(st, r.retire+m.core.Memory.StoreCommit, m.core.Memory.CommitsPerCycle)
		m.uncommitted = nil
	}
	m.last.Retire = r.retire
	m.last.Cost = r.retire - before
	m.total = r.retire
	m.done = max(m.done, m.last.Complete)
}
