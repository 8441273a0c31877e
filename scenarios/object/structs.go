// SPDX-License-Identifier: GPL-2.0-only

package object

import (
	"fmt"

	"github.com/cilium/ebpf/btf"

	"github.com/tcsim/tcsim/jit/bpf"
)

// kernelObjects are the structures of a kernel's BTF.
type kernelObjects struct{ types *btf.Spec }

// Field implements bpf.Objects (btf_struct_walk).
func (k kernelObjects) Field(structure string, off, size int64) (f bpf.ObjectField, known bool, err error) {
	var s *btf.Struct
	if k.types.TypeByName(structure, &s) != nil {
		return f, false, nil
	}
	if off+size > int64(s.Size) {
		if n := len(s.Members); n > 0 && endless(s.Members[n-1].Type) {
			return f, false, nil
		}
		return f, false, fmt.Errorf("access beyond struct %s at off %d size %d", structure, off, size)
	}
	return walk(structure, s.Members, off, size, 0)
}

// endless reports whether a type is an array whose length is not said.
func endless(t btf.Type) bool {
	a, ok := btf.UnderlyingType(t).(*btf.Array)
	return ok && a.Nelems == 0
}

func walk(structure string, members []btf.Member, off, size int64, depth int) (f bpf.ObjectField, known bool, err error) {
	for i := range members {
		m := &members[i]
		n, err := btf.Sizeof(m.Type)
		from := int64(m.Offset.Bytes())
		if m.BitfieldSize != 0 || err != nil || depth > maxNesting {
			return f, false, nil
		}
		if off < from || off >= from+int64(n) {
			continue
		}
		return field(structure, m.Name, m.Type, off-from, int64(n), size, depth)
	}
	return f, false, nil
}

// field is what size bytes at off of a member of n bytes are.
func field(structure, name string, t btf.Type, off, n, size int64, depth int) (f bpf.ObjectField, known bool, err error) {
	f.Name = name
	switch t := btf.UnderlyingType(t).(type) {
	case *btf.Struct:
		return walk(structure, t.Members, off, size, depth+1)
	case *btf.Array:
		each, err := btf.Sizeof(t.Type)
		if err != nil || each == 0 {
			return f, false, nil
		}
		if _, ok := btf.UnderlyingType(t.Type).(*btf.Int); !ok {
			return field(structure, name, t.Type, off%int64(each), int64(each), size, depth+1)
		}
	case *btf.Int, *btf.Enum:
	case *btf.Pointer:
		if off != 0 || size != 8 {
			return f, false, fmt.Errorf("cannot access ptr member %s in struct %s with off %d size %d", name, structure, off, size)
		}
		if f.Type, _ = structureOf(t); f.Type == "" {
			return f, false, nil
		}
		f.RCU = tagged(t, "rcu")
		return f, !tagged(t, "user") && !tagged(t, "percpu"), nil
	default:
		return f, false, nil
	}
	if off+size > n {
		return f, false, fmt.Errorf("access beyond the end of member %s in struct %s", name, structure)
	}
	return f, true, nil
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
