// SPDX-License-Identifier: GPL-2.0-only

package verify

import (
	"fmt"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/verify/protos"
)

// Pointers to objects in the values of maps (kptr; check_map_kptr_access).

// kptrAt is the pointer that an access of 8 bytes through the address of a map's value is to, nil if it is to none.
func (x *explorer) kptrAt(base *value, in bpf.Insn) *bpf.SpecialField {
	if base.kind != kindMapValue || in.Size() != 8 || !base.num.IsConst() || x.p.Maps[base.mapIdx].Special == nil {
		return nil
	}
	off := base.off + int64(in.Off) + int64(base.num.Umin)
	f := x.p.Maps[base.mapIdx].Special.At(off, 8)
	if f == nil || f.Off != off || f.Kind != bpf.SpecialPointer && f.Kind != bpf.SpecialUntrusted && f.Kind != bpf.SpecialUser {
		return nil
	}
	return f
}

// kptr is what a load of such a pointer gives: null, or an object that is trusted as long as RCU protects it and not at
// all without a reference (btf_ld_kptr_type).
func (x *explorer) kptr(s *state, f *bpf.SpecialField) value {
	v := pointer(kindPointer)
	switch {
	case f.Kind == bpf.SpecialUser:
		v.kind, v.size = kindMemory, int32(f.To)
	case f.Own != 0:
		v = x.ownKptr(s, f)
	case x.p.Objects == nil || f.Type == "" || f.Kind == bpf.SpecialPointer && !x.p.Objects.Kernel(f.Type):
		v.typed = unsure // an object of the program's own, or of a module
	case f.Kind == bpf.SpecialPointer && protos.ProtectedByRCU(f.Type) && x.inRCU(s):
		v = x.object(f.Type, trusted)
		v.traits = protected
	default:
		v = x.object(f.Type, untrusted)
		v.traits = unguarded
	}
	v.orNull, v.link = true, x.newLink()
	return v
}

// storesKptr judges what is stored as such a pointer (map_kptr_match_type); special has judged the place.
func (x *explorer) storesKptr(f *bpf.SpecialField, v *value, reg uint8) error {
	switch {
	case v.kind == kindOwn:
		o := x.ownAt(v, reg)
		return o.Kept(f, x.p.Objects != nil && x.p.Objects.Kernel(f.Type))
	case v.null(), v.typed == unsure, v.kind == kindPointer && v.size == 0:
		return nil
	case v.kind != kindPointer, x.rules.StrictPerCPU && f.PerCPU && v.typed != perCPU:
		return fmt.Errorf("invalid kptr access, r%d type=%s expected=ptr_%s", reg, v.word(), f.Type)
	case v.off < 0:
		return fmt.Errorf("negative offset %s ptr r%d off=%d disallowed", v.word(), reg, v.off)
	case !v.num.IsConst() || v.num.Umin != 0:
		return fmt.Errorf("variable %s access through r%d disallowed", v.word(), reg)
	}
	if name := x.structs[v.size-1]; !x.is(name, v.off, f.Type) {
		return fmt.Errorf("invalid kptr access, r%d type=ptr_%s off=%d expected=ptr_%s", reg, name, v.off, f.Type)
	}
	return nil
}

// is reports whether what is at off of a structure may be one of another name.
func (x *explorer) is(structure string, off int64, want string) bool {
	if want == "" || protos.PlainName(structure) == protos.PlainName(want) && off == 0 {
		return true
	}
	holds, known := x.p.Objects.Holds(structure, off, want)
	return holds || !known && !(structure == want && off != 0)
}
