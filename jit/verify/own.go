// SPDX-License-Identifier: GPL-2.0-only

package verify

import (
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/verify/holds"
	"github.com/tcsim/tcsim/jit/verify/parts"
	"github.com/tcsim/tcsim/jit/verify/protos"
)

// Objects that the program allocates (MEM_ALLOC).

// structOf is the structure of such an object.
func (x *explorer) structOf(v *holds.Value) *bpf.OwnedStruct { return x.p.Owned.Struct(int64(v.Size)) }

// specialOf are the parts of what a value points at, and whose they are; nil if they are not known.
func (x *explorer) specialOf(v *holds.Value) (*bpf.Special, string) {
	switch v.Kind {
	case holds.Own:
		s := x.structOf(v)
		return &s.Special, "struct " + s.Name
	case holds.MapValue:
		return x.p.Maps[v.Map].Special, "map '" + x.p.Maps[v.Map].Name + "'"
	}
	return nil, ""
}

// ownAt is what a register holds that points into such an object.
func (x *explorer) ownAt(v *holds.Value, reg uint8) parts.Object {
	return parts.Object{
		OwnedStruct: x.structOf(v), ID: v.Size, Reg: reg, Off: v.Off + int64(v.Num.Umin), Const: v.Num.IsConst(), Null: v.OrNull, Held: v.Ref != 0,
		Each: v.Typed == holds.PerCPU, Lent: v.Traits&holds.Borrowed != 0, Safe: v.Traits&holds.Protected != 0, Lost: v.Traits&holds.Unguarded != 0, Rules: x.rules,
	}
}

// touchOwn judges an access to such an object.
func (x *explorer) touchOwn(v *holds.Value, reg uint8, off, size int64, store bool) error {
	o := x.ownAt(v, reg)
	o.Off += off
	x.guarded[x.now.PC] = x.guarded[x.now.PC] || o.Lost
	return o.Touch(size, store, func(off, size int64) error { return x.p.Owned.Load(int64(v.Size), off, size) })
}

// fitsOwn judges such an object as an argument of a helper (check_reg_type).
func (x *explorer) fitsOwn(c *call, a protos.Arg, reg uint8, v *holds.Value) error {
	switch {
	case a.Is(".*S"), a.Kind == 'X' && x.rules.OwnPointers:
	case a.Kind == 'I' && c.helper == helperKptrXchg:
	case a.Kind == 'P' && v.Typed == holds.PerCPU && v.Ref == 0:
	default:
		_, expected := holds.Takes(a, v)
		return fmt.Errorf("r%d type=%s expected=%s", reg, v.Word(), expected)
	}
	if a.Kind == 'I' {
		return x.atStart(c, reg, v)
	}
	return nil // parts of objects are somewhere in them
}

// kptrField is the pointer that bpf_kptr_xchg exchanges, nil if it is not known (process_kptr_func).
func (x *explorer) kptrField(v *holds.Value, reg uint8) (*bpf.SpecialField, error) {
	special, _ := x.specialOf(v)
	switch {
	case special == nil:
		return nil, nil
	case !v.Num.IsConst():
		return nil, fmt.Errorf("r%d doesn't have constant offset. kptr has to be at the constant offset", reg)
	}
	return parts.Pointer(special, reg, v.Off+int64(v.Num.Umin))
}

// ordering reports whether the path is in a function that says the order of a tree (in_rbtree_lock_required_cb).
func (x *explorer) ordering(s *state) bool {
	for i := range s.frames {
		if f := &s.frames[i]; f.callback && f.again && x.callees[f.ret] != nil && protos.Doing[x.callees[f.ret].Kfunc] == protos.TreeInsert {
			return true
		}
	}
	return false
}

// kfuncOwn judges such an object as an argument of a kernel function that takes kernel objects or memory.
func (x *explorer) kfuncOwn(s *state, k *kfuncCall, p *bpf.Param, v *holds.Value, i int) error {
	size, reg := int64(p.Size), uint8(i+1)
	if p.Type != "" {
		if p.Type == x.structOf(v).Name { // of a module, whose types the kernel's do not have
			return nil
		}
		return fmt.Errorf("kernel function %s args#%d expected pointer to STRUCT %s but r%d has a pointer to STRUCT %s", k.name, i, p.Type, reg, x.structOf(v).Name)
	}
	if i+1 < len(k.sig.Params) && (hasEnding(&k.sig.Params[i+1], "__sz") || hasEnding(&k.sig.Params[i+1], "__szk")) {
		n := s.top().regs[i+2]
		x.needs(s, reg+1)
		if err := x.maySize(n, reg+1); err != nil || n.Kind != holds.Number {
			return err
		}
		size = int64(n.Num.Umax)
	}
	return x.touchOwn(v, reg, 0, size, true)
}

// kfuncAllocated is an argument that is given back or shared.
func (x *explorer) kfuncAllocated(k *kfuncCall, letter uint8, v *holds.Value, reg uint8) error {
	switch {
	case v.Kind == holds.Pointer && v.Size == 0:
		return nil // nothing is known of it
	case v.Kind != holds.Own && letter == 'r':
		return fmt.Errorf("r%d is neither owning or non-owning ref", reg)
	case v.Kind != holds.Own:
		return fmt.Errorf("r%d expected pointer to allocated object", reg)
	}
	o := x.ownAt(v, reg)
	if k.own = v.Size; letter == 'r' {
		return o.Share()
	}
	return o.Drop(k.does == protos.DropPerCPU, protos.Anywhere(x.p))
}

