// SPDX-License-Identifier: GPL-2.0-only

package verify

import (
	"fmt"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/verify/holds"
	"github.com/tcsim/tcsim/jit/verify/protos"
)

// Pointers to objects in the values of maps (kptr; check_map_kptr_access).

// kptrAt is the pointer that an access of 8 bytes through the address of a map's value is to, nil if it is to none.
func (x *explorer) kptrAt(base *holds.Value, in bpf.Insn) *bpf.SpecialField {
	if base.Kind != holds.MapValue || in.Size() != 8 || !base.Num.IsConst() || x.p.Maps[base.Map].Special == nil {
		return nil
	}
	off := base.Off + int64(in.Off) + int64(base.Num.Umin)
	f := x.p.Maps[base.Map].Special.At(off, 8)
	if f == nil || f.Off != off || f.Kind != bpf.SpecialPointer && f.Kind != bpf.SpecialUntrusted && f.Kind != bpf.SpecialUser {
		return nil
	}
	return f
}

// kptr is what a load of such a pointer gives: null, or an object that is trusted as long as RCU protects it and not at
// all without a reference (btf_ld_kptr_type).
func (x *explorer) kptr(s *state, f *bpf.SpecialField) holds.Value {
	v := holds.To(holds.Pointer)
	switch {
	case f.Kind == bpf.SpecialUser:
		v.Kind, v.Size = holds.Memory, int32(f.To)
	case f.Own != 0:
		v = x.ownKptr(s, f)
	case x.p.Objects == nil || f.Type == "" || f.Kind == bpf.SpecialPointer && !x.p.Objects.Kernel(f.Type):
		v.Typed = holds.Unsure // an object of the program's own, or of a module
	case f.Kind == bpf.SpecialPointer && protos.ProtectedByRCU(f.Type) && x.inRCU(s):
		v = x.object(f.Type, holds.Trusted)
		v.Traits = holds.Protected
	default:
		v = x.object(f.Type, holds.Untrusted)
		v.Traits = holds.Unguarded
	}
	v.OrNull, v.Link = true, x.newLink()
	return v
}

// storesKptr judges what is stored as such a pointer (map_kptr_match_type); special has judged the place.
func (x *explorer) storesKptr(f *bpf.SpecialField, v *holds.Value, reg uint8) error {
	switch {
	case v.Kind == holds.Own:
		o := x.ownAt(v, reg)
		return o.Kept(f, x.p.Objects != nil && x.p.Objects.Kernel(f.Type))
	case v.Null(), v.Typed == holds.Unsure, v.Kind == holds.Pointer && v.Size == 0:
		return nil
	case v.Kind != holds.Pointer, x.rules.StrictPerCPU && f.PerCPU && v.Typed != holds.PerCPU:
		return fmt.Errorf("invalid kptr access, r%d type=%s expected=ptr_%s", reg, v.Word(), f.Type)
	case v.Off < 0:
		return fmt.Errorf("negative offset %s ptr r%d off=%d disallowed", v.Word(), reg, v.Off)
	case !v.Num.IsConst() || v.Num.Umin != 0:
		return fmt.Errorf("variable %s access through r%d disallowed", v.Word(), reg)
	}
	if name := x.structs[v.Size-1]; !x.is(name, v.Off, f.Type) {
		return fmt.Errorf("invalid kptr access, r%d type=ptr_%s off=%d expected=ptr_%s", reg, name, v.Off, f.Type)
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
