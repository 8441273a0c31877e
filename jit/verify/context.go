// SPDX-License-Identifier: GPL-2.0-only

package verify

import (
	"fmt"
	"strings"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/verify/holds"
	"github.com/tcsim/tcsim/jit/verify/protos"
)

// fieldKinds are what loads from a context give.
var fieldKinds = map[protos.Field]holds.Kind{
	protos.FieldPacket: holds.Packet, protos.FieldPacketEnd: holds.PacketEnd, protos.FieldPacketMeta: holds.PacketMeta,
	protos.FieldSockCommonOrNull: holds.SockCommon, protos.FieldSocket: holds.Socket, protos.FieldSocketOrNull: holds.Socket,
	protos.FieldFlowKeys: holds.FlowKeys, protos.FieldBuffer: holds.Buffer, protos.FieldObject: holds.Pointer,
}

// readTyped is a load outside the stack in a program as users write it. What it gives is lent, or in x.room.
func (x *explorer) readTyped(s *state, base *holds.Value, in bpf.Insn, size int, signed bool) (*holds.Value, error) {
	if base.Kind == holds.Context {
		off := base.Off + int64(in.Off)
		f, err := protos.Context(x.p.Type, x.p.AttachType, protos.Access{Off: off, Size: int64(size), Signed: signed})
		if k := fieldKinds[f]; err == nil && k != holds.None {
			v := &x.room
			*v = holds.To(k)
			if f == protos.FieldSockCommonOrNull || f == protos.FieldSocketOrNull {
				v.OrNull, v.Link = true, x.newLink()
			}
			if k == holds.Pointer {
				v.Typed = handedOut(x.rules)
			}
			return v, nil
		}
		if v, ok, err := x.hookArg(off, size); ok || err != nil {
			x.room = v
			return &x.room, err
		}
	}
	if f := x.kptrAt(base, in); f != nil && x.judges() && in.Class() == bpf.ClassLDX {
		x.room = x.kptr(s, f)
		return &x.room, nil
	}
	return holds.Loaded(size, signed), nil
}

// hookArg is an argument of the function that a program is attached to, where BTF says what it is (btf_ctx_access).
func (x *explorer) hookArg(off int64, size int) (v holds.Value, ok bool, err error) {
	h := x.p.Hook
	if h == nil || !x.judges() {
		return v, false, nil
	}
	arg := off / 8
	switch n := int64(len(h.Params)); {
	case off < 0 || off%8 != 0:
		return v, false, fmt.Errorf("func '%s' offset %d is not multiple of 8", x.p.AttachTo, off)
	case arg > n || arg == n && !protos.SeesResult(x.p.Type, x.p.AttachType):
		return v, false, fmt.Errorf("func '%s' doesn't have %d-th argument", x.p.AttachTo, arg+1)
	case arg == n:
		return x.hookResult(size)
	}
	p := &h.Params[arg]
	switch {
	case p.Kind != bpf.ParamPointer:
		return v, false, nil
	case size != 8:
		return v, false, fmt.Errorf("func '%s' size %d must be 8", x.p.AttachTo, size)
	case x.p.AttachType == protos.AttachIter && x.p.Type == bpf.Tracing:
		return x.iterated(p), true, nil
	case p.Type == "":
		return holds.AnyNumber(), true, nil
	}
	v = x.object(p.Type, holds.Trusted)
	may := strings.HasSuffix(p.Name, "__nullable")
	switch {
	case x.p.Type == bpf.LSM && protos.HookUntrusted(x.p.AttachTo) || x.p.Type == bpf.Tracing && x.p.AttachType != protos.AttachRawTP:
		v.Typed = holds.Untrusted
	case x.p.Type == bpf.Tracing:
		known := protos.TracepointArgument(x.p.AttachTo, arg, x.rules)
		if known == protos.ArgumentMayFail {
			return holds.AnyNumber(), true, nil
		}
		may = may || known == protos.ArgumentMayNull
	}
	if may {
		v.OrNull, v.Link = true, x.newLink()
	}
	return v, true, nil
}

// hookResult is what the function returned that a program is attached to.
func (x *explorer) hookResult(size int) (v holds.Value, ok bool, err error) {
	switch r := protos.HookRangeOf(x.p, x.rules); {
	case x.p.Hook.Void:
		return v, false, fmt.Errorf("func '%s' returns nothing", x.p.AttachTo)
	case x.p.Hook.Pointer && size != 8:
		return v, false, fmt.Errorf("func '%s' size %d must be 8", x.p.AttachTo, size)
	case r != nil:
		v = holds.AnyNumber()
		v.Num.LimitResult(r.Max, &x.rules.Ranges)
		return v, true, nil
	}
	return v, false, nil
}

// iterated is what an iterator hands to a program besides its own state: an object or memory, or null at the end
// (bpf_ctx_arg_aux of bpf_iter_reg).
func (x *explorer) iterated(p *bpf.Param) holds.Value {
	v := holds.To(holds.Pointer)
	switch {
	case p.Name == "meta":
		return x.object(p.Type, holds.Trusted)
	case p.Type == "":
		v.Kind = holds.Buffer
		if p.Name == "key" {
			v.Traits = holds.ReadOnly
		}
	case protos.IteratesTrusted(x.p.AttachTo):
		v = x.object(p.Type, holds.Trusted)
	default:
		v.Typed = holds.Unsure
	}
	v.OrNull, v.Link = true, x.newLink()
	return v
}
