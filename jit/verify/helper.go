// SPDX-License-Identifier: GPL-2.0-only

package verify

import (
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/verify/agreed"
	"github.com/tcsim/tcsim/jit/verify/holds"
	"github.com/tcsim/tcsim/jit/verify/origin"
	"github.com/tcsim/tcsim/jit/verify/protos"
	"github.com/tcsim/tcsim/jit/verify/ranges"
	"github.com/tcsim/tcsim/jit/verify/shape"
)

// callHelper follows a call of a helper, of a kernel function or a tail call.
func (x *explorer) callHelper(s *state, in bpf.Insn) error {
	to := x.callees[s.pc]
	if to.Keeps {
		return nil
	}
	f := s.top()
	args, ret := anyArgs, holds.AnyNumber() // of what is unknown, a stack address may be used
	c := call{}
	switch {
	case in.Src == bpf.PseudoKfunc && in.Op == bpf.OpCall:
		if _, typed := x.signature(to.Kfunc); typed && x.judges() {
			return x.kfuncPath(s, to)
		}
		args, ret = x.kfunc(to.Kfunc)
	case to.Known:
		if args = to.Args; to.Helper == bpf.HelperTailCall && !x.judges() {
			args = nil
		}
		c.helper, c.packet = to.Helper, to.Spec.Packet()
		if err := x.beforeHelper(s, to.Helper, &to.Spec); err != nil {
			return err
		}
	default:
		if err := shape.NoHelper(x.p, in); err != nil && x.strict {
			return err
		}
	}
	for i := range args {
		if x.strict && f.regs[i+1].Kind == holds.None && in.Src == 0 {
			return fmt.Errorf("argument r%d is not initialised", i+1)
		}
		if err := x.judgeArg(s, &c, args[i], i); err != nil {
			return err
		}
		if err := x.argument(s, args[i], i); err != nil {
			return err
		}
	}
	if c.helper != 0 {
		var err error
		if ret, err = x.afterHelper(s, &c, &to.Spec, args); err != nil {
			return err
		}
	}
	if !x.submitted && ret.IsPointer() {
		object := ret.Kind != holds.Map && ret.Kind != holds.MapValue
		if ret = holds.AnyNumber(); object {
			ret.Typed = handedOut(x.rules)
		}
	}
	if protos.Callbacks[to.Helper].Fn != 0 {
		if entered, err := x.callback(s, to.Helper); entered || err != nil {
			return err
		}
	}
	f.called()
	if f.set(0, ret); to.Next {
		x.advance(s, object{})
	}
	if c.helper == bpf.HelperTailCall && x.rules.TailReturn && len(s.frames) > 1 {
		x.fork(s, s.pc+1)
		s.loosePackets() // the callee of a tail call that is taken returns to this function's caller
		f.refer(0, &holds.Anything)
		_, err := x.exit(s)
		return err
	}
	return nil
}

// judgeArg judges an argument of a helper.
func (x *explorer) judgeArg(s *state, c *call, a protos.Arg, i int) error {
	if !x.judges() || c.helper == 0 {
		return nil
	}
	if err := x.fits(c, a, uint8(i+1), s.top().regs[i+1]); err != nil {
		return err
	}
	return x.noteArg(s, c, a, uint8(i+1))
}

// advance follows an iterator's next step: one more round, or the end, where the iterator has nothing more.
func (x *explorer) advance(s *state, it object) {
	if it.f == nil || it.at(0).Spill.Traits&holds.Drained == 0 {
		again := x.nextRound(s, s.pc+1)
		r0 := again.top().own(0)
		r0.OrNull, r0.Link = false, 0
	}
	if it.f != nil {
		v := *it.at(0).Spill
		v.Traits |= holds.Drained
		it.f.stack.own(it.slot).Spill = &v
	}
	s.top().refer(0, &holds.Zero)
}

