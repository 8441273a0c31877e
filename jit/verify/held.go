// SPDX-License-Identifier: GPL-2.0-only

package verify

import (
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/verify/holds"
	"github.com/tcsim/tcsim/jit/verify/parts"
	"github.com/tcsim/tcsim/jit/verify/protos"
	"github.com/tcsim/tcsim/jit/verify/rights"
)

// maySleep reports whether functions may be called that sleep (in_sleepable).
func (x *explorer) maySleep(s *state) bool {
	if s.held.Later && x.rules.OwnSleep {
		return s.held.Sleeps
	}
	return x.p.Sleepable || s.held.Sleeps || x.p.Type == bpf.Syscall || x.p.Type == bpf.Extension
}

// inRCU reports whether what RCU protects stays there (in_rcu_cs).
func (x *explorer) inRCU(s *state) bool { return s.held.Atomic() || !x.maySleep(s) }

// acquire notes a new reference (acquire_reference_state).
func (x *explorer) acquire(s *state) uint32 {
	id := x.newLink()
	s.held.Take(rights.Ref{ID: id, At: s.pc, Callback: s.inCallback()})
	return id
}

// inCallback is the frame of the callback at hand; 0 means that there is none.
func (s *state) inCallback() int {
	if s.top().callback {
		return len(s.frames) - 1
	}
	return 0
}

// forgetRef takes a reference from those that are held; ok is false if it is not among them, or is the caller's in a
// callback.
func (s *state) forgetRef(id uint32) (ok bool) { return s.held.Forget(id, s.inCallback()) }

// release gives a reference back: whatever belongs to it is a number from now on (release_reference).
func (s *state) release(id uint32) error {
	if !s.forgetRef(id) {
		return errors.New("reference has not been acquired before")
	}
	s.invalidate(func(v *holds.Value) bool { return v.Ref == id })
	return nil
}

// invalidate makes numbers of values (mark_reg_invalid).
func (s *state) invalidate(which func(*holds.Value) bool) {
	s.change(func(v *holds.Value) bool { return v.Kind != holds.Number && v.Kind != holds.None && which(v) }, func(v *holds.Value) { *v = holds.AnyNumber() })
}

// leaks refuses to end a function while references are held that nothing gives back; always counts those of
// callers, too (check_reference_leak).
func (x *explorer) leaks(s *state, always bool) error {
	f := s.top()
	if !x.judges() || !always && len(s.frames) > 1 && !f.callback {
		return nil
	}
	for _, r := range s.held.Refs {
		if r.Kind == rights.Object && (always || !f.callback || r.Callback == len(s.frames)-1) {
			return fmt.Errorf("the reference that insn %d acquired is not released (Unreleased reference)", r.At)
		}
	}
	return nil
}

// mayEnd refuses the end of a program while something is held (do_check, at BPF_EXIT).
func (x *explorer) mayEnd(s *state, exception bool) error {
	if !x.judges() {
		return nil
	}
	if len(s.frames) == 1 || exception {
		if err := s.held.Busy("exit"); err != nil {
			return err
		}
	}
	return x.leaks(s, exception)
}

// lock takes or gives back the lock that a register points at (process_spin_lock).
func (x *explorer) lock(s *state, reg uint8, kind rights.Kind, take bool) error {
	v := s.top().regs[reg]
	r := holds.LockOf(v)
	if r.Kind, r.At = kind, s.pc; x.ordering(s) {
		return errors.New("can't spin_{lock,unlock} in rbtree cb")
	}
	if err := x.hasLock(v, reg, kind); err != nil {
		return err
	}
	if take {
		return s.held.Lock(r)
	}
	if err := s.held.Unlock(r); err != nil {
		return err
	}
	s.invalidate(func(v *holds.Value) bool { return v.Traits&holds.Borrowed != 0 }) // invalidate_non_owning_refs
	x.leaveRCU(s, false)
	return nil
}

// hasLock refuses the address of what is no lock in a map's value.
func (x *explorer) hasLock(v *holds.Value, reg uint8, kind rights.Kind) error {
	special := bpf.SpecialLock
	if kind != rights.Lock {
		special = bpf.SpecialResLock
	}
	switch known, whose := x.specialOf(v); {
	case v.Loose() && v.Kind != holds.Own:
		return nil
	case v.Kind != holds.MapValue && v.Kind != holds.Own || v.OrNull:
		return fmt.Errorf("r%d type=%s expected=map_value", reg, v.Word())
	case !v.Num.IsConst():
		return fmt.Errorf("r%d doesn't have constant offset. A lock has to be at the constant offset", reg)
	case known == nil:
		return nil
	default:
		return parts.Lock(known, whose, special, v.Off+int64(v.Num.Umin))
	}
}

