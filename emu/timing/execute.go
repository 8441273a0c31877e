// SPDX-License-Identifier: GPL-2.0-only

package timing

import "github.com/tcsim/tcsim/jit/x86"

// waited notes what a micro-operation waited for that was ready at t and executed at d.
func (m *Model) waited(t, d Cycle) {
	m.why.operands = t - m.rename.cycle - m.core.Back.ToDispatch
	m.why.port = d - t
}

// dispatch books one micro-operation for the first free cycle from t on.
func (m *Model) dispatch(set portSet, t Cycle) Cycle {
	m.slot++
	return m.cal.book(m.cal.choose(set, m.slot-1), t)
}

// fusedTail reports whether the site is the jump of a pair whose first half is waiting.
func (s *site) fusedTail(m *Model) bool {
	return m.fuse.head != nil && s.in.inst.Branch == x86.BranchCond
}

// execute computes when the instruction's results exist.
func (m *Model) execute(s *site, ea, next x86.Addr) {
	in := s.in
	issue := m.rename.cycle
	m.last.Execute, m.last.Complete = issue, issue+1
	switch in.kind {
	case kindNop:
	case kindZero:
		m.regs[in.dst[0]] = value{ready: issue}
		m.alias[in.dst[0]] = 0
		m.flags = issue
	case kindMove:
		m.move(in)
	case kindAddImm:
		m.addImm(s)
	case kindFence:
		m.epoch++
		at := max(issue+m.core.Back.ToDispatch, m.done)
		m.rename.floor = at + 1 + in.block
		m.last.Execute, m.last.Complete = at, at+1
	case kindPause:
		m.rename.floor = issue + in.block
		m.last.Complete = issue + in.block
	case kindLeave:
		m.leave(s, ea)
	default:
		m.plain(s, ea, next)
	}
}

// move eliminates a register move, or executes it where that is not possible: onto itself, or with
// all slots of the renamer taken.
func (m *Model) move(in *insn) {
	d, s := in.dst[0], in.src[0]
	if d == s || !m.share(d, s) {
		m.alu(in, in.aluRow)
		return
	}
	m.regs[d] = m.regs[s]
	m.regs[d].moved = true
}

// share makes register d an alias of s if the renamer has a slot for that.
func (m *Model) share(d, s uint8) bool {
	limit := m.core.Rename.MoveSlots
	if limit < 0 {
		return true
	}
	m.alias[d] = 0
	if m.alias[s] == 0 {
		if m.aliases() >= limit {
			return false
		}
		m.nmove++
		m.alias[s] = m.nmove
	}
	m.alias[d] = m.alias[s]
	return true
}

// aliases counts the values that more than one register holds.
func (m *Model) aliases() int {
	n := 0
	for r, a := range m.alias {
		if a == 0 {
			continue
		}
		first, more := true, false
		for q, b := range m.alias {
			if b == a && q != r {
				more = true
				first = first && q > r
			}
		}
		if first && more {
			n++
		}
	}
	return n
}

// addImm adds to the pending offset of the renamer, or executes the addition when the offset would
// leave its range.
func (m *Model) addImm(s *site) {
	in, r := s.in, &m.core.Rename
	v := m.regs[in.src[0]]
	if s.fused {
		m.hold(in, v.ready)
		return
	}
	sum := int64(v.offset) + in.imm
	if sum >= r.AddImmMin && sum <= r.AddImmMax {
		m.regs[in.dst[0]] = value{ready: v.ready, offset: int32(sum)}
	} else {
		if in.imm >= r.AddImmMin && in.imm <= r.AddImmMax {
			m.rename.used += r.AddImmOverflowSlots
			for m.rename.used > r.Width {
				used := m.rename.used - r.Width
				m.issueAt(m.rename.cycle + 1)
				m.rename.used = used
			}
		}
		m.alu(in, in.aluRow)
	}
	if in.writesFlags {
		m.flags = m.regs[in.dst[0]].ready
	}
}

// alu executes an instruction of one micro-operation without memory operand.
func (m *Model) alu(in *insn, set portSet) {
	t := m.rename.cycle + m.core.Back.ToDispatch
	for _, r := range in.src[:in.nsrc] {
		t = max(t, m.regs[r].ready)
	}
	d := m.dispatch(set, t)
	m.waited(t, d)
	m.regs[in.dst[0]] = value{ready: d + in.lat[0]}
	m.alias[in.dst[0]] = 0
	m.last.Execute, m.last.Complete = d, d+in.lat[0]
	if in.writesFlags {
		m.flags = m.last.Complete
	}
}

