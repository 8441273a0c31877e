// SPDX-License-Identifier: GPL-2.0-only

package timing

import "github.com/tcsim/tcsim/jit/x86"

// branch steers fetch to the instruction that follows a branch.
func (m *Model) branch(s *site, next x86.Addr) {
	b := &m.core.Branch
	in := s.in
	fall := s.addr + x86.Addr(in.inst.Len)
	switch in.inst.Branch {
	case x86.BranchCond:
		m.conditional(s, next, fall)
		return
	case x86.BranchJump, x86.BranchCall:
		if in.inst.Branch == x86.BranchCall {
			m.pred.call(fall)
		}
		delay := Cycle(1)
		if !s.seen {
			delay += b.DecodeRedirect
		}
		m.front.newGroup(delay)
	case x86.BranchJumpIndirect, x86.BranchCallIndirect:
		if in.inst.Branch == x86.BranchCallIndirect {
			m.pred.call(fall)
		}
		o := m.pred.resolve(s.addr, s.lastTarget, next)
		s.lastTarget = next
		if o.wrong {
			m.redirect(b.Mispredict)
			return
		}
		m.front.newGroup(1 + b.Indirect)
	case x86.BranchRet:
		m.ret(s, next)
	}
}

func (m *Model) conditional(s *site, next, fall x86.Addr) {
	b := &m.core.Branch
	simple := fall
	target := s.lastTarget
	if next != fall {
		target = next
	}
	if s.base.taken() && target != 0 {
		simple = target
	}
	o := m.pred.resolve(s.addr, simple, next)
	s.base.train(next != fall)
	if next != fall {
		s.lastTarget = next
	}
	switch {
	case o.wrong:
		m.redirect(b.Mispredict)
	case next != fall && o.override:
		m.front.newGroup(1 + b.Override)
	case next != fall:
		m.front.newGroup(1)
	case o.override:
		m.front.newGroup(b.Override)
	}
}

// ret predicts a return by the return stack.
func (m *Model) ret(s *site, next x86.Addr) {
	b := &m.core.Branch
	to, ok := m.pred.ret()
	moved := s.lastTarget != 0 && s.lastTarget != next
	s.lastTarget = next
	if !ok || to != next {
		m.redirect(b.MispredictReturn)
		m.front.lastReturn = m.front.cycle
		return
	}
	f := &m.front
	if at := f.lastReturn + b.ReturnGap; at > f.cycle {
		f.newGroup(at - f.cycle)
	}
	f.lastReturn = f.cycle
	delay := Cycle(1)
	if moved {
		delay += b.ReturnMoved
	}
	f.newGroup(delay)
}

// redirect restarts fetch when a wrongly predicted branch has executed: penalty counts from the end
// of its execution to the first execution on the right path.
func (m *Model) redirect(penalty Cycle) {
	resolved := m.branchEnd
	at := resolved + penalty - m.core.Back.ToDispatch - 1
	if at > m.front.cycle {
		m.front.newGroup(at - m.front.cycle)
	} else {
		m.front.newGroup(1)
	}
}