// kfuncPath follows a call of a kernel function that is judged.
func (x *explorer) kfuncPath(s *state, to *shape.Callee) error {
	ret, it, err := x.callKfunc(s, to.Kfunc)
	if err != nil {
		return err
	}
	f := s.top()
	f.called()
	if f.set(0, ret); to.Next {
		x.advance(s, it)
	}
	return nil
}

// beforeHelper notes what a call of a helper is before its arguments are looked at.
func (x *explorer) beforeHelper(s *state, n int32, h *protos.Helper) error {
	f := s.top()
	if x.judges() {
		if err := x.mayCallHelper(s, n, h); err != nil {
			return err
		}
	}
	switch {
	case n == helperSetResult && x.rules.SetResults && x.judges():
		return x.setsResult(s)
	case n == bpf.HelperTailCall:
		if m := f.regs[2]; m.Kind == holds.Map && x.p.Maps[m.Map].Type != bpf.ProgArray {
			return fmt.Errorf("tail call through map %s, which is not a prog array (check_map_func_compatibility)", x.p.Maps[m.Map].Name)
		}
		return x.tailCall(s)
	case n == protos.HelperLoop:
		x.noteLoop(s)
	case n >= 1 && n <= 3 || n == 195:
		m := x.lookups[s.pc]
		if m == nil {
			m = &agreed.Map{}
			x.lookups[s.pc] = m
		}
		m.Note(mapOf(f.regs[1]))
	}
	return nil
}

// afterHelper does what a helper does to the path, and says what it returns.
func (x *explorer) afterHelper(s *state, c *call, h *protos.Helper, args []protos.Arg) (holds.Value, error) {
	f := s.top()
	ret := x.returned(s, c, h)
	if n := protos.Bounded[c.helper]; n > 0 {
		ret.Num.LimitResult(f.regs[n].Num.Smax, &x.rules.Ranges)
	}
	if x.judges() {
		if err := x.settle(s, c, &ret); err != nil {
			return ret, err
		}
		if err := x.makeDynptr(s, c, args); err != nil {
			return ret, err
		}
	}
	if x.submitted && (protos.MovingPacket[c.helper] || c.helper == bpf.HelperTailCall && x.judges() && x.spoils(s) || c.helper == helperDynptrWrite && c.dyn != nil && c.dyn.Traits&holds.OfSKB != 0) {
		s.loosePackets()
	}
	return ret, nil
}

// NoKfunc is the number of the helper that stands for a weak kernel function that does not exist.
const NoKfunc = shape.NoKfunc

// anyArgs are the arguments of a function that nothing is known of.
var anyArgs = protos.Arguments("r8r8r8r8r8")

// argument notes what a helper does to memory through argument i, counted from 0.
func (x *explorer) argument(s *state, a protos.Arg, i int) error {
	f := s.top()
	v := f.regs[i+1]
	if v.Kind != holds.Stack {
		return x.hand(s, a, i)
	}
	size := a.Size
	switch {
	case a.Is("dD") && x.judges(), a.Kind == '.': // useDynptr and madeDynptr have noted the one; nothing is known to read the other
		return nil
	case a.Is("dD"):
	case a.Is("kvVu"):
		if m := f.regs[1]; m.Kind == holds.Map {
			size = int(x.p.Maps[m.Map].KeySize)
			if a.Kind != 'k' {
				size = int(x.p.Maps[m.Map].ValueSize)
			}
			if size == 0 && x.judges() {
				return errNoKey
			}
		}
	case a.Sized():
		x.needs(s, uint8(i+2))
		if err := x.maySize(f.regs[i+2], uint8(i+2)); err != nil {
			return err
		}
		if n := f.regs[i+2]; n.Kind == holds.Number && n.Num.Umax <= maxStack {
			size = int(n.Num.Umax)
		}
	case !a.Is("rwx"): // what is done with it is not known
		x.reads(s, int(v.Frame), ^uint64(0))
		return nil
	}
	if a.Is("wx") && x.p.Insns[s.pc].Src == 0 {
		if err := x.aligned(v, 0, int64(size)); err != nil {
			return err
		}
	}
	lo, hi := stackRange(v, 0)
	g := &s.frames[v.Frame]
	if err := x.touch(g.fn, lo, hi+int64(size)); err != nil {
		return err
	}
	fromKernel := x.p.Insns[s.pc].Src != 0
	if !a.Writes() || fromKernel { // kernel functions read and write what they are handed (check_kfunc_mem_size_reg)
		x.reads(s, int(v.Frame), origin.Slots(lo, hi+int64(size)))
		if err := x.readsObject(g, lo, hi+int64(size), "indirect "); err != nil {
			return err
		}
	}
	if a.Writes() {
		if err := x.writesObject(s, g, lo, hi+int64(size), !fromKernel); err != nil {
			return err
		}
	}
	x.clobber(s, v, size, a.Stores())
	return nil
}

