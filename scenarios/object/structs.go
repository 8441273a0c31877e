// SPDX-License-Identifier: GPL-2.0-only

package object

import (
	"fmt"

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
	if off+size > int64(s.Size) {
		if n := len(s.Members); n > 0 && endless(s.Members[n-1].Type) {
			return f, false, nil
		}
		return f, false, fmt.Errorf("access beyond struct %s at off %d size %d", structure, off, size)
	}
	w := walker{structure: structure, size: size}
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

// endless reports whether a type is an array whose length is not said.
func endless(t btf.Type) bool {
	a, ok := btf.UnderlyingType(t).(*btf.Array)
	return ok && a.Nelems == 0
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
