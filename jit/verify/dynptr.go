// SPDX-License-Identifier: GPL-2.0-only

package verify

import (
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/jit/verify/holds"
	"github.com/tcsim/tcsim/jit/verify/protos"
)

// Objects that programs hold on their stack and only helpers and kernel functions touch: dynptrs, of two slots, and
// iterators (process_dynptr_func, process_iter_arg).

// object is where one is: its first slot is that with the lowest address, at index slot of the frame's stack.
type object struct {
	f    *frameState
	fn   int // index of the frame
	slot int
	n    int // how many slots
}

// at returns the i-th slot to be looked at, nil if the function's stack does not reach that far.
func (o object) at(i int) *holds.Slot {
	if k := o.slot - i; k < o.f.stack.n {
		return o.f.stack.at(k)
	}
	return nil
}

// objectAt finds the object of n slots that a value points at (stack_slot_obj_get_spi).
func (x *explorer) objectAt(s *state, v *holds.Value, what string, n int) (object, error) {
	switch at := v.Off; {
	case !v.Num.IsConst() || v.Num.Umin != 0:
		return object{}, fmt.Errorf("%s has to be at a constant offset", what)
	case at%8 != 0 || at < -maxStack || at+int64(n)*8 > 0:
		return object{}, fmt.Errorf("cannot pass in %s at an offset=%d", what, at)
	default:
		return object{&s.frames[v.Frame], int(v.Frame), int((-at - 1) / 8), n}, nil
	}
}

// slot1 is the first slot, nil if there is none.
func (o object) slot1() *holds.Slot {
	if o.f == nil {
		return nil
	}
	return o.at(0)
}

// holds reports whether the slots are one object of a kind.
func (o object) holds(kind holds.Byte) bool {
	for i := range o.n {
		sl := o.at(i)
		if sl == nil || (sl.Spill.Traits&holds.First != 0) != (i == 0) {
			return false
		}
		for _, b := range sl.Bytes {
			if b != kind {
				return false
			}
		}
	}
	return true
}

// put makes the slots an object described by v.
func (x *explorer) put(s *state, o object, kind holds.Byte, v holds.Value) error {
	lo := -int64(o.slot+1) * 8
	if err := x.touch(o.f.fn, lo, lo+int64(o.n)*8); err != nil {
		return err
	}
	if err := x.overwriteObjects(s, o.f, lo, lo+int64(o.n)*8); err != nil {
		return err
	}
	for i := range o.n {
		sl := o.f.ownSlot(lo + int64(i)*8)
		part := v
		if part.Traits &^= holds.First; i == 0 {
			part.Traits |= holds.First
		} else {
			part.Ref = 0
		}
		sl.Spill = &part
		for b := range sl.Bytes {
			sl.Bytes[b] = kind
		}
		o.f.written |= 1 << (o.slot - i)
		o.f.call.Write(o.fn, 1<<(o.slot-i))
	}
	return nil
}

// clear makes the slots unwritten.
func (o object) clear() {
	for i := range o.n {
		if o.at(i) != nil {
			*o.f.stack.own(o.slot - i) = holds.NoSlot
			o.f.written |= 1 << (o.slot - i)
			o.f.call.Write(o.fn, 1<<(o.slot-i))
		}
	}
}

// read notes that the object is read (mark_dynptr_read, mark_iter_read).
func (x *explorer) readObject(s *state, o object) {
	for i := range o.n {
		x.reads(s, o.fn, 1<<(o.slot-i))
	}
}