// errNoKey is about maps without keys or values: arenas, ring buffers, queues.
var errNoKey = errors.New("invalid zero-sized read: the map has no such keys or values")

// hand judges memory outside the stack that a helper is handed.
func (x *explorer) hand(s *state, a protos.Arg, i int) error {
	f := s.top()
	size := int64(a.Size)
	switch {
	case a.Is("kvVu"):
		m := f.regs[1]
		if m.Kind != holds.Map {
			return nil
		}
		if size = int64(x.p.Maps[m.Map].KeySize); a.Kind != 'k' {
			size = int64(x.p.Maps[m.Map].ValueSize)
		}
		if size == 0 && x.judges() {
			return errNoKey
		}
	case a.Sized():
		if i+2 > 5 {
			return nil
		}
		n := f.regs[i+2]
		x.needs(s, uint8(i+2))
		if err := x.maySize(n, uint8(i+2)); err != nil || n.Kind != holds.Number {
			return err
		}
		size = int64(min(n.Num.Umax, maxVarOff))
		if v := f.regs[i+1]; x.judges() && v.Null() && !n.Null() && a.Nullable() {
			return fmt.Errorf("r%d type=scalar expected=fp: null and a size that is not 0", i+1)
		}
	case !a.Is("rwx"):
		return nil
	}
	store := a.Stores() // what kernel functions get they may write (check_mem_reg)
	return x.mayHand(f.regs[i+1], uint8(i+1), size, store)
}

// clobber is an access by a helper to size bytes of stack. Before 6.13 the verifier took every
// access for a write.
func (x *explorer) clobber(s *state, v *holds.Value, size int, writes bool) {
	if x.rules.ReadOnlyArgs && !writes {
		return
	}
	lo, hi := stackRange(v, 0)
	s.frames[v.Frame].fillAny(lo, hi+int64(size))
}

// mapOf is the index of a map, -1 of something else.
func mapOf(v *holds.Value) int32 {
	if v.Kind != holds.Map {
		return -1
	}
	return v.Map
}

// spoils reports whether a tail call that is not taken makes addresses in the packet invalid.
func (x *explorer) spoils(s *state) bool {
	return len(s.frames) > 1 && !x.rules.TailReturn || len(s.frames) == 1 && !x.rules.PlainTails
}

// tailCall notes map and key of a tail call (record_func_map, record_func_key).
func (x *explorer) tailCall(s *state) error {
	f := s.top()
	x.needs(s, 3)
	c := x.calls[s.pc]
	if c == nil {
		c = &agreed.TailCall{}
		x.calls[s.pc] = c
	}
	var key *ranges.Scalar
	if k := f.regs[3]; k.Kind == holds.Number {
		key = &k.Num
	}
	m, entries := mapOf(f.regs[2]), uint32(0)
	if m >= 0 {
		entries = x.p.Maps[m].MaxEntries
	}
	c.Note(m, key, entries)
	switch {
	case !x.rules.TailReturn:
	case f.callback:
		return errors.New("a tail call directly in a callback (cannot tail call within callback)")
	}
	return nil
}