// hold keeps the first half of a fused pair until its jump comes.
func (m *Model) hold(in *insn, ready Cycle) {
	m.fuse.head, m.fuse.from = in, max(ready, m.rename.cycle+m.core.Back.ToDispatch)
}

// leave is mov rsp,rbp and pop rbp.
func (m *Model) leave(s *site, ea x86.Addr) {
	in := s.in
	t := max(m.rename.cycle+m.core.Back.ToDispatch, m.regs[x86.RBP].ready)
	if m.popped && s.epoch != m.epoch {
		t += m.core.Rename.LeaveAfterPop
	}
	m.popped, s.epoch = false, m.epoch
	first := m.dispatch(in.alu[0], t)
	for _, p := range in.alu[1:] {
		m.dispatch(p, t)
	}
	v, d := m.loadFrom(s, ea, t, false)
	m.regs[x86.RSP] = value{ready: first + 2}
	m.regs[x86.RBP] = v
	m.last.Execute, m.last.Complete = d, max(v.ready, first+2)
}

// plain executes load, arithmetic and store in the order of their dependences.
func (m *Model) plain(s *site, ea, next x86.Addr) {
	in := s.in
	t0 := m.rename.cycle + m.core.Back.ToDispatch
	at := t0
	for _, r := range in.adr[:in.nadr] {
		at = max(at, m.regs[r].ready)
	}
	if in.lock {
		m.locked(in, at)
		return
	}
	var v value
	first, complete := Cycle(-1), t0
	if in.load != 0 {
		v, first = m.loadFrom(s, ea, at, m.mayRename(in))
		complete = max(v.ready, first+in.loadLat)
	}
	if s.fused {
		m.hold(in, max(m.operands(in, t0), v.ready))
		m.fuse.load = complete
		m.last.Execute, m.last.Complete = m.fuse.from, complete
		return
	}
	result := v
	if len(in.alu) != 0 {
		t := max(m.operands(in, t0), v.ready)
		if s.fusedTail(m) {
			t = max(t0, m.fuse.from)
		}
		d, end := m.arith(s, t, next)
		if first < 0 {
			first = d
		}
		result = value{ready: d + m.latency(in)}
		m.branchEnd = d + 1
		complete = max(complete, end)
	} else if in.load == 0 {
		result = value{ready: m.operands(in, t0)}
		if in.nsrc == 1 && in.inst.Branch == x86.BranchNone {
			result.offset = m.regs[in.src[0]].offset
		}
	}
	for n, r := range in.dst[:in.ndst] {
		w := result
		if len(in.alu) != 0 {
			w = value{ready: result.ready - in.lat[0] + in.lat[n]}
		}
		m.regs[r] = w
		m.alias[r] = 0
	}
	if in.writesFlags {
		m.flags = result.ready
	}
	switch in.form.class {
	case "pop":
		m.popped = true
	case "push":
		m.popped = false
	}
	if in.data != 0 {
		complete = max(complete, m.storeTo(in, ea, at, t0, result))
	}
	m.last.Execute, m.last.Complete = max(first, t0), complete
}

// mayRename reports whether the load of an instruction can take its value at rename. Returns are
// not renamed, nor is leave.
func (m *Model) mayRename(in *insn) bool {
	switch {
	case in.inst.Branch != x86.BranchNone:
		return false
	case in.rmw:
		return m.core.Memory.RenameRMW && in.rmwImm
	}
	return m.core.Memory.RenameLoads
}

// trackRSP follows the stack pointer as far as the addresses of stack accesses and immediates tell.
func (m *Model) trackRSP(in *insn, ea x86.Addr) {
	st := &in.inst.Stack
	switch {
	case st.Any() && in.inst.HasMem && m.rsp != 0:
		m.rsp += x86.Addr(st.Delta) // push [m], call [m]: ea is that of the other operand
	case st.Store && !in.inst.HasMem:
		m.rsp = ea
	case st.Load && !in.inst.HasMem:
		m.rsp = ea + x86.Addr(st.Delta)
	case in.inst.Writes.Has(x86.RSP) && in.imm != 0 && in.src[0] == uint8(x86.RSP):
		m.rsp += x86.Addr(in.imm)
	case in.inst.Writes.Has(x86.RSP):
		m.rsp = 0
	}
}

// operands returns when the registers and flags that the arithmetic needs are ready.
func (m *Model) operands(in *insn, t Cycle) Cycle {
	for _, r := range in.src[:in.nsrc] {
		t = max(t, m.regs[r].ready)
	}
	if in.readsFlags {
		t = max(t, m.flags)
	}
	return t
}

