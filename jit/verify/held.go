// SPDX-License-Identifier: GPL-2.0-only

package verify

import (
	"errors"
	"fmt"
	"slices"

	"github.com/tcsim/tcsim/jit/bpf"
)

// held is what a path has to give back before it ends: references, a lock, RCU, preemption.
type held struct {
	refs []reference // never changed in place: states share it
	lock lock
	rcu  bool
	// sleeps says that the path is in a callback that may sleep, of a program that may not.
	sleeps bool
	// preempt counts bpf_preempt_disable.
	preempt int
}

// reference is one that a helper or kernel function at a slot gave out (struct bpf_reference_state).
type reference struct {
	id       uint32
	at       bpf.InsnIndex
	callback int // the frame of the callback that acquired it, 0 if none did
}

// lock is the spin lock that is held: that of a value of map mapIdx-1, which link tells apart. The zero value is none.
type lock struct {
	mapIdx int32
	link   uint32
}

// ofObject is lock.mapIdx of the lock of an allocated object.
const ofObject = -1

// held compares what two states hold (refsafe).
func (c *comparison) held(a, b *held) bool {
	if len(a.refs) != len(b.refs) || a.rcu != b.rcu || a.sleeps != b.sleeps || a.preempt != b.preempt || a.lock.mapIdx != b.lock.mapIdx {
		return false
	}
	for i := range a.refs {
		if a.refs[i].callback != b.refs[i].callback || !c.links.pair(a.refs[i].id, b.refs[i].id) {
			return false
		}
	}
	return c.links.same(a.lock.link, b.lock.link)
}

// maySleep reports whether functions may be called that sleep (in_sleepable).
func (x *explorer) maySleep(s *state) bool {
	return x.p.Sleepable || s.held.sleeps || x.p.Type == bpf.Syscall || x.p.Type == bpf.Extension
}

// acquire notes a new reference (acquire_reference_state).
func (x *explorer) acquire(s *state) uint32 {
	r := reference{id: x.newLink(), at: s.pc}
	if s.top().callback {
		r.callback = len(s.frames) - 1
	}
	s.held.refs = append(slices.Clip(s.held.refs), r)
	return r.id
}

// forgetRef takes a reference from those that are held; ok is false if it is not among them, or is the caller's in a
// callback (release_reference_state).
func (s *state) forgetRef(id uint32) (ok bool) {
	i := slices.IndexFunc(s.held.refs, func(r reference) bool { return r.id == id })
	if i < 0 || s.top().callback && s.held.refs[i].callback != len(s.frames)-1 {
		return false
	}
	s.held.refs = slices.Delete(slices.Clone(s.held.refs), i, i+1)
	return true
}

// release gives a reference back: whatever belongs to it is a number from now on (release_reference).
func (s *state) release(id uint32) error {
	if !s.forgetRef(id) {
		return errors.New("reference has not been acquired before")
	}
	s.invalidate(func(v *value) bool { return v.ref == id })
	return nil
}

// invalidate makes numbers of values (mark_reg_invalid).
func (s *state) invalidate(which func(*value) bool) {
	s.everyValue(func(v *value) {
		if v.kind != kindNumber && v.kind != kindNone && which(v) {
			*v = unknownNumber()
		}
	})
}

// leaks refuses to end a function while references are held that nothing gives back; always counts those of
// callers, too (check_reference_leak).
func (x *explorer) leaks(s *state, always bool) error {
	f := s.top()
	if !x.judges() || !always && len(s.frames) > 1 && !f.callback {
		return nil
	}
	for _, r := range s.held.refs {
		if always || !f.callback || r.callback == len(s.frames)-1 {
			return fmt.Errorf("the reference that insn %d acquired is not released (Unreleased reference)", r.at)
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
		if err := s.held.busy("exit"); err != nil {
			return err
		}
	}
	return x.leaks(s, exception)
}

// busy refuses what is not done while a lock is held, in an RCU section or without preemption.
func (h *held) busy(what string) error {
	switch {
	case h.lock.mapIdx != 0:
		return fmt.Errorf("%s while a lock is held (bpf_spin_unlock is missing)", what)
	case h.rcu:
		return fmt.Errorf("%s within an RCU section (bpf_rcu_read_unlock is missing)", what)
	case h.preempt != 0:
		return fmt.Errorf("%s without preemption (%d bpf_preempt_enable missing)", what, h.preempt)
	}
	return nil
}

// spinLock is bpf_spin_lock and bpf_spin_unlock of what register 1 points at (process_spin_lock).
func (x *explorer) spinLock(s *state, take bool) error {
	v := &s.top().regs[1]
	if v.loose() { // of an allocated object
		switch {
		case take && s.held.lock.mapIdx != 0:
			return errors.New("locking two bpf_spin_locks is not allowed")
		case take:
			s.held.lock.mapIdx = ofObject
		case s.held.lock.mapIdx == 0:
			return errors.New("bpf_spin_unlock without taking a lock")
		default:
			s.unlock()
		}
		return nil
	}
	if v.kind != kindMapValue || v.orNull {
		return fmt.Errorf("r1 type=%s expected=map_value", v.word())
	}
	if !v.num.IsConst() {
		return errors.New("r1 doesn't have constant offset. bpf_spin_lock has to be at the constant offset")
	}
	m := &x.p.Maps[v.mapIdx]
	if m.Special == nil {
		return nil
	}
	at := v.off + int64(v.num.Umin)
	switch off, ok := m.Special.Find(bpf.SpecialLock); {
	case !ok:
		return fmt.Errorf("map '%s' has no valid bpf_spin_lock", m.Name)
	case off != at:
		return fmt.Errorf("off %d doesn't point to 'struct bpf_spin_lock' that is at %d", at, off)
	}
	l := lock{v.mapIdx + 1, v.link}
	switch {
	case take && s.held.lock.mapIdx != 0:
		return errors.New("locking two bpf_spin_locks is not allowed")
	case take:
		s.held.lock = l
	case s.held.lock.mapIdx == 0:
		return errors.New("bpf_spin_unlock without taking a lock")
	case s.held.lock != l:
		return errors.New("bpf_spin_unlock of different lock")
	default:
		s.unlock()
	}
	return nil
}

// unlock ends the region of a lock, and with it the use of what lists and trees own (invalidate_non_owning_refs).
func (s *state) unlock() {
	s.held.lock = lock{}
	s.invalidate(func(v *value) bool { return v.traits&borrowed != 0 })
}
