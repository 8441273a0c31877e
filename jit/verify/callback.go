// SPDX-License-Identifier: GPL-2.0-only

package verify

import (
	"fmt"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/verify/agreed"
	"github.com/tcsim/tcsim/jit/verify/holds"
	"github.com/tcsim/tcsim/jit/verify/protos"
)

// callback follows the function that a helper calls. Since 6.7 it is one more path, which comes back to the call
// of the helper; before, the path goes through the function once. It reports whether s is in the function now
// (push_callback_call).
func (x *explorer) callback(s *state, helper int32) (bool, error) {
	how := protos.Callbacks[helper]
	fn := *s.top().regs[how.Fn]
	if fn.Kind != holds.Func || int(fn.Map) >= len(x.fnAt) || int(fn.Map) < 0 {
		return false, nil
	}
	to := bpf.InsnIndex(fn.Map)
	x.sync[to] = true
	args := x.callbackArgs(s, helper)
	if x.rules.CallbackOnce {
		caller := s.top()
		caller.called()
		callee, err := x.enter(s, to, s.pc+1)
		if err != nil {
			return false, err
		}
		callee.begin(&args)
		return true, nil
	}
	if n := s.top().regs[1]; helper == protos.HelperLoop {
		x.needs(s, 1)
		if n.Kind == holds.Number && s.top().iterations >= n.Num.Umax {
			s.top().iterations = 0
			return false, nil // it has been called as often as it may be
		}
	}
	return false, x.callFrom(s, to, args)
}

// callFrom follows, as one more path, a function that the call at hand calls.
func (x *explorer) callFrom(s *state, to bpf.InsnIndex, args arguments) error {
	x.sync[to] = true
	c := x.fork(s, s.pc)
	c.rounds++
	c.top().iterations++
	s.top().iterations = 0
	callee, err := x.enter(c, to, s.pc)
	if err != nil {
		return err
	}
	callee.begin(&args)
	callee.again = true
	return nil
}

// begin makes the function one that a helper calls with some arguments.
func (f *frameState) begin(args *arguments) {
	f.callback = true
	for r := range args {
		f.set(uint8(r), args[r])
	}
}

// callbackReturns refuses what a function that a helper calls does not return (prepare_func_exit).
func (x *explorer) callbackReturns(r0 *holds.Value) error {
	if !x.judges() {
		return nil
	}
	if r0.Kind != holds.Number {
		return fmt.Errorf("r0 not a scalar value: a callback returns %s", r0.Word())
	}
	return r0.Num.Among("callback return", 0, 0, 1, false)
}

// arguments are the first registers that a function begins with.
type arguments [6]holds.Value

// callbackArgs are the registers that the function called by a helper begins with.
func (x *explorer) callbackArgs(s *state, helper int32) (regs arguments) {
	how := protos.Callbacks[helper]
	caller := &s.top().regs
	for r := uint8(1); r < how.Gets; r++ {
		regs[r] = holds.To(holds.Pointer)
		if !x.submitted {
			regs[r] = holds.AnyNumber()
		}
	}
	switch helper {
	case protos.HelperLoop:
		regs[1] = holds.AnyNumber()
	case 164:
		regs[1] = *caller[1]
		if m := regs[1]; m.Kind == holds.Map && x.submitted {
			regs[3] = holds.To(holds.MapValue)
			regs[3].Map = m.Map
		}
	case 180:
		regs[1] = *caller[1]
	case 209:
		if x.judges() {
			regs[1] = holds.To(holds.Dynptr)
		}
	}
	regs[how.Gets] = *caller[how.Context]
	return regs
}

// noteLoop notes what a path to a call of bpf_loop passes.
func (x *explorer) noteLoop(s *state) {
	f := s.top()
	fn, flags := f.regs[2], f.regs[4]
	x.needs(s, 4)
	l := x.loops[s.pc]
	if l == nil {
		l = &agreed.Loop{}
		x.loops[s.pc] = l
	}
	l.Note(bpf.InsnIndex(fn.Map), fn.Kind == holds.Func && flags.IsConst() && flags.Num.Umin == 0)
}
