// SPDX-License-Identifier: GPL-2.0-only

package verify

import (
	"errors"
	"fmt"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/kernels"
)

// jump follows jumps, calls and exits.
func (x *explorer) jump(s *state, f *frameState, in bpf.Insn) (*state, error) {
	switch {
	case in.Op == bpf.OpExit:
		return x.exit(s)
	case in.IsSubCall():
		return x.callSub(s, in)
	case in.Op == bpf.OpCall || in.Op == bpf.OpTailCall || in.Op == bpf.OpCallX:
		if err := x.callHelper(s, in); err != nil {
			return nil, err
		}
		if x.p.Kfunc(in) == bpf.ThrowKfunc {
			return nil, nil
		}
		s.pc++
		return s, nil
	}
	_, to, _ := flow(x.p.Insns, s.pc)
	switch in.Op & 0xf0 {
	case bpf.JmpJA:
		s.pc = to
		return s, nil
	case bpf.JmpCond: // may_goto: either way, and what was counted so far does not matter
		s.widen()
		other := s.clone()
		other.pc = to
		x.work = append(x.work, other)
		s.pc++
		return s, nil
	}
	return x.conditional(s, f, in, to)
}

func (x *explorer) conditional(s *state, f *frameState, in bpf.Insn, to bpf.InsnIndex) (*state, error) {
	a := &f.regs[in.Dst]
	imm := number(constScalar(uint64(int64(in.Imm))))
	b := &imm
	if in.Op&bpf.SrcReg != 0 {
		b = &f.regs[in.Src]
	}
	wide := in.Class() == bpf.ClassJmp
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
func (x *explorer) decide(in bpf.Insn, a, b *value, wide bool) outcome {
	op := in.Op & 0xf0
	if a.isPointer() && !a.orNull && wide && b.isConst() && b.num.umin == 0 && a.kind != kindPacketEnd {
		switch {
		case !x.submitted && a.kind != kindStack:
		case op == bpf.JmpEq:
			return neverTaken
		case op == bpf.JmpNe:
			return alwaysTaken
		}
	}
	if a.kind != kindNumber || b.kind != kindNumber {
		return mayBranch
	}
	if x.rules.Ranges.SameReg && in.Op&bpf.SrcReg != 0 && in.Src == in.Dst {
		switch op {
		case bpf.JmpEq, bpf.JmpGe, bpf.JmpLe, bpf.JmpSge, bpf.JmpSle:
			return alwaysTaken
		case bpf.JmpNe, bpf.JmpGt, bpf.JmpLt, bpf.JmpSgt, bpf.JmpSlt:
			return neverTaken
		case bpf.JmpSet:
			if n := a.num.span(wide); !n.bits.isConst() && (n.smin > 0 || n.smax < 0) {
				return alwaysTaken
			}
		}
	}
	return decideNumbers(op, &a.num, &b.num, wide, &x.rules.Ranges)
}

// learn makes a state know that the condition op of a jump is true.
func (x *explorer) learn(s *state, in bpf.Insn, op uint8, wide bool) {
	f := s.top()
	a := &f.regs[in.Dst]
	imm := number(constScalar(uint64(int64(in.Imm))))
	b := &imm
	if in.Op&bpf.SrcReg != 0 {
		b = &f.regs[in.Src]
	}
	if a.isPointer() {
		if a.orNull && wide && b.isConst() && b.num.umin == 0 && (op == bpf.JmpEq || op == bpf.JmpNe) {
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
	refine(op, &a.num, &b.num, wide, &x.rules.Ranges)
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
	if r0.kind == kindStack {
		if x.strict {
			return nil, errors.New("a subprogram returns an address in the stack (cannot return stack pointer to the caller)")
		}
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

func (x *explorer) callSub(s *state, in bpf.Insn) (*state, error) {
	to := s.pc + 1 + bpf.InsnIndex(in.Imm)
	if fn := x.fnAt[to]; x.p.Funcs[fn].Global {
		return x.callGlobal(s, &x.p.Funcs[fn])
	}
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
