// SPDX-License-Identifier: GPL-2.0-only

package object

import (
	"slices"

	"github.com/cilium/ebpf/btf"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/verify/protos"
)

// special finds the parts of a map's value that only helpers touch; nil if its type is not known.
func (o *owned) special(value btf.Type) *bpf.Special {
	if value == nil {
		return nil
	}
	out := &bpf.Special{}
	o.find(out, value, nil, 0, 0)
	if len(out.Fields) > maxParts {
		out.Fields = nil
	}
	return out
}

// maxParts is how many such parts a value has at most: verifiers know none of more (BTF_FIELDS_MAX).
const maxParts = 11

// maxNesting bounds how deep structures are looked into, maxElements how many elements of an array.
const maxNesting, maxElements = 8, 64

// find looks at what is at an offset, which has tags.
func (o *owned) find(out *bpf.Special, t btf.Type, tags []string, at int64, depth int) {
	if depth > maxNesting {
		return
	}
	var members []btf.Member
	switch t := btf.UnderlyingType(t).(type) {
	case *btf.Struct:
		if k, ok := protos.Special[t.Name]; ok {
			f := bpf.SpecialField{Kind: k, Off: at, Size: int64(t.Size)}
			f.Own, f.Node = o.contained(tags)
			out.Fields = append(out.Fields, f)
			return
		}
		members = t.Members
	case *btf.Union:
		members = t.Members
	case *btf.Datasec:
		for _, v := range t.Vars {
			if variable, ok := v.Type.(*btf.Var); ok {
				o.find(out, variable.Type, variable.Tags, at+int64(v.Offset), depth+1)
			}
		}
	case *btf.Array:
		size, err := btf.Sizeof(t.Type)
		for i := 0; err == nil && i < min(int(t.Nelems), maxElements); i++ {
			o.find(out, t.Type, tags, at+int64(i*size), depth+1)
		}
	case *btf.Pointer:
		if f, ok := o.pointer(t); ok {
			f.Off, f.Size = at, 8
			out.Fields = append(out.Fields, f)
		}
	}
	for _, m := range members {
		if m.BitfieldSize == 0 {
			o.find(out, m.Type, m.Tags, at+int64(m.Offset.Bytes()), depth+1)
		}
	}
}

// pointer recognises pointers to objects by their tags (btf_find_kptr).
func (o *owned) pointer(p *btf.Pointer) (f bpf.SpecialField, ok bool) {
	var tags []string
	to := p.Target
	for {
		switch t := to.(type) {
		case *btf.TypeTag:
			tags, to = append(tags, t.Value), t.Type
			continue
		case *btf.Const:
			to = t.Type
			continue
		case *btf.Volatile:
			to = t.Type
			continue
		case *btf.Typedef:
			to = t.Type
			continue
		}
		break
	}
	f.Type = to.TypeName()
	switch {
	case slices.Contains(tags, "kptr"), slices.Contains(tags, "percpu_kptr"):
		f.Kind, f.PerCPU = bpf.SpecialPointer, slices.Contains(tags, "percpu_kptr")
		if s, ok := to.(*btf.Struct); ok && o.kernel != nil && !(kernelObjects{types: o.kernel}).Kernel(s.Name) {
			f.Own = o.id(s)
		}
	case slices.Contains(tags, "kptr_untrusted"):
		f.Kind = bpf.SpecialUntrusted
	case slices.Contains(tags, "uptr"):
		f.Kind = bpf.SpecialUser
		if n, err := btf.Sizeof(to); err == nil {
			f.To = int64(n)
		}
	}
	return f, f.Kind != 0
}
