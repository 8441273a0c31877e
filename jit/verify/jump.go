// SPDX-License-Identifier: GPL-2.0-only

package verify

import (
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/verify/form"
	"github.com/tcsim/tcsim/jit/verify/holds"
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
	b := x.second(f, in)
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
	if op := in.Op & 0xf0; in.Op&bpf.SrcReg != 0 && (op == bpf.JmpEq || op == bpf.JmpNe) && a.OrNull && b.Null() {
		x.needs(s, in.Src) // what may be null is learnt from the zero (mark_ptr_or_null_regs)
	}
	taken := x.fork(s, to)
	s.pc++
	x.learn(taken, in, in.Op&0xf0, wide)
	x.learn(s, in, ranges.RevJump[in.Op&0xf0], wide)
}

// second is the second operand of a comparison.
func (x *explorer) second(f *frameState, in bpf.Insn) *holds.Value {
	if in.Op&bpf.SrcReg != 0 {
		return f.regs[in.Src]
	}
	return x.operand(in)
}

// decide says whether the outcome of a conditional jump is known (is_branch_taken).
func (x *explorer) decide(in bpf.Insn, a, b *holds.Value, wide bool) ranges.Outcome {
	op := in.Op & 0xf0
	if a.IsPointer() && !a.OrNull && wide && b.IsConst() && b.Num.Umin == 0 && a.Kind != holds.PacketEnd {
		switch {
		case !x.submitted && a.Kind != holds.Stack:
		case x.submitted && !a.NeverNull():
		case op == bpf.JmpEq:
			return ranges.NeverTaken
		case op == bpf.JmpNe:
			return ranges.AlwaysTaken
		}
	}
	if a.Kind != holds.Number || b.Kind != holds.Number {
		return ranges.MayBranch
	}
	if x.rules.Ranges.SameReg && in.Op&bpf.SrcReg != 0 && in.Src == in.Dst {
		switch op {
		case bpf.JmpEq, bpf.JmpGe, bpf.JmpLe, bpf.JmpSge, bpf.JmpSle:
			return ranges.AlwaysTaken
		case bpf.JmpNe, bpf.JmpGt, bpf.JmpLt, bpf.JmpSgt, bpf.JmpSlt:
			return ranges.NeverTaken
		case bpf.JmpSet:
			if n := a.Num.Span(wide); !n.Bits.IsConst() && (n.Smin > 0 || n.Smax < 0) {
				return ranges.AlwaysTaken
			}
		}
	}
	return ranges.DecideNumbers(op, &a.Num, &b.Num, wide, &x.rules.Ranges)
}

// learn makes a state know that the condition op of a jump is true.
func (x *explorer) learn(s *state, in bpf.Insn, op uint8, wide bool) {
	f := s.top()
	a := f.regs[in.Dst]
	b := x.second(f, in)
	if wide && a.IsPointer() && b.IsPointer() && x.submitted {
		s.comparePacket(op, a, b)
		if op == bpf.JmpEq && a.OrNull != b.OrNull && x.rules.Trusted && a.Kind != holds.Pointer && b.Kind != holds.Pointer {
			sure, other := a, b
			if a.OrNull {
				sure, other = b, a
			}
			if !x.rules.SureWitness || sure.NeverNull() {
				s.resolveNull(other.Link, false) // what equals an address is one
			}
		}
	}
	if a.IsPointer() {
		if a.OrNull && wide && b.IsConst() && b.Num.Umin == 0 && (op == bpf.JmpEq || op == bpf.JmpNe) {
			s.resolveNull(a.Link, op == bpf.JmpEq)
		}
		return
	}
	if a.Kind != holds.Number || b.Kind != holds.Number {
		return
	}
	if x.rules.Ranges.SameReg && in.Op&bpf.SrcReg != 0 && in.Src == in.Dst {
		return
	}
	if a = f.own(in.Dst); in.Op&bpf.SrcReg != 0 {
		b = f.own(in.Src)
		ranges.Refine(op, &a.Num, &b.Num, wide, &x.rules.Ranges)
		s.spread(b, &x.rules.Ranges)
	} else {
		n := b.Num
		ranges.Refine(op, &a.Num, &n, wide, &x.rules.Ranges)
	}
	s.spread(a, &x.rules.Ranges)
}

