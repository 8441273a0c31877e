// SPDX-License-Identifier: GPL-2.0-only

package rights

import (
	"errors"
	"fmt"
	"slices"

	"github.com/tcsim/tcsim/jit/bpf"
)

// Kind says what is given back.
type Kind uint8

// The kinds. All but the first two came with Linux 6.14 and 6.15.
const (
	Object     Kind = iota // a reference that a helper or kernel function gave out
	Lock                   // bpf_spin_lock
	ResLock                // bpf_res_spin_lock, which may fail
	ResLockIRQ             // the same with interrupts off
	Interrupts             // that are off
)

// locks reports whether the kind is a lock.
func (k Kind) locks() bool { return k == Lock || k == ResLock || k == ResLockIRQ }

// Ref is one right that the instruction at a slot acquired.
type Ref struct {
	Kind Kind
	ID   uint32 // of a lock 0 if the memory that holds it is the only one of its kind
	// Owner tells memory with locks apart: the map that it is a value of, by index plus one, or -1 for an object that the
	// program allocated.
	Owner    int32
	At       bpf.InsnIndex
	Callback int // the frame of the callback that acquired it, 0 if none did
}

// Held is what a path holds. The zero value is nothing.
type Held struct {
	Refs []Ref // in the order in which they were acquired; never changed in place: states share it
	// RCU and Preempt count sections that have begun.
	RCU, Preempt int
	// Sleeps says that the path is in a callback that may sleep, of a program that may not.
	Sleeps bool
	// Later says that the path is in a function that runs later.
	Later bool
}

// Take adds a right.
func (h *Held) Take(r Ref) { h.Refs = append(slices.Clip(h.Refs), r) }

// Forget takes the reference of an object from those that are held. It reports whether it was among them and acquired in
// the callback at hand, if that is not 0 (release_reference_state).
func (h *Held) Forget(id uint32, callback int) bool {
	i := slices.IndexFunc(h.Refs, func(r Ref) bool { return r.Kind == Object && r.ID == id })
	if i < 0 || callback != 0 && h.Refs[i].Callback != callback {
		return false
	}
	h.drop(i)
	return true
}

func (h *Held) drop(i int) { h.Refs = slices.Delete(slices.Clone(h.Refs), i, i+1) }

// Locked reports whether a lock is held.
func (h *Held) Locked() bool { return h.lastLock() >= 0 }

func (h *Held) lastLock() int {
	for i := len(h.Refs) - 1; i >= 0; i-- {
		if h.Refs[i].Kind.locks() {
			return i
		}
	}
	return -1
}

// Guards reports whether the lock of some memory is held (check_reg_allocation_locked).
func (h *Held) Guards(owner int32, id uint32) bool {
	return slices.ContainsFunc(h.Refs, func(r Ref) bool { return r.Kind.locks() && r.Owner == owner && r.ID == id })
}

// Quiet reports whether interrupts are off.
func (h *Held) Quiet() bool {
	return slices.ContainsFunc(h.Refs, func(r Ref) bool { return r.Kind == Interrupts })
}

// Atomic reports whether the path is where nothing may sleep.
func (h *Held) Atomic() bool { return h.RCU > 0 || h.Preempt > 0 || h.Locked() || h.Quiet() }

// Lock takes a lock. One bpf_spin_lock is held at a time; others are not taken twice (process_spin_lock).
func (h *Held) Lock(r Ref) error {
	for _, o := range h.Refs {
		switch {
		case r.Kind == Lock && o.Kind == Lock:
			return errors.New("locking two bpf_spin_locks is not allowed")
		case r.Kind != Lock && (o.Kind == ResLock || o.Kind == ResLockIRQ) && o.Owner == r.Owner && o.ID == r.ID:
			return errors.New("acquiring the same lock again, AA deadlock detected")
		}
	}
	h.Take(r)
	return nil
}

// Unlock gives back the lock that was taken last.
func (h *Held) Unlock(r Ref) error {
	name := "bpf_spin"
	if r.Kind != Lock {
		name = "bpf_res_spin"
	}
	last := h.lastLock()
	i := slices.IndexFunc(h.Refs, func(o Ref) bool { return o.Kind == r.Kind && o.Owner == r.Owner && o.ID == r.ID })
	switch {
	case last < 0:
		return fmt.Errorf("%s_unlock without taking a lock", name)
	case i < 0:
		return fmt.Errorf("%s_unlock of different lock", name)
	case i != last:
		return fmt.Errorf("%s_unlock cannot be out of order", name)
	}
	h.drop(i)
	return nil
}

// Restore turns interrupts on again that were turned off last (release_irq_state).
func (h *Held) Restore(id uint32) error {
	for i := len(h.Refs) - 1; i >= 0; i-- {
		switch r := h.Refs[i]; {
		case r.Kind != Interrupts:
		case r.ID != id:
			return fmt.Errorf("cannot restore irq state out of order, expected that of insn %d", r.At)
		default:
			h.drop(i)
			return nil
		}
	}
	return errors.New("interrupts were not turned off before")
}

// Busy refuses what is not done while a lock is held, with interrupts off, in an RCU section or without preemption
// (check_resource_leak).
func (h *Held) Busy(what string) error {
	switch {
	case h.Locked():
		return fmt.Errorf("%s while a lock is held (bpf_spin_unlock is missing)", what)
	case h.Quiet():
		return fmt.Errorf("%s with interrupts off (bpf_local_irq_restore is missing)", what)
	case h.RCU > 0:
		return fmt.Errorf("%s within an RCU section (bpf_rcu_read_unlock is missing)", what)
	case h.Preempt != 0:
		return fmt.Errorf("%s without preemption (%d bpf_preempt_enable missing)", what, h.Preempt)
	}
	return nil
}

// Like compares what two states hold, and pairs their identities (refsafe).
func (h *Held) Like(o *Held, ids *Pairs) bool {
	if len(h.Refs) != len(o.Refs) || h.RCU != o.RCU || h.Sleeps != o.Sleeps || h.Later != o.Later || h.Preempt != o.Preempt {
		return false
	}
	for i, r := range h.Refs {
		if b := o.Refs[i]; r.Kind != b.Kind || r.Owner != b.Owner || r.Callback != b.Callback || !ids.Same(r.ID, b.ID) {
			return false
		}
	}
	return true
}
