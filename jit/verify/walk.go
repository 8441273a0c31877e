// SPDX-License-Identifier: GPL-2.0-only

package verify

import (
	"fmt"
	"slices"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/verify/holds"
	"github.com/tcsim/tcsim/jit/verify/protos"
	"github.com/tcsim/tcsim/jit/verify/ranges"
)

// Kernel objects whose structure BTF tells (check_ptr_to_btf_access). The size of such an address is the number of the
// structure among those that were met, from 1 on; 0 is one that is not known.

// structure numbers a structure.
func (x *explorer) structure(name string) int32 {
	if x.p.Objects == nil || name == "" {
		return 0
	}
	if i := slices.Index(x.structs, name); i >= 0 {
		return int32(i + 1)
	}
	x.structs = append(x.structs, name)
	return int32(len(x.structs))
}

// object is the address of a kernel object.
func (x *explorer) object(name string, trust holds.Object) holds.Value {
	v := holds.To(holds.Pointer)
	v.Typed, v.Size = trust, x.structure(name)
	return v
}

// walk is a load through the address of an object whose structure is known; ok is false if it is not.
func (x *explorer) walk(s *state, base *holds.Value, in bpf.Insn, signed bool) (v holds.Value, ok bool, err error) {
	if !x.judges() || base.Kind != holds.Pointer || base.Size == 0 || base.OrNull || !base.Num.IsConst() || base.Num.Umin != 0 {
		return v, false, nil
	}
	name, off := x.structs[base.Size-1], base.Off+int64(in.Off)
	if off < 0 {
		return v, false, fmt.Errorf("r%d is ptr_%s invalid negative access: off=%d", in.Src, name, off)
	}
	f, known, err := x.p.Objects.Field(name, off, int64(in.Size()))
	switch {
	case x.p.NotGPL && x.rules.FreeObjects && x.p.Objects.Kernel(name):
		return v, false, fmt.Errorf("cannot access kernel 'struct %s' from non-GPL compatible program", name)
	case err != nil || !known:
		return v, false, err
	case f.Type == "":
		return holds.Of(ranges.LoadedScalar(in.Size(), signed)), true, nil
	}
	return x.loaded(s, base, name, &f), true, nil
}

// loaded is the address of an object that was loaded from another.
func (x *explorer) loaded(s *state, base *holds.Value, structure string, f *bpf.ObjectField) holds.Value {
	v := x.object(f.Type, holds.Untrusted)
	may := false
	switch trust := protos.TrustOf(structure, f.Name, x.rules); {
	case f.Union:
		v.Traits = holds.Unguarded
	case base.Traits&holds.Unguarded != 0:
		v.Traits = holds.Unguarded
	case !base.Trusts() && base.Traits&holds.Protected == 0: // of what is not trusted, nothing is
	case trust == protos.TrustFull || trust == protos.TrustOrNull:
		v.Typed, may = holds.Trusted, trust == protos.TrustOrNull
	case !x.inRCU(s):
		v.Traits = holds.Unguarded
	case trust == protos.TrustRCU:
		v.Typed, v.Traits = holds.Trusted, holds.Protected
	case trust == protos.TrustRCUOrNull || f.RCU:
		v.Typed, v.Traits, may = holds.Trusted, holds.Protected, true
	}
	if may {
		v.OrNull, v.Link = true, x.newLink()
	}
	return v
}

// handObject judges a part of an object that a helper reads (check_ptr_to_btf_access).
func (x *explorer) handObject(v *holds.Value, reg uint8, size int64) error {
	name := x.structs[v.Size-1]
	switch {
	case v.Off < 0:
		return fmt.Errorf("r%d is ptr_%s invalid negative access: off=%d", reg, name, v.Off)
	case !v.Num.IsConst() || v.Num.Umin != 0:
		return fmt.Errorf("r%d is ptr_%s invalid variable offset: off=%d", reg, name, v.Off)
	}
	_, _, err := x.p.Objects.Field(name, v.Off, size)
	return err
}

// handedOut is how the address of a kernel object is trusted that the kernel hands to a program.
func handedOut(v *kernels.Verifier) holds.Object {
	if v.Trusted {
		return holds.Trusted
	}
	return holds.Untrusted
}
