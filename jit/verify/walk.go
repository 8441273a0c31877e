// SPDX-License-Identifier: GPL-2.0-only

package verify

import (
	"fmt"
	"slices"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/kernels"
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
func (x *explorer) object(name string, trust objectKind) value {
	v := pointer(kindPointer)
	v.typed, v.size = trust, x.structure(name)
	return v
}

// trusts reports whether an address of a kernel object is trusted (is_trusted_reg).
func (v *value) trusts() bool {
	return v.ref != 0 || v.typed == trusted && v.traits&(protected|unguarded) == 0
}

// walk is a load through the address of an object whose structure is known; ok is false if it is not.
func (x *explorer) walk(s *state, base *value, in bpf.Insn, signed bool) (v value, ok bool, err error) {
	if !x.judges() || base.kind != kindPointer || base.size == 0 || base.orNull || !base.num.IsConst() || base.num.Umin != 0 {
		return v, false, nil
	}
	name, off := x.structs[base.size-1], base.off+int64(in.Off)
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
		return number(ranges.LoadedScalar(in.Size(), signed)), true, nil
	}
	return x.loaded(s, base, name, &f), true, nil
}

// loaded is the address of an object that was loaded from another.
func (x *explorer) loaded(s *state, base *value, structure string, f *bpf.ObjectField) value {
	v := x.object(f.Type, untrusted)
	may := false
	switch trust := protos.TrustOf(structure, f.Name, x.rules); {
	case f.Union:
		v.traits = unguarded
	case base.traits&unguarded != 0:
		v.traits = unguarded
	case !base.trusts() && base.traits&protected == 0: // of what is not trusted, nothing is
	case trust == protos.TrustFull || trust == protos.TrustOrNull:
		v.typed, may = trusted, trust == protos.TrustOrNull
	case !x.inRCU(s):
		v.traits = unguarded
	case trust == protos.TrustRCU:
		v.typed, v.traits = trusted, protected
	case trust == protos.TrustRCUOrNull || f.RCU:
		v.typed, v.traits, may = trusted, protected, true
	}
	if may {
		v.orNull, v.link = true, x.newLink()
	}
	return v
}

// handObject judges a part of an object that a helper reads (check_ptr_to_btf_access).
func (x *explorer) handObject(v *value, reg uint8, size int64) error {
	name := x.structs[v.size-1]
	switch {
	case v.off < 0:
		return fmt.Errorf("r%d is ptr_%s invalid negative access: off=%d", reg, name, v.off)
	case !v.num.IsConst() || v.num.Umin != 0:
		return fmt.Errorf("r%d is ptr_%s invalid variable offset: off=%d", reg, name, v.off)
	}
	_, _, err := x.p.Objects.Field(name, v.off, size)
	return err
}

// fitsObject judges a kernel object whose structure is known as an argument of a helper (check_reg_type).
func fitsObject(a protos.Arg, reg uint8, v *value) error {
	word := "ptr_"
	if v.traits&unguarded != 0 {
		word = "untrusted_ptr_"
	}
	switch {
	case a.Is("iIbBo") && v.traits&unguarded != 0:
		return fmt.Errorf("r%d type=%s expected=ptr_, trusted_ptr_, rcu_ptr_", reg, word)
	case a.Kind == 'P' && v.typed != perCPU:
		return fmt.Errorf("r%d type=%s expected=percpu_ptr_", reg, word)
	case !a.Is("kvVumnMWNrwx"):
		return nil
	case !v.trusts():
		return fmt.Errorf("r%d type=%s expected=fp, pkt, pkt_meta, map_key, map_value, mem, ringbuf_mem, buf, trusted_ptr_", reg, word)
	case a.Stores():
		return fmt.Errorf("a helper may write into memory pointed by r%d type=trusted_%s", reg, word)
	}
	return nil
}

// handedOut is how the address of a kernel object is trusted that the kernel hands to a program.
func handedOut(v *kernels.Verifier) objectKind {
	if v.Trusted {
		return trusted
	}
	return untrusted
}
