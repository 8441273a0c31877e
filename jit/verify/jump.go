// SPDX-License-Identifier: GPL-2.0-only

package verify

import (
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/verify/form"
	"github.com/tcsim/tcsim/jit/verify/ranges"
	"github.com/tcsim/tcsim/jit/verify/shape"
)

// jump follows jumps, calls and exits.
func (x *explorer) jump(s *state, f *frameState, in bpf.Insn) (bool, error) {
	x.jumps++
	switch {
	case in.Op == bpf.OpExit:
		return x.exit(s)
	case in.IsSubCall():
		return x.callSub(s, in)
	case in.Op == bpf.OpCall || in.Op == bpf.OpTailCall || in.Op == bpf.OpCallX:
		depth, at := len(s.frames), s.pc
		if err := x.callHelper(s, in); err != nil {
			return false, err
		}
		if x.callees[at].Kfunc == bpf.ThrowKfunc {
			return false, nil
		}
		if len(s.frames) == depth {
			s.pc++
		}
		return true, nil
	}
	_, to, _ := form.Flow(x.p.Insns, s.pc)
	switch in.Op & 0xf0 {
	case bpf.JmpJA:
		s.pc = to
	case bpf.JmpCond: // may_goto
		x.nextRound(s, s.pc+1)
		s.pc = to
	default:
		x.conditional(s, f, in, to)
	}
	return true, nil
}

// nextRound is a fork of s that goes on with the next round of a loop.
func (x *explorer) nextRound(s *state, to bpf.InsnIndex) *state {
	old := x.previous(s, s.pc)
	c := x.fork(s, to)
	c.rounds++
	x.forget(old, c)
	return c
}

func (x *explorer) conditional(s *state, f *frameState, in bpf.Insn, to bpf.InsnIndex) {
	a := f.regs[in.Dst]
	imm := number(ranges.ConstScalar(uint64(int64(in.Imm))))
	b := &imm
	if in.Op&bpf.SrcReg != 0 {
		b = f.regs[in.Src]
	}
	wide := in.Class() == bpf.ClassJmp
	known := x.decide(in, a, b, wide)
	x.met[s.pc] |= metOutcome << known
	if known != ranges.MayBranch {
		x.needs(s, in.Dst)
		if in.Op&bpf.SrcReg != 0 {
			x.needs(s, in.Src)
		}
		if s.pc++; known == ranges.AlwaysTaken {
			s.pc = to
		}
		return
	}
	x.noteLinks(s, a, b)
	if op := in.Op & 0xf0; in.Op&bpf.SrcReg != 0 && (op == bpf.JmpEq || op == bpf.JmpNe) && a.orNull && b.null() {
		x.needs(s, in.Src) // what may be null is learnt from the zero (mark_ptr_or_null_regs)
	}
	taken := x.fork(s, to)
	s.pc++
	x.learn(taken, in, in.Op&0xf0, wide)
	x.learn(s, in, ranges.RevJump[in.Op&0xf0], wide)
}

// decide says whether the outcome of a conditional jump is known (is_branch_taken).
func (x *explorer) decide(in bpf.Insn, a, b *value, wide bool) ranges.Outcome {
	op := in.Op & 0xf0
	if a.isPointer() && !a.orNull && wide && b.isConst() && b.num.Umin == 0 && a.kind != kindPacketEnd {
		switch {
		case !x.submitted && a.kind != kindStack:
		case x.submitted && !a.neverNull():
		case op == bpf.JmpEq:
			return ranges.NeverTaken
		case op == bpf.JmpNe:
			return ranges.AlwaysTaken
		}
	}
	if a.kind != kindNumber || b.kind != kindNumber {
		return ranges.MayBranch
	}
	if x.rules.Ranges.SameReg && in.Op&bpf.SrcReg != 0 && in.Src == in.Dst {
		switch op {
		case bpf.JmpEq, bpf.JmpGe, bpf.JmpLe, bpf.JmpSge, bpf.JmpSle:
			return ranges.AlwaysTaken
		case bpf.JmpNe, bpf.JmpGt, bpf.JmpLt, bpf.JmpSgt, bpf.JmpSlt:
			return ranges.NeverTaken
		case bpf.JmpSet:
			if n := a.num.Span(wide); !n.Bits.IsConst() && (n.Smin > 0 || n.Smax < 0) {
				return ranges.AlwaysTaken
			}
		}
	}
	return ranges.DecideNumbers(op, &a.num, &b.num, wide, &x.rules.Ranges)
}