// leaveRCU takes from objects the protection that has ended, if it has or for certain (invalidate_rcu_protected_refs).
func (x *explorer) leaveRCU(s *state, certain bool) {
	if !certain && (x.inRCU(s) || !x.rules.NestedRCU) {
		return
	}
	guarded := func(v *holds.Value) bool { return v.Traits&holds.Protected != 0 }
	loses := func(v *holds.Value) {
		v.Traits = v.Traits&^holds.Protected | holds.Unguarded
		if v.OrNull = false; x.rules.LostObjects {
			v.Traits &^= holds.Borrowed
		}
	}
	s.change(guarded, loses)
	for i := range s.frames {
		s.frames[i].changeSlots(holds.ByteIter, guarded, loses)
	}
}

// interrupts turns interrupts off, and notes in a slot of the stack how they were, or on again (process_irq_flag).
func (x *explorer) interrupts(s *state, v *holds.Value, arg int, does protos.Does) error {
	if v.Kind != holds.Stack {
		return fmt.Errorf("arg#%d doesn't point to an irq flag on stack", arg)
	}
	family := int32(0)
	if does == protos.TakeQuietLock || does == protos.GiveQuietLock {
		family = 1
	}
	o, err := x.objectAt(s, v, "an irq flag", 1)
	sl := o.slot1()
	if does == protos.SaveInterrupts || does == protos.TakeQuietLock {
		if err != nil || sl != nil && sl.Bytes[0] == holds.ByteFlags {
			return fmt.Errorf("expected uninitialized irq flag as arg#%d", arg)
		}
		id := x.newLink()
		s.held.Take(rights.Ref{Kind: rights.Interrupts, ID: id, At: s.pc})
		return x.put(s, o, holds.ByteFlags, holds.Value{Kind: holds.Iter, Ref: id, Map: family})
	}
	if err != nil || !o.holds(holds.ByteFlags) {
		return fmt.Errorf("expected an initialized irq flag as arg#%d", arg)
	}
	if sl.Spill.Map != family {
		return errors.New("irq flag acquired by other kernel functions: those of locks and of interrupts cannot be mixed")
	}
	if err := s.held.Restore(sl.Spill.Ref); err != nil {
		return err
	}
	o.clear()
	if x.rules.QuietEnds {
		x.leaveRCU(s, false)
	}
	return nil
}

// section begins and ends RCU sections and those without preemption.
func (x *explorer) section(s *state, k *kfuncCall) error {
	switch k.does {
	case protos.RCULock:
		if s.held.RCU > 0 && !x.rules.NestedRCU {
			return fmt.Errorf("nested rcu read lock (kernel function %s)", k.name)
		}
		s.held.RCU++
	case protos.RCUUnlock:
		if s.held.RCU == 0 {
			return fmt.Errorf("unmatched rcu read unlock (kernel function %s)", k.name)
		}
		s.held.RCU--
		x.leaveRCU(s, !x.rules.NestedRCU)
	case protos.PreemptOff:
		s.held.Preempt++
	case protos.PreemptOn:
		if s.held.Preempt == 0 {
			return fmt.Errorf("unmatched attempt to enable preemption (kernel function %s)", k.name)
		}
		s.held.Preempt--
		if x.rules.QuietEnds {
			x.leaveRCU(s, false)
		}
	}
	return nil
}

// lockFails follows the path on which a lock is not had: the result is an error, and nothing is taken.
func (x *explorer) lockFails(s *state) {
	failed := x.fork(s, s.pc+1)
	failed.top().called()
	e := holds.AnyNumber()
	e.Num.LimitResult(-1, &x.rules.Ranges)
	failed.top().set(0, e)
}

// giveAway is what becomes of an object that a list or a tree owns (ref_convert_owning_non_owning).
func (s *state) giveAway(ref uint32) {
	if ref == 0 || !s.forgetRef(ref) {
		return
	}
	s.change(func(v *holds.Value) bool { return v.Ref == ref }, func(v *holds.Value) {
		v.Ref = 0
		v.Traits |= holds.Borrowed
	})
}