// kfuncRoot is the head of a list or the root of a tree, whose lock is held (__process_kf_arg_ptr_to_graph_root).
func (x *explorer) kfuncRoot(s *state, k *kfuncCall, p *bpf.Param, v *holds.Value, reg uint8) error {
	special, _ := x.specialOf(v)
	if v.Kind == holds.Own {
		o := x.ownAt(v, reg)
		if err := o.Root(); err != nil {
			return err
		}
	}
	switch {
	case v.Kind != holds.MapValue && v.Kind != holds.Own && !v.Loose(), v.OrNull:
		return fmt.Errorf("r%d expected pointer to map value or allocated object", reg)
	case special == nil:
		return nil
	case !v.Num.IsConst():
		return fmt.Errorf("r%d doesn't have constant offset. %s has to be at the constant offset", reg, p.Type)
	}
	root, err := parts.Find(special, protos.Special[p.Type], v.Off+int64(v.Num.Umin))
	if l := holds.LockOf(v); err == nil && !s.held.Guards(l.Owner, l.ID) {
		err = errors.New("held lock and object are not in the same allocation")
	}
	k.root = root
	return err
}

// kfuncNode is a node of a list or a tree.
func (x *explorer) kfuncNode(s *state, k *kfuncCall, p *bpf.Param, v *holds.Value, reg uint8) error {
	taken := p.Type == "bpf_rb_node" && k.does != protos.TreeInsert
	switch {
	case v.Kind != holds.Own && v.Loose():
		return nil
	case v.Kind != holds.Own:
		return fmt.Errorf("r%d expected pointer to allocated object", reg)
	case taken && x.ordering(s):
		return fmt.Errorf("%s not allowed in rbtree cb", k.name)
	}
	o := x.ownAt(v, reg)
	return o.Node(k.root, taken, hasEnding(p, "__nonown_allowed"))
}

// ownReturned is the object that a kernel function returns; ok is false if nothing is known of it.
func (x *explorer) ownReturned(k *kfuncCall) (v holds.Value, ok bool, err error) {
	switch graph := k.root != nil && k.root.Own != 0; {
	case x.p.Owned == nil:
		return v, false, nil
	case k.does == protos.Allocate, k.does == protos.AllocatePerCPU:
		perCPUs := k.does == protos.AllocatePerCPU
		if err := parts.New(x.p.Owned.Struct(k.constant), perCPUs); err != nil {
			return v, false, err
		}
		if v = holds.ToOwn(int32(k.constant)); perCPUs {
			v.Typed = holds.PerCPU
		}
	case k.does == protos.Share && k.own != 0:
		v = holds.ToOwn(k.own)
	case graph && (k.does == protos.GraphTake || k.does == protos.GraphLook):
		v = holds.ToOwn(k.root.Own)
		if v.Off = k.root.Node; k.does == protos.GraphLook {
			v.Traits = holds.Borrowed
		}
	default:
		return v, false, nil
	}
	return v, true, nil
}

// orders follows the function that says the order of a tree, which a kernel function calls with two of its nodes
// (set_rbtree_add_callback_state).
func (x *explorer) orders(s *state, k *kfuncCall) error {
	fn := s.top().regs[3]
	if k.does != protos.TreeInsert || x.rules.CallbackOnce || fn.Kind != holds.Func || k.root == nil || k.root.Own == 0 {
		return nil
	}
	node := holds.ToOwn(k.root.Own)
	node.Off, node.Traits = k.root.Node, holds.Borrowed
	return x.callFrom(s, bpf.InsnIndex(fn.Map), arguments{1: node, 2: node})
}

// globalOwn judges such an object as an argument of a global function.
func (x *explorer) globalOwn(p *bpf.Param, v *holds.Value, reg uint8) error {
	switch {
	case p.Kind == bpf.ParamUntrusted && p.Type == "":
		return nil
	case p.Kind != bpf.ParamMemory:
		return fmt.Errorf("r%d type=%s is not what is expected", reg, v.Word())
	case v.OrNull && !p.Nullable:
		return fmt.Errorf("arg#%d is expected to be non-NULL", reg-1)
	}
	return x.touchOwn(v, reg, 0, int64(p.Size), true)
}

// ownKptr is what a load of a pointer to such an object gives (btf_ld_kptr_type).
func (x *explorer) ownKptr(s *state, f *bpf.SpecialField) holds.Value {
	v := holds.ToOwn(f.Own)
	if f.PerCPU {
		v.Typed = holds.PerCPU
	}
	if v.Traits = holds.Unguarded; x.inRCU(s) {
		v.Traits = holds.Protected
		st := x.structOf(&v)
		_, list := st.Special.Find(bpf.SpecialListNode)
		if _, tree := st.Special.Find(bpf.SpecialTreeNode); list || tree {
			v.Traits |= holds.Borrowed
		}
	}
	return v
}