// neverNull reports whether verifiers know that an address is not null (reg_not_null).
func (v *value) neverNull() bool {
	if v.num.Smin <= -maxVarOff || v.num.Smax >= maxVarOff {
		return false // the sum may be null
	}
	switch v.kind {
	case kindContext, kindStack, kindPacket, kindPacketMeta, kindFunc, kindBuffer, kindFlowKeys, kindDynptr:
		return false
	case kindPointer:
		return v.typed != untrusted && v.traits&unguarded == 0
	case kindOwn:
		return v.traits&(protected|unguarded) == 0
	}
	return v.traits&probed == 0
}

// learn makes a state know that the condition op of a jump is true.
func (x *explorer) learn(s *state, in bpf.Insn, op uint8, wide bool) {
	f := s.top()
	a := f.regs[in.Dst]
	imm := number(ranges.ConstScalar(uint64(int64(in.Imm))))
	b := &imm
	if in.Op&bpf.SrcReg != 0 {
		b = f.regs[in.Src]
	}
	if wide && a.isPointer() && b.isPointer() && x.submitted {
		s.comparePacket(op, a, b)
		if op == bpf.JmpEq && a.orNull != b.orNull && x.rules.Trusted && a.kind != kindPointer && b.kind != kindPointer {
			sure, other := a, b
			if a.orNull {
				sure, other = b, a
			}
			if !x.rules.SureWitness || sure.neverNull() {
				s.resolveNull(other.link, false) // what equals an address is one
			}
		}
	}
	if a.isPointer() {
		if a.orNull && wide && b.isConst() && b.num.Umin == 0 && (op == bpf.JmpEq || op == bpf.JmpNe) {
			s.resolveNull(a.link, op == bpf.JmpEq)
		}
		return
	}
	if a.kind != kindNumber || b.kind != kindNumber {
		return
	}
	if x.rules.Ranges.SameReg && in.Op&bpf.SrcReg != 0 && in.Src == in.Dst {
		return
	}
	if a = f.own(in.Dst); in.Op&bpf.SrcReg != 0 {
		b = f.own(in.Src)
	}
	ranges.Refine(op, &a.num, &b.num, wide, &x.rules.Ranges)
	if in.Op&bpf.SrcReg != 0 {
		s.spread(b, &x.rules.Ranges)
	}
	s.spread(a, &x.rules.Ranges)
}

// spread copies what was learnt of v to everything linked to it (sync_linked_regs).
func (s *state) spread(v *value, r *kernels.RangeRules) {
	if v.link == 0 || v.kind != kindNumber {
		return
	}
	known := *v
	s.change(true, func(o *value) bool {
		if o == v || o.link != known.link || o.kind != kindNumber {
			return false
		}
		return o.plus == 0 || known.plus == 0 || o.plus == known.plus // the difference is another in each width
	}, func(o *value) {
		if o.delta == known.delta {
			o.num = known.num
			return
		}
		o.num = known.num.Plus(o.delta-known.delta, o.plus == 32 || known.plus == 32, r)
	})
}

// resolveNull makes all copies of a pointer that may be null the number 0 or a plain pointer.
func (s *state) resolveNull(link uint32, null bool) {
	s.change(link != 0, func(v *value) bool { return v.link == link && v.orNull }, func(v *value) {
		if null {
			*v = number(ranges.ConstScalar(0))
		} else if v.orNull = false; !v.locked {
			v.link = 0
		}
	})
	if null {
		s.forgetRef(link) // what was not acquired need not be given back (mark_ptr_or_null_regs)
	}
}

