// SPDX-License-Identifier: GPL-2.0-only

package jit

import "fmt"

// jump follows jumps, calls and exits.
func (x *explorer) jump(s *state, f *frameState, in Insn) (*state, error) {
	switch {
	case in.Op == opExit:
		return x.exit(s)
	case in.isSubCall():
		return x.callSub(s, in)
	case in.Op == opCall || in.Op == OpTailCall || in.Op == opCallX:
		if err := x.callHelper(s, in); err != nil {
			return nil, err
		}
		if x.p.kfunc(in) == throwKfunc {
			return nil, nil
		}
		s.pc++
		return s, nil
	}
	_, to, _ := flow(x.p.Insns, s.pc)
	switch in.Op & 0xf0 {
	case jmpJA:
		s.pc = to
		return s, nil
	case jmpCond: // may_goto: either way, and what was counted so far does not matter
		s.widen()
		other := s.clone()
		other.pc = to
		x.work = append(x.work, other)
		s.pc++
		return s, nil
	}
	return x.conditional(s, f, in, to)
}

func (x *explorer) conditional(s *state, f *frameState, in Insn, to InsnIndex) (*state, error) {
	a := &f.regs[in.Dst]
	imm := number(constScalar(uint64(int64(in.Imm))))
	b := &imm
	if in.Op&srcReg != 0 {
		b = &f.regs[in.Src]
	}
	wide := in.Class() == clsJmp
	switch x.decide(in, a, b, wide) {
	case alwaysTaken:
		s.pc = to
		return s, nil
	case neverTaken:
		s.pc++
		return s, nil
	}
	taken := s.clone()
	taken.pc = to
	s.pc++
	x.learn(taken, in, in.Op&0xf0, wide)
	x.learn(s, in, revJump[in.Op&0xf0], wide)
	x.work = append(x.work, taken)
	return s, nil
}

// decide says whether the outcome of a conditional jump is known (is_branch_taken).
func (x *explorer) decide(in Insn, a, b *value, wide bool) outcome {
	op := in.Op & 0xf0
	if a.isPointer() && !a.orNull && wide && b.isConst() && b.num.umin == 0 && a.kind != kindPacketEnd {
		switch {
		case !x.submitted && a.kind != kindStack:
		case op == jmpEq:
			return neverTaken
		case op == jmpNe:
			return alwaysTaken
		}
	}
	if a.kind != kindNumber || b.kind != kindNumber {
		return mayBranch
	}
	if x.rules.Ranges.SameReg && in.Op&srcReg != 0 && in.Src == in.Dst {
		switch op {
		case jmpEq, jmpGe, jmpLe, jmpSge, jmpSle:
			return alwaysTaken
		case jmpNe, jmpGt, jmpLt, jmpSgt, jmpSlt:
			return neverTaken
		case jmpSet:
			if n := a.num.span(wide); !n.bits.isConst() && (n.smin > 0 || n.smax < 0) {
				return alwaysTaken
			}
		}
	}
	return decideNumbers(op, &a.num, &b.num, wide, &x.rules.Ranges)
}

// learn makes a state know that the condition op of a jump is true.
func (x *explorer) learn(s *state, in Insn, op uint8, wide bool) {
	f := s.top()
	a := &f.regs[in.Dst]
	imm := number(constScalar(uint64(int64(in.Imm))))
	b := &imm
	if in.Op&srcReg != 0 {
		b = &f.regs[in.Src]
	}
	if a.isPointer() {
		if a.orNull && wide && b.isConst() && b.num.umin == 0 && (op == jmpEq || op == jmpNe) {
			s.resolveNull(a.link, op == jmpEq)
		}
		return
	}
	if a.kind != kindNumber || b.kind != kindNumber {
		return
	}
	if x.rules.Ranges.SameReg && in.Op&srcReg != 0 && in.Src == in.Dst {
		return
	}
	refine(op, &a.num, &b.num, wide, &x.rules.Ranges)
	if in.Op&srcReg != 0 {
		s.spread(b, &x.rules.Ranges)
	}
	s.spread(a, &x.rules.Ranges)
}

// spread copies what was learnt of v to everything linked to it (sync_linked_regs).
func (s *state) spread(v *value, r *RangeRules) {
	if v.link == 0 || v.kind != kindNumber {
		return
	}
	known := *v
	s.everyValue(func(o *value) {
		if o == v || o.link != known.link || o.kind != kindNumber {
			return
		}
		if o.delta == known.delta {
			o.num = known.num
			return
		}
		d := constScalar(uint64(o.delta - known.delta))
		o.num = known.num
		o.num.add32(&d, r)
		o.num.add64(&d, r)
		o.num.bits = o.num.bits.add(d.bits)
	})
}

// resolveNull makes all copies of a pointer that may be null the number 0 or a plain pointer.
func (s *state) resolveNull(link uint32, null bool) {
	s.everyValue(func(v *value) {
		if v.link != link || !v.orNull {
			return
		}
		if null {
			*v = number(constScalar(0))
		} else {
			v.orNull, v.link = false, 0
		}
	})
}

func (x *explorer) exit(s *state) (*state, error) {
	n := len(s.frames)
	if n == 1 {
		return nil, nil
	}
	r0, ret := s.top().regs[0], s.top().ret
	if r0.kind == kindStack && int(r0.frame) == n-1 {
		r0 = unknownNumber()
	}
	s.frames = s.frames[:n-1]
	f := s.top()
	for r := range 6 {
		f.regs[r] = value{}
	}
	f.regs[0] = r0
	s.pc = ret
	return s, nil
}

// maxFrames is MAX_CALL_FRAMES until 7.1.
const maxFrames = 8

func (x *explorer) callSub(s *state, in Insn) (*state, error) {
	to := s.pc + 1 + InsnIndex(in.Imm)
	most := maxFrames
	if x.rules.DeepCalls {
		most *= 2
	}
	if len(s.frames) >= most {
		return nil, fmt.Errorf("calls are more than %d frames deep", most)
	}
	callee := frameState{fn: int(x.fnAt[to]), ret: s.pc + 1}
	copy(callee.regs[1:6], s.top().regs[1:6])
	callee.regs[10] = value{kind: kindStack, frame: uint8(len(s.frames)), num: constScalar(0)}
	s.frames = append(s.frames, callee)
	s.pc = to
	return s, nil
}
