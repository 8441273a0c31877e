// SPDX-License-Identifier: GPL-2.0-only

package verify

import (
	"fmt"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/verify/agreed"
	"github.com/tcsim/tcsim/jit/verify/ranges"
)

// callbacks are the helpers that call a function of the program before they return: the argument that is the
// function, and the argument of the helper that is handed to it as its argument number gets.
var callbacks = map[int32]struct{ fn, context, gets uint8 }{
	164: {2, 3, 4}, // for_each_map_elem(map, fn, context, flags): fn(map, key, value, context)
	180: {3, 4, 3}, // find_vma(task, address, fn, context, flags): fn(task, vma, context)
	181: {2, 3, 2}, // loop(number, fn, context, flags): fn(index, context)
	209: {2, 3, 2}, // user_ringbuf_drain(map, fn, context, flags): fn(dynptr, context)
}

// callback follows the function that a helper calls. Since 6.7 it is one more path, which comes back to the call
// of the helper; before, the path goes through the function once. It reports whether s is in the function now
// (push_callback_call).
func (x *explorer) callback(s *state, helper int32) (bool, error) {
	how := callbacks[helper]
	fn := s.top().regs[how.fn]
	if fn.kind != kindFunc || int(fn.mapIdx) >= len(x.fnAt) || int(fn.mapIdx) < 0 {
		return false, nil
	}
	to := bpf.InsnIndex(fn.mapIdx)
	x.sync[to] = true
	args := x.callbackArgs(s, helper)
	if x.rules.CallbackOnce {
		caller := s.top()
		for r := range 6 {
			caller.regs[r] = value{}
		}
		callee, err := x.enter(s, to, s.pc+1)
		if err != nil {
			return false, err
		}
		*callee.regs, callee.callback = args, true
		callee.regs[10] = value{kind: kindStack, frame: uint8(len(s.frames) - 1), num: ranges.ConstScalar(0)}
		return true, nil
	}
	if n := &s.top().regs[1]; helper == helperLoop {
		x.needs(s, 1)
		if n.kind == kindNumber && s.top().iterations >= n.num.Umax {
			s.top().iterations = 0
			return false, nil // it has been called as often as it may be
		}
	}
	return false, x.callFrom(s, to, args)
}

// callFrom follows, as one more path, a function that the call at hand calls.
func (x *explorer) callFrom(s *state, to bpf.InsnIndex, args registers) error {
	x.sync[to] = true
	c := x.fork(s, s.pc)
	c.rounds++
	c.top().iterations++
	s.top().iterations = 0
	callee, err := x.enter(c, to, s.pc)
	if err != nil {
		return err
	}
	*callee.regs, callee.callback, callee.again = args, true, true
	callee.regs[10] = value{kind: kindStack, frame: uint8(len(c.frames) - 1), num: ranges.ConstScalar(0)}
	return nil
}

// callbackReturns refuses what a function that a helper calls does not return (prepare_func_exit).
func (x *explorer) callbackReturns(r0 *value) error {
	if !x.judges() {
		return nil
	}
	if r0.kind != kindNumber {
		return fmt.Errorf("r0 not a scalar value: a callback returns %s", r0.word())
	}
	return r0.num.Among("callback return", 0, 0, 1, false)
}

// callbackArgs are the registers that the function called by a helper begins with.
func (x *explorer) callbackArgs(s *state, helper int32) (regs registers) {
	how := callbacks[helper]
	caller := s.top().regs
	for r := uint8(1); r < how.gets; r++ {
		regs[r] = pointer(kindPointer)
		if !x.submitted {
			regs[r] = unknownNumber()
		}
	}
	switch helper {
	case helperLoop:
		regs[1] = unknownNumber()
	case 164:
		regs[1] = caller[1]
		if m := caller[1]; m.kind == kindMap && x.submitted {
			regs[3] = pointer(kindMapValue)
			regs[3].mapIdx = m.mapIdx
		}
	case 180:
		regs[1] = caller[1]
	case 209:
		if x.judges() {
			regs[1] = pointer(kindDynptr)
		}
	}
	regs[how.gets] = caller[how.context]
	return regs
}

// helperLoop is bpf_loop(number, callback, context, flags).
const helperLoop = 181

// noteLoop notes what a path to a call of bpf_loop passes.
func (x *explorer) noteLoop(s *state) {
	f := s.top()
	fn, flags := &f.regs[2], &f.regs[4]
	x.needs(s, 4)
	l := x.loops[s.pc]
	if l == nil {
		l = &agreed.Loop{}
		x.loops[s.pc] = l
	}
	l.Note(bpf.InsnIndex(fn.mapIdx), fn.kind == kindFunc && flags.isConst() && flags.num.Umin == 0)
}
