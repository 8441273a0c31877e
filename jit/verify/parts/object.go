// SPDX-License-Identifier: GPL-2.0-only

package parts

import (
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/kernels"
)

// Object is what a register holds that points into an object which the program allocated (MEM_ALLOC).
type Object struct {
	*bpf.OwnedStruct
	ID    int32 // type id of the structure
	Reg   uint8
	Off   int64 // from the object's address
	Const bool  // Off is known
	Null  bool  // it may be null
	Held  bool  // a reference to it is held
	Each  bool  // every processor has one
	Lent  bool  // a list or a tree owns it, while its lock is held (NON_OWN_REF)
	Safe  bool  // RCU protects it
	Lost  bool  // RCU protected it
	Rules *kernels.Verifier
}

// owned reports whether the object is the program's alone.
func (o *Object) owned() bool { return !o.Null && !o.Lent && !o.Safe && !o.Lost }

// Touch refuses an access of size bytes; load says why they cannot be loaded (check_ptr_to_btf_access).
func (o *Object) Touch(size int64, store bool, load func(off, size int64) error) error {
	switch {
	case !o.Const:
		return fmt.Errorf("r%d is ptr_%s invalid variable offset: off=%d", o.Reg, o.Name, o.Off)
	case o.Off < 0:
		return fmt.Errorf("r%d is ptr_%s invalid negative access: off=%d", o.Reg, o.Name, o.Off)
	case o.Each:
		return fmt.Errorf("r%d is ptr_%s access percpu memory: off=%d", o.Reg, o.Name, o.Off)
	case store && o.Lost && o.Rules.LostObjects:
		return errors.New("only read is supported")
	}
	if f := o.Special.At(o.Off, size); f != nil && f.Kind != bpf.SpecialUser {
		return fmt.Errorf("direct access to %s is disallowed", names[f.Kind]) // btf_struct_access
	}
	return load(o.Off, size)
}

// Kept refuses the object where a pointer in a map, or in another object, leads to others (map_kptr_match_type). kernel says
// whether that leads to an object of the kernel, if it leads to none of the program's own.
func (o *Object) Kept(f *bpf.SpecialField, kernel bool) error {
	each := o.Each == f.PerCPU || f.PerCPU && !o.Rules.StrictPerCPU
	if f.Own == o.ID && o.Off == 0 && !o.Lent && !o.Safe && !o.Lost && each || f.Own == 0 && !kernel {
		return nil
	}
	return fmt.Errorf("invalid kptr access, r%d type=ptr_%s expected=ptr_%s", o.Reg, o.Name, f.Type)
}

// Share refuses the object where a reference to it is to be shared.
func (o *Object) Share() error {
	_, ok := o.Special.Find(bpf.SpecialRefCount)
	switch {
	case o.Lost && o.Rules.LostObjects:
		return fmt.Errorf("r%d is neither owning or non-owning ref", o.Reg)
	case o.Null:
		return o.notAllocated()
	case !ok:
		return fmt.Errorf("r%d doesn't point to a type with bpf_refcount field", o.Reg)
	case o.Rules.WholeShares && (o.Off != 0 || !o.Const):
		return fmt.Errorf("dereference of modified ptr_ ptr r%d off=%d disallowed", o.Reg, o.Off)
	}
	return nil
}

func (o *Object) notAllocated() error {
	return fmt.Errorf("r%d expected pointer to allocated object", o.Reg)
}

// Drop refuses the object where it is to be given back, by a function for objects of each processor or not; anywhere says
// that the program may run in any context.
func (o *Object) Drop(each, anywhere bool) error {
	switch {
	case !o.owned():
		return o.notAllocated()
	case each != o.Each:
		return fmt.Errorf("r%d expected for the other of bpf_obj_drop() and bpf_percpu_obj_drop()", o.Reg)
	case anywhere && o.Rules.FreedInNMI && !freedAnywhere(o.OwnedStruct):
		return errors.New("bpf_obj_drop cannot be used in tracing programs on types with NMI unsafe fields")
	}
	return nil
}

// freedAnywhere reports whether an object can be freed in any context (btf_record_has_nmi_unsafe_fields).
func freedAnywhere(s *bpf.OwnedStruct) bool {
	for i := range s.Special.Fields {
		switch s.Special.Fields[i].Kind {
		case bpf.SpecialLock, bpf.SpecialResLock, bpf.SpecialRefCount, bpf.SpecialUntrusted, bpf.SpecialTimer, bpf.SpecialWork, bpf.SpecialOther:
		default:
			return false
		}
	}
	return true
}

// Root refuses the object as what holds a list or a tree.
func (o *Object) Root() error {
	switch {
	case !o.owned():
		return fmt.Errorf("r%d expected pointer to map value or allocated object", o.Reg)
	case !o.Held:
		return errors.New("allocated object must be referenced")
	}
	return nil
}

// Node refuses the object as a node of a list or a tree, nil if that is not known. taken says that it is not put into a tree
// but is in one, lent that it need not be the program's (check_kfunc_args, __process_kf_arg_ptr_to_graph_node).
func (o *Object) Node(root *bpf.SpecialField, taken, lent bool) error {
	switch {
	case taken && (o.Null || !o.Lent && !o.Held):
		return fmt.Errorf("r%d: only non-owning or refcounted bpf_rb_node pointers can be taken", o.Reg)
	case taken, lent && o.Lent && !o.Held:
	case !o.owned() || o.Each:
		return o.notAllocated()
	case !o.Held:
		return errors.New("allocated object must be referenced")
	}
	switch {
	case !o.Const:
		return fmt.Errorf("r%d doesn't have constant offset. A node has to be at the constant offset", o.Reg)
	case root == nil || root.Own == 0:
		return nil
	}
	kind := bpf.SpecialListNode
	if root.Kind == bpf.SpecialTreeRoot {
		kind = bpf.SpecialTreeNode
	}
	_, err := Find(&o.Special, kind, o.Off)
	switch {
	case err != nil:
		return err
	case root.Own != o.ID:
		return fmt.Errorf("operation on %s expects arg#1 %s at offset=%d of another struct, but arg is at offset=%d in struct %s", names[root.Kind], names[kind], root.Node, o.Off, o.Name)
	case root.Node != o.Off:
		return fmt.Errorf("arg#1 offset=%d, but expected %s at offset=%d in struct %s", o.Off, names[kind], root.Node, o.Name)
	}
	return nil
}