// useDynptr is a dynptr that a helper uses.
func (x *explorer) useDynptr(s *state, c *call, v *holds.Value, arg int) error {
	drops := c.drops || protos.Releasing[c.helper]
	if v.Kind == holds.Dynptr {
		if drops {
			return errors.New("cannot release unowned const bpf_dynptr")
		}
		if err := holds.Unmoved(uint8(arg+1), v); err != nil {
			return err
		}
		c.dyn = v
		return nil
	}
	if v.Kind != holds.Stack {
		return nil
	}
	o, err := x.objectAt(s, v, "dynptr", 2)
	if drops && (err != nil || o.at(0) == nil || o.at(0).Spill.Ref == 0 && !c.drops || o.at(0).Bytes[0] != holds.ByteDynptr) {
		return fmt.Errorf("arg %d is an unacquired reference", arg+1)
	}
	if err != nil {
		return err
	}
	if !o.holds(holds.ByteDynptr) {
		return fmt.Errorf("expected an initialized dynptr as arg #%d", arg)
	}
	x.readObject(s, o)
	d := o.at(0).Spill
	if drops && c.drops != (d.Traits&holds.OfFile != 0) {
		return fmt.Errorf("expected a dynptr of another type as r%d", arg+1)
	}
	if c.dyn = d; drops {
		x.dropDynptr(s, o)
	}
	return nil
}

// dropDynptr gives a dynptr back, and with it its clones and the memory got from them (unmark_stack_slots_dynptr).
func (x *explorer) dropDynptr(s *state, o object) {
	id := o.at(0).Spill.Ref
	s.forgetRef(id)
	for i := range s.frames {
		f := &s.frames[i]
		for j := f.stack.n - 1; j >= 0; j-- {
			if sl := f.stack.at(j); sl.Bytes[0] == holds.ByteDynptr && sl.Spill.Traits&holds.First != 0 && sl.Spill.Ref == id {
				s.forgetDynptr(f, j)
			}
		}
	}
	s.invalidate(func(v *holds.Value) bool { return v.Ref == id })
}

// forgetDynptr makes the two slots of a dynptr unwritten and numbers of the memory got from it (invalidate_dynptr).
func (s *state) forgetDynptr(f *frameState, first int) {
	dyn := f.stack.at(first).Spill.Dyn
	object{f: f, slot: first, n: 2}.clear()
	s.invalidate(func(v *holds.Value) bool { return v.Dyn == dyn && dyn != 0 })
}

// makesDynptr refuses a place where no dynptr can be made; what is made there, madeDynptr says.
func (x *explorer) makesDynptr(s *state, v *holds.Value, arg int) error {
	switch {
	case v.Kind == holds.Dynptr:
		return errors.New("dynptr has to be an uninitialized dynptr")
	case v.Kind != holds.Stack:
		return nil
	}
	_, err := x.objectAt(s, v, "dynptr", 2)
	return err
}

// madeDynptr makes a dynptr where v points (mark_stack_slots_dynptr); from describes it.
func (x *explorer) madeDynptr(s *state, v *holds.Value, from holds.Value) error {
	if v.Kind != holds.Stack {
		return nil
	}
	o, err := x.objectAt(s, v, "dynptr", 2)
	if err != nil {
		return err
	}
	from.Kind, from.Dyn = holds.Dynptr, x.newLink()
	return x.put(s, o, holds.ByteDynptr, from)
}

// makeDynptr makes the dynptr that a helper makes.
func (x *explorer) makeDynptr(s *state, c *call, args []protos.Arg) error {
	for i, a := range args {
		if a.Kind != 'D' {
			continue
		}
		d := holds.Value{}
		if c.helper == helperReserveDynptr {
			d.Ref = x.acquire(s)
		}
		return x.madeDynptr(s, s.top().regs[i+1], d)
	}
	return nil
}

// writesObject is a write of a helper to the bytes from and below to, which does not go through the checks that stores do
// (check_stack_range_initialized in raw mode); of a kernel function it does.
func (x *explorer) writesObject(s *state, f *frameState, from, to int64, raw bool) error {
	for at := max(from, -maxStack); raw && x.judges() && at < min(to, 0); at = at&^7 + 8 {
		if sl := f.slotOf(at); sl != nil && sl.Bytes[holds.ByteOf(at)] == holds.ByteDynptr {
			return fmt.Errorf("potential write to dynptr at off=%d disallowed", at)
		}
	}
	return x.overwriteObjects(s, f, from, to)
}

