// SPDX-License-Identifier: GPL-2.0-only

package verify

import (
	"strings"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/verify/protos"
	"github.com/tcsim/tcsim/jit/verify/ranges"
)

// fieldKinds are what loads from a context give.
var fieldKinds = map[protos.Field]valueKind{
	protos.FieldPacket: kindPacket, protos.FieldPacketEnd: kindPacketEnd, protos.FieldPacketMeta: kindPacketMeta,
	protos.FieldSockCommonOrNull: kindSockCommon, protos.FieldSocket: kindSocket, protos.FieldSocketOrNull: kindSocket,
	protos.FieldFlowKeys: kindFlowKeys, protos.FieldBuffer: kindBuffer, protos.FieldObject: kindPointer,
}

// readTyped is a load outside the stack in a program as users write it.
func (x *explorer) readTyped(s *state, base value, in bpf.Insn, size int, signed bool) (value, error) {
	if base.kind == kindContext {
		off := base.off + int64(in.Off)
		f, err := protos.Context(x.p.Type, x.p.AttachType, protos.Access{Off: off, Size: int64(size), Signed: signed})
		if k := fieldKinds[f]; err == nil && k != kindNone {
			v := pointer(k)
			if f == protos.FieldSockCommonOrNull || f == protos.FieldSocketOrNull {
				v.orNull, v.link = true, x.newLink()
			}
			if k == kindPointer {
				v.typed = handedOut(x.rules)
			}
			return v, nil
		}
		if v, ok := x.hookArg(off, size); ok {
			return v, nil
		}
	}
	if f := x.kptrAt(&base, in); f != nil && x.judges() && in.Class() == bpf.ClassLDX {
		return x.kptr(s, f), nil
	}
	return number(ranges.LoadedScalar(size, signed)), nil
}

// hookArg is an argument of the function that a program is attached to, where BTF says what it is (btf_ctx_access).
func (x *explorer) hookArg(off int64, size int) (value, bool) {
	h := x.p.Hook
	if r := x.hookRange(); r != nil && x.judges() && off == 8*int64(len(h.Params)) {
		v := unknownNumber()
		v.num.LimitResult(r.Max, &x.rules.Ranges)
		return v, true
	}
	if h == nil || !x.judges() || off < 0 || off%8 != 0 || off/8 >= int64(len(h.Params)) || h.Params[off/8].Kind != bpf.ParamPointer || size != 8 {
		return value{}, false
	}
	if x.p.AttachType == protos.AttachIter && x.p.Type == bpf.Tracing {
		return x.iterated(&h.Params[off/8]), true
	}
	v := x.object(h.Params[off/8].Type, trusted)
	if x.p.Type == bpf.LSM && protos.HookUntrusted(x.p.AttachTo) || x.p.Type == bpf.Tracing && x.p.AttachType != protos.AttachRawTP {
		v.typed = untrusted
	}
	if strings.HasSuffix(h.Params[off/8].Name, "__nullable") {
		v.orNull, v.link = true, x.newLink()
	}
	return v, true
}

// iterated is what an iterator hands to a program besides its own state: an object or memory, or null at the end
// (bpf_ctx_arg_aux of bpf_iter_reg).
func (x *explorer) iterated(p *bpf.Param) value {
	v := pointer(kindPointer)
	switch {
	case p.Name == "meta":
		return x.object(p.Type, trusted)
	case p.Type == "":
		v.kind = kindBuffer
		if p.Name == "key" {
			v.traits = readOnly
		}
	case protos.IteratesTrusted(x.p.AttachTo):
		v = x.object(p.Type, trusted)
	default:
		v.typed = unsure
	}
	v.orNull, v.link = true, x.newLink()
	return v
}
