// SPDX-License-Identifier: GPL-2.0-only

package object

import (
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/verify/protos"
)

// functionTypes returns what BTF says of the functions of a program, by the slot where each begins.
func (l *linker) functionTypes() map[int]*btf.Func {
	out := map[int]*btf.Func{}
	for i := range l.insns {
		if f := btf.FuncMetadata(&l.insns[i]); f != nil {
			out[l.at[i]] = f
		}
	}
	return out
}

// tags are the declaration tags of a program's function.
func tags(p *ebpf.ProgramSpec) []string {
	if len(p.Instructions) == 0 {
		return nil
	}
	f := btf.FuncMetadata(&p.Instructions[0])
	if f == nil {
		return nil
	}
	return f.Tags
}

func returnsNothing(f *btf.Func) bool {
	proto, ok := f.Type.(*btf.FuncProto)
	if !ok {
		return false
	}
	_, void := btf.UnderlyingType(proto.Return).(*btf.Void)
	return void
}

// returnsAddress reports whether a function returns neither a number nor nothing.
func returnsAddress(f *btf.Func) bool {
	proto, ok := f.Type.(*btf.FuncProto)
	if !ok {
		return false
	}
	switch btf.UnderlyingType(proto.Return).(type) {
	case *btf.Int, *btf.Enum, *btf.Void:
		return false
	}
	return true
}

// kfunc returns the index of a kernel function among those that the program calls.
func (l *linker) kfunc(name string) int {
	n := slices.Index(l.kfuncs, name)
	if n < 0 {
		n = len(l.kfuncs)
		l.kfuncs = append(l.kfuncs, name)
	}
	return n
}

// signatures are what the kernel's BTF, or else the file's, says of the kernel functions that the program calls.
func (l *linker) signatures() map[string]bpf.Signature {
	out := map[string]bpf.Signature{}
	for _, name := range l.kfuncs {
		for _, types := range []*btf.Spec{l.r.types, l.r.spec.Types} {
			var f *btf.Func
			if types == nil || types.TypeByName(name, &f) != nil {
				continue
			}
			if s, ok := signature(f); ok {
				out[name] = s
				break
			}
		}
	}
	return out
}

// signature is what BTF says of a function of the kernel.
func signature(f *btf.Func) (s bpf.Signature, ok bool) {
	proto, ok := f.Type.(*btf.FuncProto)
	if !ok {
		return s, false
	}
	s.Params = params(f, 0)
	for i := range s.Params {
		p := &s.Params[i]
		p.Name = proto.Params[i].Name
		p.Type, p.Opaque = structure(proto.Params[i].Type)
	}
	switch ret := btf.UnderlyingType(proto.Return).(type) {
	case *btf.Void, nil:
		s.Void = true
	case *btf.Pointer:
		s.Pointer = true
		_, s.Untyped = btf.UnderlyingType(ret.Target).(*btf.Void)
		if s.Type, _ = structure(ret); s.Type == "" {
			if n, err := btf.Sizeof(btf.UnderlyingType(ret.Target)); err == nil {
				s.Size = int32(n)
			}
		}
	}
	return s, true
}

// structure is the name of the structure that a type leads to, "" if it does not, and whether that holds more than
// numbers (__btf_type_is_scalar_struct).
func structure(t btf.Type) (name string, opaque bool) {
	p, ok := btf.UnderlyingType(t).(*btf.Pointer)
	if !ok {
		return "", false
	}
	switch t := btf.UnderlyingType(p.Target).(type) {
	case *btf.Struct:
		return t.Name, !numbers(t, 0)
	case *btf.Union:
		return t.Name, true
	case *btf.Fwd:
		return t.Name, true
	}
	return "", false
}

func numbers(t btf.Type, depth int) bool {
	switch t := btf.UnderlyingType(t).(type) {
	case *btf.Int, *btf.Enum:
		return true
	case *btf.Array:
		return numbers(t.Type, depth)
	case *btf.Struct:
		if depth > 3 {
			return false
		}
		for _, m := range t.Members {
			if !numbers(m.Type, depth+1) {
				return false
			}
		}
		return true
	}
	return false
}