func (x *explorer) exit(s *state) (bool, error) {
	n := len(s.frames)
	if err := x.mayEnd(s, false); err != nil {
		return false, err
	}
	if n == 1 {
		return false, x.mayReturn(s, 0)
	}
	from := s.top()
	r0 := from.lend(0)
	if r0.kind == kindStack {
		if x.strict {
			return false, errors.New("a subprogram returns an address in the stack (cannot return stack pointer to the caller)")
		}
		r0 = &anything
	}
	if from.callback {
		x.needs(s, 0)
		if err := x.callbackReturns(from.regs[0]); err != nil {
			return false, err
		}
	}
	from.call.Update()
	ret, callback, again := from.ret, from.callback, from.again
	x.mem.drop(from)
	s.frames = s.frames[:n-1]
	s.shared = min(s.shared, n-1)
	s.pc = ret
	if again {
		x.forget(x.previous(s, ret), s)
		return true, nil
	}
	f := s.top()
	if callback {
		r0 = &anything
	}
	f.called()
	f.refer(0, r0)
	return true, nil
}

func (x *explorer) callSub(s *state, in bpf.Insn) (bool, error) {
	to := s.pc + 1 + bpf.InsnIndex(in.Imm)
	if fn := x.fnAt[to]; x.p.Funcs[fn].ExceptionCB && x.judges() {
		return false, errors.New("cannot call exception cb directly")
	} else if x.p.Funcs[fn].Global {
		return x.callGlobal(s, &x.p.Funcs[fn])
	}
	callee, err := x.enter(s, to, s.pc+1)
	if err != nil {
		return false, err
	}
	caller := &s.frames[len(s.frames)-2]
	for r := range uint8(5) {
		callee.refer(r+1, caller.lend(r+1))
	}
	return true, nil
}

// enter begins a call of the function at slot to.
func (x *explorer) enter(s *state, to, ret bpf.InsnIndex) (*frameState, error) {
	most := shape.MaxFrames * x.rules.FrameFactor()
	if len(s.frames) >= most {
		return nil, fmt.Errorf("calls are more than %d frames deep", most)
	}
	callee := x.mem.frame(int(x.fnAt[to]))
	callee.ret, callee.call = ret, s.top().call.Inner(callee.fn, bpf.InsnIndex(x.now.PC))
	callee.set(10, value{kind: kindStack, frame: uint8(len(s.frames)), num: ranges.ConstScalar(0)})
	s.frames = append(s.frames, callee)
	s.pc = to
	return s.top(), nil
}

// comparePacket learns how many bytes of the packet are there from a comparison with its end, or of metadata with
// the packet's beginning, where "a OP b" is true (try_match_pkt_pointers, find_good_pkt_pointers).
func (s *state) comparePacket(op uint8, a, b *value) {
	if a.kind == kindPacketEnd || a.kind == kindPacket && b.kind == kindPacketMeta {
		op, a, b = ranges.FlipJump[op], b, a
	}
	switch {
	case a.kind == kindPacket && b.kind == kindPacketEnd:
	case a.kind == kindPacketMeta && b.kind == kindPacket && b.off == 0 && b.link == 0:
	default:
		return
	}
	var more int64
	switch op {
	case bpf.JmpLe:
	case bpf.JmpLt:
		more = 1
	default:
		return
	}
	known, limit := *a, a.off+more
	if known.off < 0 || known.off == 0 && more != 0 || known.num.Umax > maxPacketOff || int64(known.num.Umax)+known.off > maxPacketOff {
		return
	}
	s.change(known.link != 0, func(v *value) bool { return v.kind == known.kind && v.link == known.link && v.delta < limit }, func(v *value) { v.delta = limit })
}

// loosePackets forgets all addresses in the packet, after a helper that may move it (bpf_helper_changes_pkt_data).
func (s *state) loosePackets() {
	s.invalidate(func(v *value) bool {
		return v.kind == kindPacket || v.kind == kindPacketEnd || v.kind == kindPacketMeta || v.kind == kindMemory && v.traits&ofPacket != 0
	})
}
