// SPDX-License-Identifier: GPL-2.0-only

package timing

import "github.com/tcsim/tcsim/jit/x86"

// loadAddr returns where an instruction with the memory operand at ea loads from: pop [m] from the
// stack.
func (m *Model) loadAddr(in *insn, ea x86.Addr) x86.Addr {
	if in.rsp == rspPushed && in.inst.Stack.Load && m.rsp != 0 {
		return m.rsp - x86.Addr(in.delta)
	}
	return ea
}

// trackRSP follows the stack pointer as far as the addresses of stack accesses and immediates tell.
func (m *Model) trackRSP(in *insn, ea x86.Addr) {
	switch in.rsp {
	case rspPushed:
		if m.rsp != 0 {
			m.rsp += x86.Addr(in.delta) // push [m], call [m]: ea is that of the other operand
		}
	case rspEA:
		m.rsp = ea + x86.Addr(in.delta)
	case rspAdded:
		m.rsp += x86.Addr(in.delta)
	case rspLost:
		m.rsp = 0
	}
}

// loadFrom executes a load whose address is ready at t. It returns the value, the cycle of execution
// and when the load is complete.
func (m *Model) loadFrom(s *site, ea x86.Addr, t Cycle, mayRename bool) (v value, d, end Cycle) {
	in, c := s.in, &m.core.Memory
	if m.barrier > t {
		t, m.now.why.serial = m.barrier, true
	}
	d = m.dispatch(in.load, t)
	m.waited(t, d)
	from, st := m.stores.find(ea, in.size)
	was := s.renamed
	s.renamed = mayRename && from == fromExact && st.names(in) && (c.RenameStores == 0 || m.stores.next-st.num <= uint64(c.RenameStores))
	again := c.RenameAgain > 0 && mayRename && from != fromCache && !st.unnamed
	if again && st.commit > d {
		s.renamed = m.trusted(s, s.renamed && !st.constant)
		was = s.renamed
	}
	found, misled := was, false
	if c.RenameLearned > 0 {
		found, misled = m.paired(s, ea, from, st, mayRename)
	}
	take := s.renamed && found
	ready := d + in.loadLat
	if from != fromCache && from != fromSeveral && st.commit > d {
		if d < st.where+c.ForwardKnown {
			ready = max(d+c.ForwardBlocked, st.where+c.ForwardAddress)
		}
		if take {
			return st.data, d, max(ready, st.data.ready) + c.RenameVerify
		}
		ready = max(ready, st.data.ready+m.forward(in, st, again && from == fromExact))
	}
	switch {
	case take:
		return st.data, d, max(ready, st.data.ready) + c.RenameVerify
	case from == fromCache || st.commit <= d:
		m.renameStale(misled, ready)
	case from == fromSeveral:
		m.now.why.failed = true
		if ready = st.commit + c.ForwardFail; st.data.ready > d {
			ready += c.ForwardFailLate
		}
		if c.ForwardLonger > 0 && st.addr == ea {
			ready = max(d+in.loadLat, st.data.ready+c.ForwardLonger)
			if rest := m.stores.rest(st, ea, in.size); rest > d {
				ready = max(ready, rest+c.ForwardFail)
			}
		}
		m.renameMiss(misled || was, ready)
	case misled:
		m.renameStale(true, ready)
	default:
		m.renameMiss(was && !s.renamed, ready)
	}
	return value{ready: ready}, d, max(ready, d+in.loadLat)
}

// trusted reports whether a load takes at rename what it finds in a store: if that cannot be taken, as an immediate, which
// is in no register, or a part, it is not tried again for long.
func (m *Model) trusted(s *site, can bool) bool {
	switch {
	case !can:
		s.doubt = m.core.Memory.RenameAgain
	case s.doubt > 0:
		s.doubt--
	default:
		return true
	}
	return false
}

// forward is how long a load waits for the data of a store that it does not take at rename; tried says that only
// RenameAgain keeps it from that.
func (m *Model) forward(in *insn, st *store, tried bool) Cycle {
	c := &m.core.Memory
	more, sum := max(0, in.loadLat-c.LoadLatency), Cycle(0)
	if st.data.offset != 0 {
		sum = 1
	}
	if !in.rmw && more == 0 && sum == 0 && !tried {
		return c.Forward
	}
	m.tenths += c.ForwardMore
	whole := m.tenths / 10
	m.tenths %= 10
	return Cycle(whole) + more + sum
}

