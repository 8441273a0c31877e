// SPDX-License-Identifier: GPL-2.0-only

package object

import (
	"fmt"
	"math"
	"strings"
	"sync"

	"github.com/cilium/ebpf/btf"

	"github.com/tcsim/tcsim/jit/bpf"
)

// kernelObjects are the structures of a kernel's BTF. Those of modules, which it lacks, are as the file has them.
type kernelObjects struct{ types, own *btf.Spec }

func (k kernelObjects) structure(name string) *btf.Struct {
	for _, types := range []*btf.Spec{k.types, k.own} {
		var s *btf.Struct
		if types != nil && types.TypeByName(name, &s) == nil {
			return s
		}
	}
	return nil
}

// Field implements bpf.Objects (btf_struct_walk).
func (k kernelObjects) Field(structure string, off, size int64) (f bpf.ObjectField, known bool, err error) {
	s := k.structure(structure)
	if s == nil {
		return f, false, nil
	}
	return load(s, off, size)
}

// load finds what size bytes at off of a structure are.
func load(s *btf.Struct, off, size int64) (f bpf.ObjectField, known bool, err error) {
	if off+size > int64(s.Size) {
		if n := len(s.Members); n > 0 && endless(s.Members[n-1].Type) {
			return f, false, nil
		}
		return f, false, fmt.Errorf("access beyond struct %s at off %d size %d", s.Name, off, size)
	}
	w := walker{structure: s.Name, size: size}
	known, err = w.members(s.Members, off, 0)
	return w.found, known, err
}

// Kernel implements bpf.Objects.
func (k kernelObjects) Kernel(structure string) bool {
	var s *btf.Struct
	return k.types != nil && k.types.TypeByName(structure, &s) == nil
}

// Holds implements bpf.Objects (btf_struct_ids_match).
func (k kernelObjects) Holds(structure string, off int64, inner string) (holds, known bool) {
	if off == 0 && structure == inner {
		return true, true
	}
	s := k.structure(structure)
	if s == nil || k.structure(inner) == nil {
		return false, false
	}
	var t btf.Type = s
	for range maxNesting {
		var members []btf.Member
		switch u := btf.UnderlyingType(t).(type) {
		case *btf.Struct:
			if off == 0 && u.Name == inner {
				return true, true
			}
			members = u.Members
		case *btf.Union:
			members = u.Members
		case *btf.Array:
			n, err := btf.Sizeof(u.Type)
			if err != nil || n == 0 {
				return false, true
			}
			t, off = u.Type, off%int64(n)
			continue
		default:
			return false, true
		}
		at := -1
		for i := range members {
			from := int64(members[i].Offset.Bytes())
			if n, err := btf.Sizeof(members[i].Type); err == nil && members[i].BitfieldSize == 0 && off >= from && off < from+int64(n) {
				at = i
				break
			}
		}
		if at < 0 {
			return false, true
		}
		t, off = members[at].Type, off-int64(members[at].Offset.Bytes())
	}
	return false, false
}

// owned are the structures of a file, by type id; kernel has those of the kernel, nil if they are not known.
type owned struct {
	types, kernel *btf.Spec
	known         map[btf.TypeID]*bpf.OwnedStruct
	mu            sync.Mutex
}

