// SPDX-License-Identifier: GPL-2.0-only

package verify_test

import (
	"errors"
	"testing"

	"github.com/tcsim/tcsim/jit/bpf"
)

// ownTypes are the structures of a program, by type id.
type ownTypes map[int64]*bpf.OwnedStruct

func (o ownTypes) Struct(id int64) *bpf.OwnedStruct { return o[id] }

func (o ownTypes) Load(id int64, off, size int64) error {
	if s := o[id]; off+size > s.Size {
		return errors.New("access beyond struct " + s.Name)
	}
	return nil
}

// TestOwnObjects: objects that a program allocates, in its lists, trees and maps.
func TestOwnObjects(t *testing.T) {
	const item, other, plain, large, words, holder, guard = 1, 2, 3, 4, 5, 6, 7
	const tree, node, stash = 8, 8, 8
	field := func(k bpf.SpecialKind, off, size int64) bpf.SpecialField {
		return bpf.SpecialField{Kind: k, Off: off, Size: size}
	}
	root := field(bpf.SpecialTreeRoot, tree, 16)
	root.Own, root.Node = item, node
	to := func(id int32, off int64, perCPU bool) bpf.SpecialField {
		f := field(bpf.SpecialPointer, off, 8)
		f.Own, f.PerCPU = id, perCPU
		return f
	}
	types := ownTypes{
		item:   {Name: "item", Size: 48, Special: bpf.Special{Fields: []bpf.SpecialField{field(bpf.SpecialTreeNode, node, 32), field(bpf.SpecialRefCount, 40, 4)}}},
		other:  {Name: "other", Size: 48, Special: bpf.Special{Fields: []bpf.SpecialField{field(bpf.SpecialTreeNode, node, 32)}}},
		plain:  {Name: "plain", Size: 16, Numbers: true},
		large:  {Name: "large", Size: 600, Numbers: true},
		words:  {Name: "words", Size: 8},
		holder: {Name: "holder", Size: 16, Special: bpf.Special{Fields: []bpf.SpecialField{to(plain, 8, false)}}},
		guard:  {Name: "guard", Size: 40, Special: bpf.Special{Fields: []bpf.SpecialField{field(bpf.SpecialLock, 8, 4), {Kind: bpf.SpecialTreeRoot, Off: 16, Size: 16, Own: item, Node: node}}}},
	}
	trees := &bpf.Special{Fields: []bpf.SpecialField{field(bpf.SpecialLock, 0, 4), root}}
	maps := []bpf.Map{
		{Name: "trees", Type: bpf.ArrayMap, KeySize: 4, ValueSize: 24, MaxEntries: 1, Special: trees},
		{Name: "trees2", Type: bpf.ArrayMap, KeySize: 4, ValueSize: 24, MaxEntries: 1, Special: trees},
		{Name: "stash", Type: bpf.ArrayMap, KeySize: 4, ValueSize: 24, MaxEntries: 1, Special: &bpf.Special{Fields: []bpf.SpecialField{to(item, 0, false), to(plain, stash, true)}}},
		{Name: "numbers", Type: bpf.ArrayMap, KeySize: 4, ValueSize: 24, MaxEntries: 1, Special: &bpf.Special{}},
	}
	const newOne, drop, newEach, dropEach, add, first, remove, share, rcuLock, rcuUnlock, takes = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
	names := []string{"bpf_obj_new", "bpf_obj_drop", "bpf_percpu_obj_new", "bpf_percpu_obj_drop", "bpf_rbtree_add", "bpf_rbtree_first", "bpf_rbtree_remove",
		"bpf_refcount_acquire", "bpf_rcu_read_lock", "bpf_rcu_read_unlock", "module_takes"}
	any, typ := bpf.Param{Kind: bpf.ParamPointer}, bpf.Param{Name: "local_type_id__k"}
	aRoot := bpf.Param{Kind: bpf.ParamMemory, Size: 16, Type: "bpf_rb_root", Opaque: true}
	aNode := bpf.Param{Kind: bpf.ParamMemory, Size: 32, Type: "bpf_rb_node", Opaque: true}
	gives := func(typ string, params ...bpf.Param) bpf.Signature {
		return bpf.Signature{Params: params, Pointer: true, Type: typ, Untyped: typ == ""}
	}
	sigs := map[string]bpf.Signature{
		names[newOne]: gives("", typ), names[newEach]: gives("", typ), names[drop]: {Params: []bpf.Param{any}, Void: true}, names[dropEach]: {Params: []bpf.Param{any}, Void: true},
		names[add]: {Params: []bpf.Param{aRoot, aNode, any}}, names[first]: gives("bpf_rb_node", aRoot), names[remove]: gives("bpf_rb_node", aRoot, aNode),
		names[share]: gives("", any), names[rcuLock]: {Void: true}, names[rcuUnlock]: {Void: true},
		names[takes]: {Params: []bpf.Param{{Kind: bpf.ParamPointer, Type: "item"}}},
	}
	had := code(jump(bpf.JmpNe, 0, 0, 2), end())
	value := func(m int32, r uint8) []bpf.Insn {
		return code(bpf.Insn{Op: bpf.ClassST | bpf.ModeMem | bpf.SizeW, Dst: 10, Off: -4}, ldMap(1, m), onStack(2, -4), call(1), had, mov(r, 0))
	}
	made := func(r uint8, id, f int32) []bpf.Insn { return code(movImm(1, id), kfn(f), had, mov(r, 0)) }
	dropped := func(r uint8) []bpf.Insn { return code(mov(1, r), kfn(drop)) }
	order := bpf.Insn{Op: bpf.OpLdImm64, Dst: 3, Src: bpf.PseudoFunc}
	added := func(r uint8) []bpf.Insn {
		return code(mov(1, 8), addImm(1, tree), mov(2, r), addImm(2, node), order, bpf.Insn{}, kfn(add))
	}
	lock, unlock := code(mov(1, 8), call(93)), code(mov(1, 8), call(94))
	item7, inTree := made(7, item, newOne), value(0, 8)
	exchanged := func(r uint8, at int32) []bpf.Insn {
		return code(mov(1, 8), addImm(1, at), mov(2, r), call(194), jeq(0, 0, 2), mov(1, 0), kfn(drop), end())
	}
	firstOf := code(mov(1, 8), addImm(1, tree), kfn(first))
	for _, c := range []struct {
		name  string
		insns []bpf.Insn
		order []bpf.Insn // what says the order of a tree
		want  verdict
	}{
		{"given back", code(item7, dropped(7), end()), nil, verdict{"6.12": "", "7.3": ""}},
		{"kept", code(item7, end()), nil, verdict{"6.12": "is not released", "7.3": "is not released"}},
		{"of no structure", code(made(7, 99, newOne), dropped(7), end()), nil, verdict{"6.12": "must be of a struct", "7.3": "must be of a struct"}},
		{"given back by a part", code(item7, addImm(7, node), dropped(7), end()), nil, verdict{"6.12": "zero offset", "7.3": "zero offset"}},
		{"null perhaps", code(movImm(1, item), kfn(newOne), load(2, 0, 0), end()), nil, verdict{"7.3": "invalid mem access 'ptr__or_null'"}},
		{"read and written", code(item7, load(2, 7, 0), store(7, 0, 2), dropped(7), end()), nil, verdict{"7.3": ""}},
		{"read beyond", code(item7, load(2, 7, 48), dropped(7), end()), nil, verdict{"7.3": "access beyond struct item"}},
		{"read before", code(item7, load(2, 7, -8), dropped(7), end()), nil, verdict{"7.3": "invalid negative access"}},
		{"its node is read", code(item7, load(2, 7, node), dropped(7), end()), nil, verdict{"7.3": "direct access to bpf_rb_node is disallowed"}},
		{"what is read is a number", code(item7, load(2, 7, 0), load(2, 2, 0), dropped(7), end()), nil, verdict{"7.3": "invalid mem access 'scalar'"}},
		{"read after it was given back", code(item7, dropped(7), load(2, 7, 0), end()), nil, verdict{"7.3": "invalid mem access 'scalar'"}},
		{"memory of a helper", code(made(7, plain, newOne), storeB(10, -4, 0), ldMap(1, 3), onStack(2, -4), mov(3, 7), movImm(4, 0), call(2), dropped(7), end()), nil, verdict{"7.3": "r3 type=ptr_ expected=fp"}},

		{"a function of a module", code(item7, mov(1, 7), kfn(takes), dropped(7), end()), nil, verdict{"6.12": "", "7.3": ""}},
		{"another structure for it", code(made(7, other, newOne), mov(1, 7), kfn(takes), end()), nil, verdict{"7.3": "expected pointer to STRUCT item"}},

		{"one for each processor", code(made(7, plain, newEach), mov(1, 7), kfn(dropEach), end()), nil, verdict{"6.12": "", "7.3": ""}},
		{"given back as one for all", code(made(7, plain, newEach), dropped(7), end()), nil, verdict{"7.3": "expected for the other"}},
		{"given back as one for each", code(made(7, plain, newOne), mov(1, 7), kfn(dropEach), end()), nil, verdict{"7.3": "expected for the other"}},
		{"one for each is read", code(made(7, plain, newEach), load(2, 7, 0), mov(1, 7), kfn(dropEach), end()), nil, verdict{"7.3": "access percpu memory"}},
		{"one for each with a node", code(made(7, item, newEach), mov(1, 7), kfn(dropEach), end()), nil, verdict{"7.3": "must not contain special fields"}},
		{"one for each with addresses", code(made(7, words, newEach), mov(1, 7), kfn(dropEach), end()), nil, verdict{"7.3": "must be of a struct of scalars"}},
		{"one for each of 600 bytes", code(made(7, large, newEach), mov(1, 7), kfn(dropEach), end()), nil, verdict{"7.3": "greater than 512"}},
		{"600 bytes", code(made(7, large, newOne), dropped(7), end()), nil, verdict{"7.3": ""}},

		{"put into a map", code(value(2, 8), item7, exchanged(7, 0)), nil, verdict{"6.12": "", "7.3": ""}},
		{"one of another structure", code(value(2, 8), made(7, other, newOne), exchanged(7, 0)), nil, verdict{"6.12": "invalid kptr access", "7.3": "invalid kptr access"}},
		{"one for all in place of each processor's", code(value(2, 8), made(7, plain, newOne), mov(1, 8), addImm(1, stash), mov(2, 7), call(194), jeq(0, 0, 2), mov(1, 0), kfn(dropEach), end()), nil,
			verdict{"6.18": "", "7.3": "invalid kptr access"}},
		{"where no pointer is", code(value(2, 8), item7, exchanged(7, 16)), nil, verdict{"6.12": "doesn't point to kptr", "7.3": "doesn't point to kptr"}},
		{"where none is at all", code(value(3, 8), item7, exchanged(7, 0)), nil, verdict{"6.12": "has no valid kptr", "7.3": "has no valid kptr"}},
		{"into another object", code(made(8, holder, newOne), movImm(1, plain), kfn(newOne), jump(bpf.JmpNe, 0, 0, 4), dropped(8), end(), mov(1, 8), addImm(1, 8), mov(2, 0), call(194), jeq(0, 0, 2), mov(1, 0), kfn(drop), dropped(8), end()), nil,
			verdict{"6.6": "expected=map_value", "6.12": "", "7.3": ""}},

		{"into an object where no pointer is", code(made(8, holder, newOne), movImm(1, plain), kfn(newOne), jump(bpf.JmpNe, 0, 0, 4), dropped(8), end(), mov(1, 8), mov(2, 0), call(194), end()), nil,
			verdict{"6.12": "doesn't point to kptr", "7.3": "doesn't point to kptr"}},
		{"the lock of an object", code(made(8, guard, newOne), mov(1, 8), addImm(1, 8), call(93), mov(1, 8), addImm(1, 8), call(94), dropped(8), end()), nil, verdict{"6.12": "", "7.3": ""}},
		{"where an object has no lock", code(made(8, guard, newOne), mov(1, 8), call(93), end()), nil, verdict{"6.12": "doesn't point to 'struct bpf_spin_lock'", "7.3": "doesn't point to 'struct bpf_spin_lock'"}},
		{"into the tree of an object", code(made(8, guard, newOne), movImm(1, item), kfn(newOne), jump(bpf.JmpNe, 0, 0, 4), dropped(8), end(), mov(7, 0), mov(1, 8), addImm(1, 8), call(93),
			mov(1, 8), addImm(1, 16), mov(2, 7), addImm(2, node), order, bpf.Insn{}, kfn(add), mov(1, 8), addImm(1, 8), call(94), dropped(8), end()), nil, verdict{"6.12": "", "7.3": ""}},
		{"into a tree", code(inTree, item7, lock, added(7), unlock, end()), nil, verdict{"6.12": "", "7.3": ""}},
		{"into a tree twice", code(inTree, item7, lock, added(7), added(7), unlock, end()), nil, verdict{"6.12": "expected pointer to allocated object", "7.3": "expected pointer to allocated object"}},
		{"another structure into a tree", code(inTree, made(7, other, newOne), lock, added(7), unlock, end()), nil, verdict{"7.3": "of another struct"}},
		{"null perhaps into a tree", code(inTree, movImm(1, item), kfn(newOne), mov(7, 0), lock, mov(1, 8), addImm(1, tree), mov(2, 7), order, bpf.Insn{}, kfn(add), unlock, end()), nil,
			verdict{"6.12": "expected pointer to allocated object", "7.3": "possibly NULL pointer"}},
		{"into a tree without its lock", code(inTree, item7, added(7), end()), nil, verdict{"7.3": "must be held"}},
		{"into a tree with another's lock", code(value(1, 9), inTree, item7, mov(1, 9), call(93), added(7), mov(1, 9), call(94), end()), nil, verdict{"6.12": "not in the same allocation", "7.3": "not in the same allocation"}},
		{"where no tree is", code(inTree, item7, lock, mov(1, 8), mov(2, 7), addImm(2, node), order, bpf.Insn{}, kfn(add), unlock, end()), nil, verdict{"7.3": "bpf_rb_root not found at offset=0"}},
		{"read in the tree", code(inTree, item7, lock, added(7), load(2, 7, 0), unlock, end()), nil, verdict{"7.3": ""}},
		{"read after the lock", code(inTree, item7, lock, added(7), unlock, load(2, 7, 0), end()), nil, verdict{"7.3": "invalid mem access 'scalar'"}},
		{"given back in the tree", code(inTree, item7, lock, added(7), dropped(7), unlock, end()), nil, verdict{"7.3": "while holding a lock"}},
		{"an order that reads both", code(inTree, item7, lock, added(7), unlock, end()), code(load(3, 1, -node), load(4, 2, -node)), verdict{"6.12": "", "7.3": ""}},
		{"an order that reads nodes", code(inTree, item7, lock, added(7), unlock, end()), code(load(3, 1, 0)), verdict{"6.12": "direct access to bpf_rb_node", "7.3": "direct access to bpf_rb_node"}},
		{"an order that calls", code(inTree, item7, lock, added(7), unlock, end()), code(call(7)), verdict{"6.12": "while holding a lock", "7.3": "while holding a lock"}},
		{"an order that is no truth value", code(inTree, item7, lock, added(7), unlock, end()), code(load(0, 1, -node), jump(bpf.JmpEq, 0, 7, 1), leave()), verdict{"7.3": "should have been in [0, 1]"}},
		{"out of a tree", code(inTree, lock, firstOf, jump(bpf.JmpNe, 0, 0, 4), unlock, end(), mov(1, 8), addImm(1, tree), mov(2, 0), kfn(remove), mov(7, 0), unlock,
			jeq(7, 0, 3), addImm(7, -node), dropped(7), end()), nil, verdict{"6.12": "", "7.3": ""}},
		{"out of a tree and kept", code(inTree, lock, firstOf, jump(bpf.JmpNe, 0, 0, 4), unlock, end(), mov(1, 8), addImm(1, tree), mov(2, 0), kfn(remove), unlock, end()), nil,
			verdict{"6.12": "is not released", "7.3": "is not released"}},

		{"shared", code(item7, mov(1, 7), kfn(share), mov(1, 0), kfn(drop), dropped(7), end()), nil, verdict{"6.12": "", "7.3": ""}},
		{"shared without a count", code(made(7, other, newOne), mov(1, 7), kfn(share), end()), nil, verdict{"7.3": "bpf_refcount field"}},
		{"shared by a part", code(item7, mov(1, 7), addImm(1, node), kfn(share), mov(1, 0), kfn(drop), dropped(7), end()), nil, verdict{"6.12": "", "7.3": "dereference of modified ptr_"}},
	} {
		insns := code(c.insns)
		insns = code(insns, c.order, movImm(0, 0), leave())
		at := bpf.InsnIndex(len(c.insns))
		uses := false
		for i := range insns {
			if insns[i].Op == bpf.OpLdImm64 && insns[i].Src == bpf.PseudoFunc {
				insns[i].Imm, uses = int32(at)-int32(i)-1, true
			}
		}
		p := testProgram(insns)
		if uses {
			p = testProgram(insns, at)
		} else {
			p.Insns = insns[:at]
		}
		p.Type, p.Maps, p.Kfuncs, p.Signatures, p.Owned = bpf.SchedCLS, maps, names, sigs, types
		judged(t, c.name, p, c.want)
	}
	// Programs that may sleep, and such as run anywhere.
	rcu := code(value(2, 8), kfn(rcuLock), load(7, 8, 0), jump(bpf.JmpNe, 7, 0, 3), kfn(rcuUnlock), end(), kfn(rcuUnlock))
	for name, c := range map[string]struct {
		insns []bpf.Insn
		typ   bpf.ProgType
		want  verdict
	}{
		"shared in an RCU section":    {code(value(2, 8), kfn(rcuLock), load(7, 8, 0), jump(bpf.JmpNe, 7, 0, 3), kfn(rcuUnlock), end(), mov(1, 7), kfn(share), mov(7, 0), kfn(rcuUnlock), jeq(7, 0, 2), dropped(7), end()), bpf.Syscall, verdict{"7.3": ""}},
		"shared after an RCU section": {code(rcu, mov(1, 7), kfn(share), end()), bpf.Syscall, verdict{"7.3": "neither owning or non-owning ref"}},
		"written after it":            {code(rcu, movImm(1, 0), store(7, 0, 1), end()), bpf.Syscall, verdict{"7.3": "only read is supported"}},
		"read after it":               {code(rcu, load(1, 7, 0), end()), bpf.Syscall, verdict{"6.12": "", "7.3": ""}},
		"freed anywhere":              {code(made(7, plain, newOne), dropped(7), end()), bpf.PerfEvent, verdict{"7.3": ""}},
		"not freed anywhere":          {code(made(7, holder, newOne), dropped(7), end()), bpf.PerfEvent, verdict{"6.12": "", "7.3": "NMI unsafe"}},
	} {
		p := testProgram(c.insns)
		p.Type, p.Sleepable, p.Maps, p.Kfuncs, p.Signatures, p.Owned = c.typ, c.typ == bpf.Syscall, maps, names, sigs, types
		judged(t, name, p, c.want)
	}
}