// hook is what the kernel's BTF says of the function that a program is attached to, nil if it is not known.
func (l *linker) hook(p *bpf.Program) *bpf.Signature {
	name, skip := "", 0
	switch {
	case l.r.types == nil || p.AttachTo == "":
		return nil
	case p.Type == bpf.LSM:
		name = "bpf_lsm_" + p.AttachTo
	case p.Type != bpf.Tracing:
		return nil
	case p.AttachType == protos.AttachRawTP:
		name, skip = "btf_trace_"+p.AttachTo, 1 // the first is the tracepoint's own
	case p.AttachType == protos.AttachIter:
		name = "bpf_iter_" + p.AttachTo
	default:
		name = p.AttachTo
	}
	var t btf.Type
	if skip > 0 {
		var d *btf.Typedef
		if l.r.types.TypeByName(name, &d) != nil {
			return nil
		}
		ptr, ok := btf.UnderlyingType(d).(*btf.Pointer)
		if !ok {
			return nil
		}
		t = ptr.Target
	} else {
		var f *btf.Func
		if l.r.types.TypeByName(name, &f) != nil {
			return nil
		}
		t = f.Type
	}
	proto, ok := t.(*btf.FuncProto)
	if !ok || len(proto.Params) < skip {
		return nil
	}
	s := &bpf.Signature{}
	for _, arg := range proto.Params[skip:] {
		out := bpf.Param{Kind: bpf.ParamNumber, Name: arg.Name}
		if _, ok := btf.UnderlyingType(arg.Type).(*btf.Pointer); ok {
			out.Kind = bpf.ParamPointer
			out.Type, out.Opaque = structure(arg.Type)
		}
		s.Params = append(s.Params, out)
		if n, err := btf.Sizeof(arg.Type); err == nil && n > 8 { // handed over by value in two registers
			s.Params = append(s.Params, bpf.Param{Name: arg.Name})
		}
	}
	_, s.Void = btf.UnderlyingType(proto.Return).(*btf.Void)
	_, s.Pointer = btf.UnderlyingType(proto.Return).(*btf.Pointer)
	return s
}

// maxParams is how many parameters registers hold.
const maxParams = 5

// params are the parameters of a function that programs of a type call, as the kernel reads them from
// BTF (btf_prepare_func_args).
func params(f *btf.Func, t bpf.ProgType) []bpf.Param {
	proto, ok := f.Type.(*btf.FuncProto)
	if !ok {
		return nil
	}
	var out []bpf.Param
	for i, p := range proto.Params {
		if i == maxParams {
			break
		}
		var tags []string
		if i < len(f.ParamTags) {
			tags = f.ParamTags[i]
		}
		at := param(p.Type, tags, t)
		at.Mixed = len(tags) > 1 && slices.ContainsFunc(tags, func(tag string) bool { return tag == "arg:ctx" || tag == "arg:untrusted" || tag == "arg:arena" })
		out = append(out, at)
	}
	return out
}

func param(typ btf.Type, tags []string, t bpf.ProgType) bpf.Param {
	ptr, ok := btf.UnderlyingType(typ).(*btf.Pointer)
	if !ok {
		return bpf.Param{}
	}
	to := btf.UnderlyingType(ptr.Target)
	for _, tag := range tags {
		switch tag {
		case "arg:ctx":
			return bpf.Param{Kind: bpf.ParamContext}
		case "arg:arena":
			return bpf.Param{Kind: bpf.ParamPointer}
		case "arg:untrusted":
			out := bpf.Param{Kind: bpf.ParamUntrusted}
			switch to.(type) {
			case *btf.Void, *btf.Int, *btf.Enum:
			default:
				out.Type = to.TypeName()
			}
			return out
		case "arg:trusted":
			return bpf.Param{Kind: bpf.ParamPointer, Type: to.TypeName(), Nullable: slices.Contains(tags, "arg:nullable")}
		}
	}
	if s, ok := to.(*btf.Struct); ok && t != 0 && (s.Name == "bpf_dynptr" || s.Name == "bpf_dynptr_kern") {
		return bpf.Param{Kind: bpf.ParamDynptr}
	}
	if name := protos.ContextStructs[t]; name != "" && to.TypeName() == name {
		return bpf.Param{Kind: bpf.ParamContext}
	}
	switch size, err := btf.Sizeof(to); {
	case err != nil || size <= 0:
		return bpf.Param{Kind: bpf.ParamPointer}
	default:
		return bpf.Param{Kind: bpf.ParamMemory, Size: int32(size), Nullable: !slices.Contains(tags, "arg:nonnull")}
	}
}