// paired says whether a load finds its store by what the core has learned, and whether it is renamed to
// the wrong one. A load whose base register is that of the store finds it by base and offset. Any other
// has to be among the pairs that the core has learned. So has a load of a stack slot that was written
// since, or in part, by another way: its base and offset lead to the store through rsp or rbp, which is
// the wrong one.
func (m *Model) paired(s *site, ea x86.Addr, from source, st *store, mayRename bool) (found, misled bool) {
	if from == fromCache {
		return false, false
	}
	num, ok := m.stores.onStack(ea)
	stale := mayRename && s.in.viaStack && ok && num < st.num && (!st.viaStack || from == fromSeveral)
	if !stale && st.base == s.in.base {
		return true, false
	}
	known := m.learned.know(s)
	return known, stale && !known
}

// renameMiss restarts after a load that was renamed to the wrong data and is complete at end.
func (m *Model) renameMiss(wrong bool, end Cycle) {
	if wrong {
		m.now.branchEnd = end
		m.redirect(m.core.Memory.RenameMiss, CauseRename)
	}
}

// renameStale restarts after a load of a stack slot that another store has overwritten whole. It does not
// wait for older instructions to retire.
func (m *Model) renameStale(wrong bool, end Cycle) {
	if wrong {
		m.front.redirected = CauseRename
		m.front.block(max(m.front.bp, end+m.core.Memory.RenameStale-m.core.Back.ToDispatch-1))
	}
}

// storeTo executes the store micro-operations of an instruction: the address is ready at at, the
// data v can be taken from t on. It returns when the data was taken and when both are done.
func (m *Model) storeTo(in *insn, ea x86.Addr, at, t Cycle, v value) (d, end Cycle) {
	if m.storesFrom > at {
		at, t = m.storesFrom, max(t, m.storesFrom)
		m.now.why.serial = true
	}
	a := m.dispatchStore(in.addr, at)
	d = m.dispatchStore(in.data, t)
	size := in.size
	if in.load != 0 && in.inst.Stack.Store { // push [m], call [m]
		ea, size = m.rsp, 8
	}
	st := m.stores.add(ea, size)
	st.data, st.where = v, a
	st.base, st.constant = in.base, in.nsrc == 0 && in.load == 0
	st.unnamed = m.core.Memory.RenamePlain && (in.indexed || size == 2)
	if st.viaStack = in.viaStack; in.viaStack {
		m.stores.pushed(ea, st.num)
	}
	m.now.stores = true
	return d, max(a+1, d+m.core.Memory.StoreRetire)
}

// locked executes a locked instruction: it waits for older stores and keeps younger loads waiting.
func (m *Model) locked(in *insn, at Cycle) {
	t := max(m.operands(in, at), m.lockFree, m.stores.lastCommit)
	d := m.dispatch(in.load, t)
	for _, p := range in.alu {
		m.dispatch(p, t)
	}
	end := d + in.busy
	m.lockFree = end
	if !m.core.Memory.LoadsPassLocks {
		m.barrier = end
	}
	for _, r := range in.dst[:in.ndst] {
		m.regs[r] = value{ready: end}
		m.alias[r] = 0
	}
	m.flags = end
	m.now.why.serial = true
	m.last.Execute, m.last.Complete = d, end
}

// storeFence waits until older stores have committed; younger ones commit after it.
func (m *Model) storeFence(in *insn) {
	t := m.rename.cycle + m.core.Back.ToDispatch
	first := m.dispatch(in.alu[0], t)
	for _, p := range in.alu[1:] {
		m.dispatch(p, t)
	}
	end := max(first, m.stores.lastCommit) + in.busy
	m.stores.lastCommit, m.stores.inCycle = end, m.core.Memory.CommitsPerCycle
	m.now.why.serial = true
	m.last.Execute, m.last.Complete = first, end
}