// spread copies what was learnt of v to everything linked to it (sync_linked_regs).
func (s *state) spread(v *holds.Value, r *kernels.RangeRules) {
	if v.Link == 0 || v.Kind != holds.Number {
		return
	}
	known := *v
	s.changeLinked(v.Link, func(o *holds.Value) bool {
		if o == v || o.Kind != holds.Number {
			return false
		}
		return o.Plus == 0 || known.Plus == 0 || o.Plus == known.Plus // the difference is another in each width
	}, func(o *holds.Value) {
		if o.Delta == known.Delta {
			o.Num = known.Num
			return
		}
		o.Num = known.Num.Plus(o.Delta-known.Delta, o.Plus == 32 || known.Plus == 32, r)
	})
}

// changeAlike is changeLinked where 0 is a link, too.
func (s *state) changeAlike(link uint32, picks func(*holds.Value) bool, to func(*holds.Value)) {
	if link != 0 {
		s.changeLinked(link, picks, to)
		return
	}
	s.change(func(v *holds.Value) bool { return v.Link == 0 && picks(v) }, to)
}

// resolveNull makes all copies of a pointer that may be null the number 0 or a plain pointer.
func (s *state) resolveNull(link uint32, null bool) {
	s.changeAlike(link, func(v *holds.Value) bool { return v.OrNull }, func(v *holds.Value) {
		if null {
			*v = holds.Of(ranges.ConstScalar(0))
		} else if v.OrNull = false; !v.Locked {
			v.Link = 0
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
	if r0.Kind == holds.Stack {
		if x.strict {
			return false, errors.New("a subprogram returns an address in the stack (cannot return stack pointer to the caller)")
		}
		r0 = &holds.Anything
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
		r0 = &holds.Anything
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
	callee.set(10, holds.Value{Kind: holds.Stack, Frame: uint8(len(s.frames)), Num: ranges.ConstScalar(0)})
	s.frames = append(s.frames, callee)
	s.pc = to
	return s.top(), nil
}

// comparePacket learns how many bytes of the packet are there from a comparison with its end, or of metadata with
// the packet's beginning, where "a OP b" is true (try_match_pkt_pointers, find_good_pkt_pointers).
func (s *state) comparePacket(op uint8, a, b *holds.Value) {
	if a.Kind == holds.PacketEnd || a.Kind == holds.Packet && b.Kind == holds.PacketMeta {
		op, a, b = ranges.FlipJump[op], b, a
	}
	switch {
	case a.Kind == holds.Packet && b.Kind == holds.PacketEnd:
	case a.Kind == holds.PacketMeta && b.Kind == holds.Packet && b.Off == 0 && b.Link == 0:
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
	known, limit := *a, a.Off+more
	if known.Off < 0 || known.Off == 0 && more != 0 || known.Num.Umax > maxPacketOff || int64(known.Num.Umax)+known.Off > maxPacketOff {
		return
	}
	s.changeAlike(known.Link, func(v *holds.Value) bool { return v.Kind == known.Kind && v.Delta < limit }, func(v *holds.Value) { v.Delta = limit })
}

// loosePackets forgets all addresses in the packet, after a helper that may move it (bpf_helper_changes_pkt_data).
func (s *state) loosePackets() {
	s.invalidate(func(v *holds.Value) bool {
		return v.Kind == holds.Packet || v.Kind == holds.PacketEnd || v.Kind == holds.PacketMeta || v.Kind == holds.Memory && v.Traits&holds.OfPacket != 0
	})
}
