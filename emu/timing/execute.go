// SPDX-License-Identifier: GPL-2.0-only

package timing

import "github.com/tcsim/tcsim/jit/x86"

// waited notes what a micro-operation waited for that was ready at t and executed at d.
func (m *Model) waited(t, d Cycle) {
	m.now.why.operands = t - m.rename.cycle - m.core.Back.ToDispatch
	m.now.why.port = d - t
}

// dispatch books one micro-operation for the first free cycle from t on.
func (m *Model) dispatch(set portSet, t Cycle) Cycle {
	m.now.slot++
	if m.cal.late {
		return m.cal.earliest(set, t)
	}
	return m.cal.book(m.cal.choose(set, m.now.slot-1), t)
}

// dispatchStore is dispatch of a store's address or data.
func (m *Model) dispatchStore(set portSet, t Cycle) Cycle {
	if rest := set & (set - 1); m.cal.late || rest == 0 || rest&(rest-1) != 0 {
		return m.dispatch(set, t)
	}
	m.now.slot++
	return m.cal.book(m.cal.alternate(set), t)
}

// execute computes when the instruction's results exist.
func (m *Model) execute(s *site, ea, next x86.Addr) {
	in := s.in
	switch in.shape {
	case shapeALU:
		m.simple(in)
		return
	case shapeLoad:
		m.load(s, ea)
		return
	case shapeStore:
		m.storeOnly(in, ea)
		return
	}
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
	case kindExchange:
		a, b := in.src[0], in.src[1]
		m.regs[a], m.regs[b] = m.regs[b], m.regs[a]
		m.alias[a], m.alias[b] = 0, 0
	case kindAddImm:
		m.addImm(s)
	case kindFence:
		at := max(issue+m.core.Back.ToDispatch, m.done)
		m.rename.floor, m.rename.hold = at+1+in.block, CauseSerialize
		if after := m.core.Memory.FenceStores; after > 0 {
			m.storesFrom = m.rename.floor + m.core.Back.ToDispatch + after
		}
		m.last.Execute, m.last.Complete = at, at+1
	case kindPause:
		m.rename.floor, m.rename.hold = issue+in.block, CauseSerialize
		m.last.Complete = issue + in.block
	case kindStoreFence:
		m.storeFence(in)
	case kindLeave:
		m.leave(s, ea)
	default:
		m.plain(s, ea, next)
	}
}

// move eliminates a register move, or executes it where that is not possible: onto itself, of a part
// of a sum that is pending, or with all slots of the renamer taken.
func (m *Model) move(in *insn) {
	d, s := in.dst[0], in.src[0]
	narrow := in.inst.OpBits < 64 && m.regs[s].offset != 0 // a part of a sum
	if narrow || d == s && !m.core.Rename.SameMoves || !m.share(d, s) {
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
			m.together(r.AddImmOverflowSlots)
		}
		m.alu(in, in.aluRow)
	}
	if in.writesFlags {
		m.flags = m.regs[in.dst[0]].ready
	}
}

// together makes an instruction that was given one slot take so many of one cycle.
func (m *Model) together(slots int) {
	r := &m.rename
	if r.used+slots-1 > r.core.Rename.Width {
		m.issueAt(r.cycle + 1)
		r.used = 1
	}
	r.used += slots - 1
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

// leaveRSP is the latency of leave from rbp to rsp: the move and the addition after it.
const leaveRSP = 2

// leave is mov rsp,rbp and pop rbp.
func (m *Model) leave(s *site, ea x86.Addr) {
	in := s.in
	t := max(m.rename.cycle+m.core.Back.ToDispatch, m.regs[x86.RBP].ready)
	first := m.dispatch(in.alu[0], t)
	for _, p := range in.alu[1:] {
		m.dispatch(p, t)
	}
	v, d, end := m.loadFrom(s, ea, t+in.late, m.core.Memory.RenameLeave)
	m.regs[x86.RSP] = value{ready: first + leaveRSP}
	m.regs[x86.RBP] = v
	m.last.Execute, m.last.Complete = d, max(end, first+leaveRSP)
}