// overwriteObjects refuses to overwrite a dynptr that holds a reference, and makes others unwritten that stores to the
// bytes from and below to touch (destroy_if_dynptr_stack_slot).
func (x *explorer) overwriteObjects(s *state, f *frameState, from, to int64) error {
	for at := max(from, -maxStack); at < min(to, 0); at = at&^7 + 8 {
		i := int((-at - 1) / 8)
		if i >= f.stack.n || f.stack.at(i).Bytes[holds.ByteOf(at)] < holds.ByteDynptr { // as all of its bytes
			continue
		}
		sl := f.stack.at(i)
		if sl.Bytes[holds.ByteOf(at)] != holds.ByteDynptr {
			sl = f.stack.own(i)
			for b := range sl.Bytes {
				sl.Bytes[b] = holds.ByteMisc
			}
			sl.Spill = &holds.Unwritten
			continue
		}
		head := i
		if sl.Spill.Traits&holds.First == 0 {
			head++
		}
		if ref := f.stack.at(head).Spill.Ref; x.judges() && ref != 0 && !(x.rules.SpareClones && s.dynptrsOf(ref) > 1) {
			return errors.New("cannot overwrite referenced dynptr")
		}
		s.forgetDynptr(f, head)
	}
	return nil
}

// dynptrsOf counts the dynptrs that hold a reference (dynptr_ref_cnt).
func (s *state) dynptrsOf(ref uint32) (n int) {
	for i := range s.frames {
		for j := range s.frames[i].stack.n {
			if sl := s.frames[i].stack.at(j); sl.Bytes[0] == holds.ByteDynptr && sl.Spill.Traits&holds.First != 0 && sl.Spill.Ref == ref {
				n++
			}
		}
	}
	return n
}

// readsObject refuses to read bytes of a dynptr or an iterator.
func (x *explorer) readsObject(f *frameState, from, to int64, how string) error {
	for at := max(from, -maxStack); x.judges() && at < min(to, 0); at = at&^7 + 8 {
		if sl := f.slotOf(at); sl != nil && sl.Bytes[holds.ByteOf(at)] >= holds.ByteDynptr { // as all of its bytes
			return fmt.Errorf("invalid %sread from stack off %d+%d size %d", how, from, at-from, to-from)
		}
	}
	return nil
}

// Iterators.

// iterArg is the iterator that a kernel function is handed.
func (x *explorer) iterArg(s *state, c *call, v *holds.Value, k *kfuncCall) error {
	if v.Kind != holds.Stack {
		if v.Loose() {
			return nil
		}
		return fmt.Errorf("r1 type=%s expected=fp", v.Word())
	}
	o, err := x.objectAt(s, v, "iter_"+k.iterKind, int(k.iterSize+7)/8)
	if err != nil {
		return err
	}
	if k.iterates == protos.IterNew {
		for i := range o.n {
			if sl := o.at(i); sl != nil && sl.Bytes[0] == holds.ByteIter {
				return fmt.Errorf("expected uninitialized iter_%s as arg #0", k.iterKind)
			}
		}
		it := holds.Value{Kind: holds.Iter, Ref: x.acquire(s), Map: int32(x.iterKindOf(k.iterKind))}
		if k.spec.RCUProtected() {
			if it.Traits = holds.Protected; !x.inRCU(s) {
				it.Traits = holds.Unguarded
			}
		}
		return x.put(s, o, holds.ByteIter, it)
	}
	if !o.holds(holds.ByteIter) || o.at(0).Spill.Map != int32(x.iterKindOf(k.iterKind)) || o.at(0).Spill.Ref == 0 {
		return fmt.Errorf("expected an initialized iter_%s as arg #%d", k.iterKind, k.iterArg)
	}
	if o.at(0).Spill.Traits&holds.Unguarded != 0 {
		return fmt.Errorf("expected an RCU CS when using %s", k.name)
	}
	x.readObject(s, o)
	if k.iterates == protos.IterDestroy {
		err := s.release(o.at(0).Spill.Ref)
		o.clear()
		return err
	}
	c.iter = o
	return nil
}

// iterKindOf numbers the kinds of iterators.
func (x *explorer) iterKindOf(kind string) int {
	for i, k := range x.iterKinds {
		if k == kind {
			return i
		}
	}
	x.iterKinds = append(x.iterKinds, kind)
	return len(x.iterKinds) - 1
}
