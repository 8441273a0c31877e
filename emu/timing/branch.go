// SPDX-License-Identifier: GPL-2.0-only

package timing

import "github.com/tcsim/tcsim/jit/x86"

// afterBranch is what fetch has just come from.
type afterBranch uint8

const (
	afterOther    afterBranch = iota
	afterIndirect             // the first branch behind an indirect jump or a return is still to come
	afterReturn               // the first instruction behind a return is still to come
)

// branch steers fetch to the instruction that follows a branch.
func (m *Model) branch(s *site, next x86.Addr) {
	b, f := &m.core.Branch, &m.front
	fall := s.addr + x86.Addr(s.in.inst.Len)
	after := f.after
	f.after = afterOther
	f.branchSlot(next != fall)
	kind := s.in.inst.Branch
	switch kind {
	case x86.BranchCond:
		m.conditional(s, next, fall)
		if after == afterIndirect && next != fall {
			f.newGroup(1 + b.AfterIndirect)
		}
	case x86.BranchJump, x86.BranchCall:
		if kind == x86.BranchCall {
			m.pred.call(fall)
		}
		if !s.seen {
			f.newGroup(1 + b.DecodeRedirect)
		} else if after == afterReturn {
			f.newGroup(1 + b.ReturnToBranch)
		}
	case x86.BranchJumpIndirect, x86.BranchCallIndirect:
		if kind == x86.BranchCallIndirect {
			m.pred.call(fall)
		}
		o := m.pred.resolve(s.addr, s.lastTarget, next)
		s.lastTarget = next
		f.after = afterIndirect
		if o.wrong {
			m.redirect(b.Mispredict)
		} else {
			f.newGroup(1 + b.Indirect)
		}
	case x86.BranchRet:
		m.ret(s, next, after)
	}
}

func (m *Model) conditional(s *site, next, fall x86.Addr) {
	b := &m.core.Branch
	simple := fall
	if s.base.taken() && s.lastTarget != 0 {
		simple = s.lastTarget
	}
	o := m.pred.resolve(s.addr, simple, next)
	s.base.train(next != fall)
	if next != fall {
		s.lastTarget = next
	}
	switch {
	case o.wrong:
		m.redirect(b.Mispredict)
	case o.override && next != fall:
		m.front.newGroup(1 + b.Override)
	case o.override:
		m.front.newGroup(b.Override)
	}
}

// ret predicts a return by the return stack.
func (m *Model) ret(s *site, next x86.Addr, after afterBranch) {
	b, f := &m.core.Branch, &m.front
	to, ok := m.pred.ret()
	moved := s.lastTarget != 0 && s.lastTarget != next
	s.lastTarget = next
	f.after = afterReturn
	if !ok || to != next {
		penalty := b.MispredictReturn
		if w, err := m.site(to); ok && err == nil && w.in.kind == kindPause {
			penalty += b.PauseShadow
		}
		m.redirect(penalty)
		return
	}
	delay := Cycle(1)
	if after == afterReturn {
		delay += b.ReturnToReturn
	}
	if moved {
		delay += b.ReturnMoved
	}
	f.newGroup(delay)
}

// redirect restarts fetch when a wrongly predicted branch has executed: penalty counts from the end
// of its execution to the first execution on the right path.
func (m *Model) redirect(penalty Cycle) {
	at := m.branchEnd + penalty - m.core.Back.ToDispatch - 1
	m.front.newGroup(max(1, at-m.front.cycle))
}
