// SPDX-License-Identifier: GPL-2.0-only

package timing

import "github.com/tcsim/tcsim/jit/x86"

// afterBranch is what fetch has just come from.
type afterBranch uint8

const (
	afterOther  afterBranch = iota
	afterLate               // the first branch after a late target is still to come
	afterReturn             // the first instruction after a return is still to come
)

// branch steers the predictor to the instruction that follows a branch.
func (m *Model) branch(s *site, next x86.Addr) {
	b, f := &m.core.Branch, &m.front
	fall := s.end
	after, late := f.after, Cycle(0)
	paired := b.JumpPair && f.jumpTo != 0 && f.jumpTo>>6 == s.addr>>6
	f.after, f.jumpTo = afterOther, 0
	if after == afterLate {
		late = b.AfterLate
	}
	kind := s.in.branch
	if next != fall || kind != x86.BranchCond {
		m.target(s)
	}
	if kind == x86.BranchCall || kind == x86.BranchCallIndirect {
		m.pred.call(fall)
	}
	if kind != x86.BranchCond && kind != x86.BranchJump {
		f.stayed = false
	}
	switch kind {
	case x86.BranchCond:
		m.conditional(s, next, late, paired)
	case x86.BranchJump, x86.BranchCall, x86.BranchCallIndirect:
		if after == afterReturn {
			late = b.ReturnToBranch
		}
		if kind == x86.BranchJump {
			late = max(late, m.dense(s, next))
		} else {
			late += b.Call
		}
		if kind == x86.BranchCallIndirect {
			m.indirect(s, next, max(late, b.IndirectJump))
			return
		}
		f.predict(true, late)
		if kind == x86.BranchJump && late == 0 {
			f.jumpTo = next
		}
	case x86.BranchJumpIndirect:
		if s.lastTarget != next {
			f.after = afterLate
		}
		m.indirect(s, next, b.IndirectJump)
		if f.core.EntryOps == 0 {
			f.newGroup(1)
		}
	case x86.BranchRet:
		m.ret(s, next, after)
	}
}

// target delays the block after a taken branch whose target the predictor does not hold: decoding
// finds it if it is direct. A target is held from the first time on, unless too many taken branches
// share a window.
func (m *Model) target(s *site) {
	b := &m.core.Branch
	if !s.counted {
		s.counted = true
		s.win.taken++
	} else if s.win.taken <= b.TargetsPerWindow {
		return
	}
	if s.in.branch.Direct() {
		m.front.block(max(m.front.bp, m.front.cycle+b.DecodeRedirect))
	}
}

// loopBranches is how many taken branches a loop may have for its blocks to be named one a cycle in any case.
const loopBranches = 4

// dense returns the bubble of a direct jump to next, or of a conditional one that goes there, in a line that has more
// taken branches than the predictor finds at once: 1 where it goes on in the line as the taken branch before it did.
func (m *Model) dense(s *site, next x86.Addr) Cycle {
	b, f := &m.core.Branch, &m.front
	before, ago := f.stayed, f.blocks.n-s.named
	f.stayed = next>>6 == s.addr>>6 && next > s.addr
	s.named = f.blocks.n
	if b.DenseTargets == 0 || s.win.taken <= b.DenseTargets || s.win.taken > b.TargetsPerWindow || ago <= loopBranches || !before || !f.stayed {
		return 0
	}
	return 1
}

// indirect predicts the target of an indirect jump or call.
func (m *Model) indirect(s *site, next x86.Addr, bubble Cycle) {
	b := &m.core.Branch
	o := m.pred.resolve(s.addr, s.lastTarget, next)
	if s.lastTarget != 0 && s.lastTarget != next {
		bubble += b.IndirectMoved
	}
	s.lastTarget = next
	m.front.ntaken = m.core.Front.TakenPerCycle // no other branch in its cycle
	m.front.predict(true, bubble)
	if o.wrong {
		m.redirect(b.Mispredict, CauseMispredict)
	}
}

// conditional predicts a conditional jump; late is the bubble of what is before it, paired says that
// it is named together with the direct jump before it.
func (m *Model) conditional(s *site, next x86.Addr, late Cycle, paired bool) {
	b := &m.core.Branch
	fall := s.end
	simple := fall
	if s.base.taken() && s.lastTarget != 0 {
		simple = s.lastTarget
	}
	o := m.pred.resolve(s.addr, simple, next)
	taken := next != fall
	s.base.train(taken)
	if taken {
		s.lastTarget = next
		late = max(late, m.dense(s, next))
	} else {
		late = 0
	}
	if o.override {
		late = max(late, b.Override)
	}
	if paired && taken && late == 0 {
		late = -1 // in the cycle of the jump
	}
	m.front.predict(taken, late)
	if late < 0 && m.front.core.LoopOps > 0 {
		m.front.fresh = false // fetched together, too
	}
	if o.wrong {
		m.redirect(b.Mispredict, CauseMispredict)
	}
}

// ret predicts a return by the return stack.
func (m *Model) ret(s *site, next x86.Addr, after afterBranch) {
	b, f := &m.core.Branch, &m.front
	to, ok := m.pred.ret()
	moved := s.lastTarget != 0 && s.lastTarget != next
	s.lastTarget = next
	f.after = afterReturn
	if after == afterReturn {
		f.returns++
	} else {
		f.returns = 0
	}
	bubble := b.Return + min(f.returns, b.ReturnToReturn)
	if moved {
		bubble += b.ReturnMoved
	}
	f.predict(true, bubble)
	if f.returns > 0 {
		f.ntaken = f.core.TakenPerCycle // returns in a row leave no room for another branch
	}
	if ok && to == next {
		f.moved = moved
		return
	}
	penalty, cause := b.MispredictReturn+b.ReturnUnpredicted, CauseReturnStack
	if ok {
		penalty, cause = b.MispredictReturn, CauseMispredict
	}
	m.redirect(penalty, cause)
}

// redirect restarts prediction when a wrongly predicted branch has executed: penalty counts from the
// end of its execution to the first execution on the right path. Allocation waits, besides, for the
// retirement of the branch.
func (m *Model) redirect(penalty Cycle, cause Cause) {
	m.front.redirected = cause
	if at := max(m.last.Retire-m.last.Cost, m.now.branchEnd) + m.core.Branch.Restart; m.core.Branch.Restart > 0 && at > m.rename.floor {
		m.rename.floor, m.rename.hold = at, cause
	}
	m.front.block(max(m.front.bp, m.now.branchEnd+penalty-m.core.Back.ToDispatch-1))
}
