// SPDX-License-Identifier: GPL-2.0-only

// Package parts is what verifiers make of the parts of a map's value, or of an object that a program allocated, which only
// helpers and kernel functions touch: locks, pointers to objects, lists and trees (struct btf_record). It must not import
// the verifier.
//
//	err := parts.Touch(m.Special, parts.Access{Off: 8, Size: 8, Const: true})
package parts

import (
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/jit/bpf"
)

var names = map[bpf.SpecialKind]string{
	bpf.SpecialLock: "bpf_spin_lock", bpf.SpecialResLock: "bpf_res_spin_lock", bpf.SpecialTimer: "bpf_timer", bpf.SpecialWork: "bpf_wq", bpf.SpecialListHead: "bpf_list_head",
	bpf.SpecialTreeRoot: "bpf_rb_root", bpf.SpecialOther: "a field of the kernel", bpf.SpecialListNode: "bpf_list_node", bpf.SpecialTreeNode: "bpf_rb_node",
	bpf.SpecialRefCount: "bpf_refcount", bpf.SpecialPointer: "kptr", bpf.SpecialUntrusted: "kptr", bpf.SpecialUser: "uptr",
}

func pointer(f *bpf.SpecialField) bool {
	return f.Kind == bpf.SpecialPointer || f.Kind == bpf.SpecialUntrusted || f.Kind == bpf.SpecialUser
}

// Access is a load or a store of Size bytes at Off, or anywhere up to Slack bytes later.
type Access struct {
	Off, Size, Slack int64
	Const            bool // it is at Off and nowhere else
	Store, Null      bool // it is a store, and of the constant 0
}

// part is the one that an access may reach, nil if there is none or nothing is known of them.
func (a Access) part(special *bpf.Special) *bpf.SpecialField {
	if special == nil {
		return nil
	}
	return special.At(a.Off, a.Slack+a.Size)
}

// Touch refuses an access of a program's own to what only helpers touch in a map's value (check_map_access). A pointer to an
// object is loaded as a whole. Nothing is known of the parts if special is nil.
func Touch(special *bpf.Special, a Access) error {
	f := a.part(special)
	switch {
	case f == nil:
		return nil
	case !pointer(f):
		return fmt.Errorf("%s cannot be accessed directly by load/store", names[f.Kind])
	case !a.Const:
		return errors.New("kptr access cannot have variable offset")
	case a.Off != f.Off:
		return fmt.Errorf("kptr access misaligned expected=%d off=%d", f.Off, a.Off)
	case a.Size != 8:
		return errors.New("kptr access size must be BPF_DW")
	case a.Store && f.Kind == bpf.SpecialUser:
		return errors.New("store to uptr disallowed")
	case a.Store && f.Kind == bpf.SpecialPointer && !a.Null:
		return errors.New("store to referenced kptr disallowed")
	}
	return nil
}

// Hand refuses to hand what only some helpers touch to others.
func Hand(special *bpf.Special, a Access) error {
	f := a.part(special)
	switch {
	case f == nil:
		return nil
	case pointer(f):
		return errors.New("kptr cannot be accessed indirectly by helper")
	}
	return fmt.Errorf("%s cannot be accessed directly by load/store", names[f.Kind])
}

// Lock refuses what is no lock at an offset (process_spin_lock); whose says whose parts they are.
func Lock(special *bpf.Special, whose string, kind bpf.SpecialKind, at int64) error {
	switch off, ok := special.Find(kind); {
	case !ok:
		return fmt.Errorf("%s has no valid %s", whose, names[kind])
	case off != at:
		return fmt.Errorf("off %d doesn't point to 'struct %s' that is at %d", at, names[kind], off)
	}
	return nil
}

// Pointer returns the pointer at an offset that bpf_kptr_xchg exchanges (process_kptr_func).
func Pointer(special *bpf.Special, reg uint8, at int64) (*bpf.SpecialField, error) {
	_, owned := special.Find(bpf.SpecialPointer)
	_, plain := special.Find(bpf.SpecialUntrusted)
	switch f := special.At(at, 1); {
	case !owned && !plain:
		return nil, fmt.Errorf("r%d has no valid kptr", reg)
	case f == nil || f.Off != at || f.Kind != bpf.SpecialPointer && f.Kind != bpf.SpecialUntrusted:
		return nil, fmt.Errorf("off=%d doesn't point to kptr", at)
	case f.Kind != bpf.SpecialPointer:
		return nil, fmt.Errorf("off=%d kptr isn't referenced kptr", at)
	default:
		return f, nil
	}
}

// Find returns the part of a kind at an offset (btf_record_find).
func Find(special *bpf.Special, kind bpf.SpecialKind, at int64) (*bpf.SpecialField, error) {
	if f := special.At(at, 1); f != nil && f.Off == at && f.Kind == kind {
		return f, nil
	}
	return nil, fmt.Errorf("%s not found at offset=%d", names[kind], at)
}

// maxPerCPU is how many bytes an object has at most of which every processor has one (BPF_GLOBAL_PERCPU_MA_MAX_SIZE).
const maxPerCPU = 512

// New refuses a structure that no object is allocated of, nil if there is none (check_special_kfunc).
func New(s *bpf.OwnedStruct, perCPU bool) error {
	switch {
	case s == nil:
		return errors.New("bpf_obj_new/bpf_percpu_obj_new type ID argument must be of a struct")
	case !perCPU:
		return nil
	case s.Size > maxPerCPU:
		return fmt.Errorf("bpf_percpu_obj_new type size (%d) is greater than %d", s.Size, maxPerCPU)
	case len(s.Special.Fields) > 0:
		return errors.New("bpf_percpu_obj_new type ID argument must not contain special fields")
	case !s.Numbers:
		return errors.New("bpf_percpu_obj_new type ID argument must be of a struct of scalars")
	}
	return nil
}