// latency returns the latency of the first destination.
func (m *Model) latency(in *insn) Cycle {
	if c := in.shiftCnt; c != noReg && m.regs[c].offset != 0 {
		return max(in.lat[0], m.core.Rename.OffsetShiftLatency)
	}
	return in.lat[0]
}

// arith executes the arithmetic micro-operations of an instruction whose operands are ready at t;
// it returns the cycle of the first and the end of the last.
func (m *Model) arith(s *site, t Cycle, next x86.Addr) (first, end Cycle) {
	in := s.in
	if in.busy != 0 { // the divider
		t = max(t, m.divFree)
	}
	set := in.alu[0]
	if in.inst.Branch == x86.BranchCond {
		set = m.otherPorts
		if next != s.addr+x86.Addr(in.inst.Len) {
			set = m.takenPorts
		}
	}
	first = m.dispatch(set, t)
	m.waited(t, first)
	last := first
	if in.byCL && m.regs[x86.RCX].moved {
		for range m.core.Rename.ElidedShiftUops {
			last = max(last, m.dispatch(set, t))
		}
	}
	for _, p := range in.alu[1:] {
		last = max(last, m.dispatch(p, t))
	}
	if in.busy != 0 {
		m.divFree = first + in.busy
	}
	if h := m.fuse.head; h != nil && in.inst.Branch == x86.BranchCond {
		for _, r := range h.dst[:h.ndst] {
			m.regs[r] = value{ready: first + 1}
			m.alias[r] = 0
		}
		m.flags = first + 1
		m.fuse.head = nil
	}
	return first, max(first+m.latency(in), last+1)
}

// loadFrom executes a load whose address is ready at t. It returns the value and the cycle of
// execution.
func (m *Model) loadFrom(s *site, ea x86.Addr, t Cycle, mayRename bool) (value, Cycle) {
	in, c := s.in, &m.core.Memory
	if m.barrier > t {
		t, m.why.issue = m.barrier, CauseSerialize
	}
	d := m.dispatch(in.load, t)
	m.waited(t, d)
	from, st := m.stores.find(ea, in.size)
	trained := s.renamed
	s.renamed = mayRename && from == fromExact
	switch {
	case s.renamed && trained:
		return st.data, d
	case from == fromCache || st.commit <= d:
		return value{ready: d + in.loadLat}, d
	case from == fromSeveral:
		m.why.failed = true
		m.renameMiss(trained, st.commit+c.ForwardFail)
		return value{ready: st.commit + c.ForwardFail}, d
	}
	forward := c.Forward
	if in.rmw {
		forward = c.ForwardRMW
	}
	ready := max(d+in.loadLat, st.where+forward, st.data.ready+forward)
	m.renameMiss(trained && !s.renamed, ready)
	return value{ready: ready}, d
}

// renameMiss restarts behind a load that was renamed to the wrong data and is complete at end.
func (m *Model) renameMiss(wrong bool, end Cycle) {
	if wrong {
		m.branchEnd = end
		m.redirect(m.core.Memory.RenameMiss, CauseForwardFail)
	}
}

// storeTo executes the store micro-operations of an instruction: the address is ready at at, the
// data is v, or the operands from t0 on where nothing is computed. It returns when both are done.
func (m *Model) storeTo(in *insn, ea x86.Addr, at, t0 Cycle, v value) Cycle {
	a := m.dispatch(in.addr, at)
	d := m.dispatch(in.data, max(t0, v.ready))
	size := in.size
	if in.load != 0 && in.stackOp {
		ea, size = m.rsp, 8
	}
	st := m.stores.add(ea, size)
	st.data, st.where = v, a
	m.uncommitted = st
	return max(a+1, d+m.core.Memory.StoreRetire)
}

// locked executes a locked instruction: it waits for older stores and keeps younger loads waiting.
func (m *Model) locked(in *insn, at Cycle) {
	t := max(m.operands(in, at), m.barrier, m.stores.lastCommit)
	d := m.dispatch(in.load, t)
	for _, p := range in.alu {
		m.dispatch(p, t)
	}
	end := d + in.busy
	m.barrier = end
	for _, r := range in.dst[:in.ndst] {
		m.regs[r] = value{ready: end}
		m.alias[r] = 0
	}
	m.flags = end
	m.why.issue = CauseSerialize
	m.last.Execute, m.last.Complete = d, end
}
