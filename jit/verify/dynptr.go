// SPDX-License-Identifier: GPL-2.0-only

package verify

import (
	"errors"
	"fmt"

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
func (o object) at(i int) *slot {
	if k := o.slot - i; k < o.f.stack.n {
		return o.f.stack.at(k)
	}
	return nil
}

// objectAt finds the object of n slots that a value points at (stack_slot_obj_get_spi).
func (x *explorer) objectAt(s *state, v *value, what string, n int) (object, error) {
	switch at := v.off; {
	case !v.num.IsConst() || v.num.Umin != 0:
		return object{}, fmt.Errorf("%s has to be at a constant offset", what)
	case at%8 != 0 || at < -maxStack || at+int64(n)*8 > 0:
		return object{}, fmt.Errorf("cannot pass in %s at an offset=%d", what, at)
	default:
		return object{&s.frames[v.frame], int(v.frame), int((-at - 1) / 8), n}, nil
	}
}

// slot1 is the first slot, nil if there is none.
func (o object) slot1() *slot {
	if o.f == nil {
		return nil
	}
	return o.at(0)
}

// holds reports whether the slots are one object of a kind.
func (o object) holds(kind byteKind) bool {
	for i := range o.n {
		sl := o.at(i)
		if sl == nil || (sl.spill.traits&first != 0) != (i == 0) {
			return false
		}
		for _, b := range sl.bytes {
			if b != kind {
				return false
			}
		}
	}
	return true
}

// put makes the slots an object described by v.
func (x *explorer) put(s *state, o object, kind byteKind, v value) error {
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
		if part.traits &^= first; i == 0 {
			part.traits |= first
		} else {
			part.ref = 0
		}
		sl.spill = &part
		for b := range sl.bytes {
			sl.bytes[b] = kind
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
			*o.f.stack.own(o.slot - i) = noSlot
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
func (x *explorer) useDynptr(s *state, c *call, v *value, arg int) error {
	drops := c.drops || protos.Releasing[c.helper]
	if v.kind == kindDynptr {
		if drops {
			return errors.New("cannot release unowned const bpf_dynptr")
		}
		if err := unmoved(uint8(arg+1), v); err != nil {
			return err
		}
		c.dyn = v
		return nil
	}
	if v.kind != kindStack {
		return nil
	}
	o, err := x.objectAt(s, v, "dynptr", 2)
	if drops && (err != nil || o.at(0) == nil || o.at(0).spill.ref == 0 && !c.drops || o.at(0).bytes[0] != byteDynptr) {
		return fmt.Errorf("arg %d is an unacquired reference", arg+1)
	}
	if err != nil {
		return err
	}
	if !o.holds(byteDynptr) {
		return fmt.Errorf("expected an initialized dynptr as arg #%d", arg)
	}
	x.readObject(s, o)
	d := o.at(0).spill
	if drops && c.drops != (d.traits&ofFile != 0) {
		return fmt.Errorf("expected a dynptr of another type as r%d", arg+1)
	}
	if c.dyn = d; drops {
		x.dropDynptr(s, o)
	}
	return nil
}

// dropDynptr gives a dynptr back, and with it its clones and the memory got from them (unmark_stack_slots_dynptr).
func (x *explorer) dropDynptr(s *state, o object) {
	id := o.at(0).spill.ref
	s.forgetRef(id)
	for i := range s.frames {
		f := &s.frames[i]
		for j := f.stack.n - 1; j >= 0; j-- {
			if sl := f.stack.at(j); sl.bytes[0] == byteDynptr && sl.spill.traits&first != 0 && sl.spill.ref == id {
				s.forgetDynptr(f, j)
			}
		}
	}
	s.invalidate(func(v *value) bool { return v.ref == id })
}

// forgetDynptr makes the two slots of a dynptr unwritten and numbers of the memory got from it (invalidate_dynptr).
func (s *state) forgetDynptr(f *frameState, first int) {
	dyn := f.stack.at(first).spill.dyn
	object{f: f, slot: first, n: 2}.clear()
	s.invalidate(func(v *value) bool { return v.dyn == dyn && dyn != 0 })
}

// makesDynptr refuses a place where no dynptr can be made; what is made there, madeDynptr says.
func (x *explorer) makesDynptr(s *state, v *value, arg int) error {
	switch {
	case v.kind == kindDynptr:
		return errors.New("dynptr has to be an uninitialized dynptr")
	case v.kind != kindStack:
		return nil
	}
	_, err := x.objectAt(s, v, "dynptr", 2)
	return err
}

// madeDynptr makes a dynptr where v points (mark_stack_slots_dynptr); from describes it.
func (x *explorer) madeDynptr(s *state, v *value, from value) error {
	if v.kind != kindStack {
		return nil
	}
	o, err := x.objectAt(s, v, "dynptr", 2)
	if err != nil {
		return err
	}
	from.kind, from.dyn = kindDynptr, x.newLink()
	return x.put(s, o, byteDynptr, from)
}

// makeDynptr makes the dynptr that a helper makes.
func (x *explorer) makeDynptr(s *state, c *call, args []protos.Arg) error {
	for i, a := range args {
		if a.Kind != 'D' {
			continue
		}
		d := value{}
		if c.helper == helperReserveDynptr {
			d.ref = x.acquire(s)
		}
		return x.madeDynptr(s, s.top().regs[i+1], d)
	}
	return nil
}

// writesObject is a write of a helper to the bytes from and below to, which does not go through the checks that stores do
// (check_stack_range_initialized in raw mode); of a kernel function it does.
func (x *explorer) writesObject(s *state, f *frameState, from, to int64, raw bool) error {
	for at := max(from, -maxStack); raw && x.judges() && at < min(to, 0); at = at&^7 + 8 {
		if sl := f.slotOf(at); sl != nil && sl.bytes[byteOf(at)] == byteDynptr {
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
		if i >= f.stack.n || f.stack.at(i).bytes[byteOf(at)] < byteDynptr { // as all of its bytes
			continue
		}
		sl := f.stack.at(i)
		if sl.bytes[byteOf(at)] != byteDynptr {
			sl = f.stack.own(i)
			for b := range sl.bytes {
				sl.bytes[b] = byteMisc
			}
			sl.spill = &nothing
			continue
		}
		head := i
		if sl.spill.traits&first == 0 {
			head++
		}
		if ref := f.stack.at(head).spill.ref; x.judges() && ref != 0 && !(x.rules.SpareClones && s.dynptrsOf(ref) > 1) {
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
			if sl := s.frames[i].stack.at(j); sl.bytes[0] == byteDynptr && sl.spill.traits&first != 0 && sl.spill.ref == ref {
				n++
			}
		}
	}
	return n
}

// readsObject refuses to read bytes of a dynptr or an iterator.
func (x *explorer) readsObject(f *frameState, from, to int64, how string) error {
	for at := max(from, -maxStack); x.judges() && at < min(to, 0); at = at&^7 + 8 {
		if sl := f.slotOf(at); sl != nil && sl.bytes[byteOf(at)] >= byteDynptr { // as all of its bytes
			return fmt.Errorf("invalid %sread from stack off %d+%d size %d", how, from, at-from, to-from)
		}
	}
	return nil
}

// Iterators.

// iterArg is the iterator that a kernel function is handed.
func (x *explorer) iterArg(s *state, c *call, v *value, k *kfuncCall) error {
	if v.kind != kindStack {
		if v.loose() {
			return nil
		}
		return fmt.Errorf("r1 type=%s expected=fp", v.word())
	}
	o, err := x.objectAt(s, v, "iter_"+k.iterKind, int(k.iterSize+7)/8)
	if err != nil {
		return err
	}
	if k.iterates == protos.IterNew {
		for i := range o.n {
			if sl := o.at(i); sl != nil && sl.bytes[0] == byteIter {
				return fmt.Errorf("expected uninitialized iter_%s as arg #0", k.iterKind)
			}
		}
		it := value{kind: kindIter, ref: x.acquire(s), mapIdx: int32(x.iterKindOf(k.iterKind))}
		if k.spec.RCUProtected() {
			if it.traits = protected; !x.inRCU(s) {
				it.traits = unguarded
			}
		}
		return x.put(s, o, byteIter, it)
	}
	if !o.holds(byteIter) || o.at(0).spill.mapIdx != int32(x.iterKindOf(k.iterKind)) || o.at(0).spill.ref == 0 {
		return fmt.Errorf("expected an initialized iter_%s as arg #%d", k.iterKind, k.iterArg)
	}
	if o.at(0).spill.traits&unguarded != 0 {
		return fmt.Errorf("expected an RCU CS when using %s", k.name)
	}
	x.readObject(s, o)
	if k.iterates == protos.IterDestroy {
		err := s.release(o.at(0).spill.ref)
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