// Struct implements bpf.Owned.
func (o *owned) Struct(id int64) *bpf.OwnedStruct {
	s := o.structure(id)
	if s == nil {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	out := o.known[btf.TypeID(id)]
	if out == nil {
		out = &bpf.OwnedStruct{Name: s.Name, Size: int64(s.Size), Numbers: numbers(s, 0), Special: *o.special(s)}
		if o.known == nil {
			o.known = map[btf.TypeID]*bpf.OwnedStruct{}
		}
		o.known[btf.TypeID(id)] = out
	}
	return out
}

func (o *owned) structure(id int64) *btf.Struct {
	if id < 0 || id > math.MaxUint32 {
		return nil
	}
	t, err := o.types.TypeByID(btf.TypeID(id))
	s, ok := t.(*btf.Struct)
	if err != nil || !ok {
		return nil
	}
	return s
}

// Load implements bpf.Owned (btf_struct_walk).
func (o *owned) Load(id int64, off, size int64) error {
	_, _, err := load(o.structure(id), off, size)
	return err
}

// id is the type id of a structure, 0 if it has none.
func (o *owned) id(t btf.Type) int32 {
	if o.types == nil {
		return 0
	}
	id, err := o.types.TypeID(t)
	if err != nil {
		return 0
	}
	return int32(id)
}

// contained is what a list or a tree is made of, as a tag says, and where the node is in it: "contains:STRUCT:MEMBER"
// (btf_find_graph_root).
func (o *owned) contained(tags []string) (id int32, at int64) {
	for _, tag := range tags {
		rest, ok := strings.CutPrefix(tag, "contains:")
		name, member, some := strings.Cut(rest, ":")
		var s *btf.Struct
		if !ok || !some || o.types == nil || o.types.TypeByName(name, &s) != nil {
			continue
		}
		for _, m := range s.Members {
			if m.Name == member {
				return o.id(s), int64(m.Offset.Bytes())
			}
		}
	}
	return 0, 0
}

// endless reports whether a type is an array whose length is not said, of elements that have a size.
func endless(t btf.Type) bool {
	a, ok := btf.UnderlyingType(t).(*btf.Array)
	if !ok || a.Nelems != 0 {
		return false
	}
	size, err := btf.Sizeof(a.Type)
	return err != nil || size > 0
}

// walker finds what size bytes of a structure are.
type walker struct {
	structure string
	size      int64
	union     bool // it went through a union of several members, of which any may be there
	found     bpf.ObjectField
}

// members looks among the members of a structure or a union; known is false where this does not say.
func (w *walker) members(members []btf.Member, off int64, depth int) (known bool, err error) {
	for i := range members {
		m := &members[i]
		from := int64(m.Offset.Bytes())
		if off+w.size <= from || depth > maxNesting {
			break
		}
		if m.BitfieldSize != 0 {
			if end := int64(m.Offset+m.BitfieldSize+7) / 8; off <= from && end <= off+w.size {
				return true, nil
			}
			continue
		}
		n, err := btf.Sizeof(m.Type)
		switch {
		case err != nil || off < from:
			return false, nil
		case off >= from+int64(n):
			continue
		}
		return w.member(m.Name, m.Type, off-from, int64(n), depth)
	}
	return false, fmt.Errorf("struct %s doesn't have field at offset %d", w.structure, off)
}

// member looks at off of a member of n bytes.
func (w *walker) member(name string, t btf.Type, off, n int64, depth int) (known bool, err error) {
	at := off
	for {
		a, ok := btf.UnderlyingType(t).(*btf.Array)
		if !ok {
			break
		}
		each, err := btf.Sizeof(a.Type)
		if err != nil || each == 0 {
			return false, nil
		}
		t, at = a.Type, at%int64(each)
	}
	w.found.Name = name
	switch t := btf.UnderlyingType(t).(type) {
	case *btf.Struct:
		return w.members(t.Members, at, depth+1)
	case *btf.Union:
		w.union = w.union || len(t.Members) != 1
		return w.members(t.Members, at, depth+1)
	case *btf.Pointer:
		if at != 0 || w.size != 8 {
			return false, fmt.Errorf("cannot access ptr member %s with moff %d in struct %s with off %d size %d", name, off-at, w.structure, off, w.size)
		}
		if w.found.Type, _ = structureOf(t); w.found.Type == "" {
			return false, nil
		}
		w.found.RCU, w.found.Union = tagged(t, "rcu"), w.union
		return !tagged(t, "user") && !tagged(t, "percpu"), nil
	case *btf.Int, *btf.Enum:
		if off+w.size > n && !w.union {
			return false, fmt.Errorf("access beyond the end of member %s (mend:%d) in struct %s with off %d size %d", name, n, w.structure, off, w.size)
		}
		return true, nil
	}
	return false, nil
}

// structureOf is structure, of what is not a union or only declared.
func structureOf(p *btf.Pointer) (string, bool) {
	if s, ok := btf.UnderlyingType(p.Target).(*btf.Struct); ok {
		return s.Name, true
	}
	return "", false
}

// tagged reports whether a type tag stands at what a pointer leads to.
func tagged(p *btf.Pointer, tag string) bool {
	t := p.Target
	for {
		switch at := t.(type) {
		case *btf.TypeTag:
			if at.Value == tag {
				return true
			}
			t = at.Type
		case *btf.Const:
			t = at.Type
		case *btf.Volatile:
			t = at.Type
		case *btf.Typedef:
			t = at.Type
		default:
			return false
		}
	}
}
