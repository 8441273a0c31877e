// SPDX-License-Identifier: GPL-2.0-only

package timing

import "github.com/tcsim/tcsim/jit/x86"

// simple executes an instruction of one pipelined micro-operation without memory.
func (m *Model) simple(in *insn) {
	t := m.operands(in, m.rename.cycle+m.core.Back.ToDispatch)
	d := m.dispatch(in.alu[0], t)
	m.waited(t, d)
	end := d + in.lat[0]
	m.write(in, value{ready: end})
	m.last.Execute, m.last.Complete = d, end
}

// address returns when an instruction that may execute from t0 on has the registers of its address.
func (m *Model) address(in *insn, t0 Cycle) Cycle {
	for _, r := range in.adr[:in.nadr] {
		t0 = max(t0, m.regs[r].ready)
	}
	return t0
}

// load executes a load.
func (m *Model) load(s *site, ea x86.Addr) {
	in := s.in
	v, d, end := m.loadFrom(s, m.loadAddr(in, ea), m.address(in, m.rename.cycle+m.core.Back.ToDispatch), in.renames)
	m.write(in, v)
	m.last.Execute, m.last.Complete = d, end
}

// storeOnly executes a store of what needs no arithmetic.
func (m *Model) storeOnly(in *insn, ea x86.Addr) {
	t0 := m.rename.cycle + m.core.Back.ToDispatch
	v := m.source(in, t0)
	m.write(in, v)
	m.last.Execute, m.last.Complete = m.storeTo(in, ea, m.address(in, t0), v.ready, v)
}

// plain executes load, arithmetic and store in the order of their dependences.
func (m *Model) plain(s *site, ea, next x86.Addr) {
	in := s.in
	t0 := m.rename.cycle + m.core.Back.ToDispatch
	at := m.address(in, t0)
	if in.lock {
		m.locked(in, at)
		return
	}
	if bits := m.core.Back.DivBits; bits != 0 && in.divides {
		m.now.longer = Cycle(ea) / Cycle(bits)
	}
	var v value
	first, complete := Cycle(-1), t0
	if in.load != 0 {
		v, first, complete = m.loadFrom(s, m.loadAddr(in, ea), at, in.renames)
	}
	if s.fused {
		m.hold(in, max(m.operands(in, t0), v.ready))
		if in.load != 0 {
			m.last.Execute, m.last.Complete = first, complete
		}
		return
	}
	switch {
	case len(in.alu) != 0:
		d, end := m.arith(s, max(m.operands(in, t0), v.ready), next)
		if first < 0 {
			first = d
		}
		v = value{ready: d + m.latency(in)}
		complete = max(complete, end)
	case in.load == 0:
		v = m.source(in, t0)
	}
	m.write(in, v)
	if in.data != 0 {
		d, end := m.storeTo(in, ea, at, max(t0, v.ready), v)
		complete = max(complete, end)
		if first < 0 {
			first = d
		}
	}
	m.last.Execute, m.last.Complete = max(first, t0), complete
}

// write gives the destinations the result v of the first of them.
func (m *Model) write(in *insn, v value) {
	for n, r := range in.dst[:in.ndst] {
		w := v
		if n > 0 && len(in.alu) != 0 {
			w.ready += in.lat[n] - in.lat[0]
		}
		m.regs[r] = w
		m.alias[r] = 0
	}
	if in.writesFlags {
		m.flags = v.ready
	}
}

// source returns what a store without arithmetic stores.
func (m *Model) source(in *insn, t0 Cycle) value {
	v := value{ready: m.operands(in, t0)}
	if in.nsrc == 1 && in.branch == x86.BranchNone {
		v.offset = m.regs[in.src[0]].offset
	}
	return v
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
	return in.lat[0] + m.now.longer
}

// arith executes the arithmetic micro-operations of an instruction whose operands are ready at t;
// it returns the cycle of the first and the end of the last.
func (m *Model) arith(s *site, t Cycle, next x86.Addr) (first, end Cycle) {
	in := s.in
	if in.busy != 0 { // the divider
		t = max(t, m.divFree)
	}
	set := in.alu[0]
	if in.branch == x86.BranchCond {
		if m.fuse.head != nil {
			t = max(m.rename.cycle+m.core.Back.ToDispatch, m.fuse.from)
		}
		set = m.otherPorts
		if next != s.end {
			set = m.takenPorts
		}
	}
	first = m.dispatch(set, t)
	m.waited(t, first)
	m.now.branchEnd = first + 1
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
		m.divFree = first + in.busy + max(0, m.now.longer-1)
	}
	if h := m.fuse.head; h != nil && in.branch == x86.BranchCond {
		for _, r := range h.dst[:h.ndst] {
			m.regs[r] = value{ready: first + 1}
			m.alias[r] = 0
		}
		m.flags = first + 1
		m.fuse.head = nil
	}
	if in.branch == x86.BranchRet {
		m.now.branchEnd = first + m.core.Branch.ReturnLatency
		last = m.now.branchEnd - 1
	}
	return first, max(first+m.latency(in), last+1)
}
