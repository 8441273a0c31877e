// SPDX-License-Identifier: GPL-2.0-only

package verify

import (
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/verify/holds"
	"github.com/tcsim/tcsim/jit/verify/origin"
	"github.com/tcsim/tcsim/jit/verify/shape"
)

// Global functions are verified once, from what BTF says of their parameters, and a call of one is
// checked against that without following it (kernel/bpf/verifier.c: btf_check_func_arg_match until 6.7,
// btf_check_subprog_call and do_check_subprogs since).

// params gives a global function the parameters that it is verified with.
func (x *explorer) params(s *state, f *bpf.Func) {
	top := s.top()
	for r := range uint8(5) {
		top.refer(r+1, &holds.Unwritten)
	}
	for i := range f.Params {
		top.set(uint8(i+1), x.param(&f.Params[i]))
	}
}

func (x *explorer) param(p *bpf.Param) holds.Value {
	switch p.Kind {
	case bpf.ParamNumber:
		return holds.AnyNumber()
	case bpf.ParamContext:
		return holds.To(holds.Context)
	case bpf.ParamDynptr:
		return holds.To(holds.Dynptr)
	case bpf.ParamUntrusted:
		if p.Type != "" {
			return x.object(p.Type, holds.Untrusted)
		}
		return holds.AnyMemory()
	}
	v := holds.To(holds.Pointer)
	if p.Kind == bpf.ParamMemory && x.judges() && x.p.Type != bpf.Extension {
		v.Kind, v.Size = holds.Memory, p.Size
	}
	if p.Nullable {
		v.OrNull, v.Link = true, x.newLink()
	}
	return v
}

// callGlobal is a call of a global function: memory that it is handed may change, and its result is any
// number.
func (x *explorer) callGlobal(s *state, f *bpf.Func) (bool, error) {
	top := s.top()
	switch h := &s.held; {
	case !x.judges():
	case h.Locked():
		return false, errors.New("global function calls are not allowed while holding a lock")
	case h.Preempt > 0 && !x.rules.QuietGlobals:
		return false, errors.New("global function calls are not allowed with preemption disabled")
	case x.rules.QuietGlobals && x.inRCU(s) && x.may(f.Start, shape.Sleeps):
		return false, fmt.Errorf("sleepable global function %s() called where nothing may sleep", f.Name)
	default:
		if err := shape.MayBeGlobal(f, x.rules); err != nil {
			return false, err
		}
	}
	if x.judges() && x.rules.GlobalContexts {
		how := 0
		if x.maySleep(s) && !s.held.Atomic() {
			how = 1
		}
		if x.contexts[f.Start]>>how&1 == 0 {
			x.contexts[f.Start] |= 1 << how
			x.waiting = append(x.waiting, 2*int(x.fnAt[f.Start])+how)
		}
	}
	for i := range f.Params {
		p, v := &f.Params[i], top.regs[i+1]
		if x.strict && v.Kind == holds.None {
			return false, fmt.Errorf("argument r%d of global function %s is not initialised", i+1, f.Name)
		}
		if p.Kind == bpf.ParamDynptr && x.judges() {
			if v.Kind != holds.Stack && v.Kind != holds.Dynptr {
				return false, fmt.Errorf("caller passes invalid args into global function %s: r%d type=%s expected=fp, dynptr_ptr", f.Name, i+1, v.Word())
			}
			if err := x.useDynptr(s, &call{}, v, i); err != nil {
				return false, err
			}
			continue
		}
		if err := x.globalArg(f, p, v, uint8(i+1)); err != nil {
			return false, fmt.Errorf("caller passes invalid args into global function %s: %w", f.Name, err)
		}
		if v.Kind != holds.Stack || p.Kind != bpf.ParamMemory {
			continue
		}
		lo, hi := stackRange(v, 0)
		if err := x.touch(s.frames[v.Frame].fn, lo, hi+int64(p.Size)); err != nil {
			return false, err
		}
		x.reads(s, int(v.Frame), origin.Slots(lo, hi+int64(p.Size)))
		if err := x.readsObject(&s.frames[v.Frame], lo, hi+int64(p.Size), "indirect "); err != nil {
			return false, err
		}
		s.frames[v.Frame].fillAny(lo, hi+int64(p.Size))
	}
	if x.judges() && x.may(f.Start, shape.MovesPacket) {
		s.loosePackets()
	}
	if x.judges() && x.rules.ThrowingGlobals && x.may(f.Start, shape.Throws) {
		if err := x.mayEnd(s, true); err != nil {
			return false, fmt.Errorf("%s may throw: %w", f.Name, err)
		}
	}
	if top.called(); !f.Void || !x.judges() {
		top.refer(0, &holds.Anything)
	}
	s.pc++
	return true, nil
}

// globalArg refuses what a global function does not take (btf_check_func_arg_match).
func (x *explorer) globalArg(f *bpf.Func, p *bpf.Param, v *holds.Value, reg uint8) error {
	object := v.Kind == holds.Pointer && v.Size > 0
	if x.judges() && v.Kind == holds.Own {
		return x.globalOwn(p, v, reg)
	}
	if !x.judges() || v.Loose() && !(object && (p.Kind == bpf.ParamMemory || p.Kind == bpf.ParamPointer && p.Type != "")) {
		return nil
	}
	switch p.Kind {
	case bpf.ParamUntrusted:
		if p.Type != "" && x.p.Objects != nil && !x.p.Objects.Kernel(p.Type) {
			return fmt.Errorf("arg#%d reference type('STRUCT %s') has no matches", reg-1, p.Type)
		}
	case bpf.ParamNumber:
		if v.Kind != holds.Number {
			return fmt.Errorf("r%d is not a scalar", reg)
		}
	case bpf.ParamContext:
		if v.Kind != holds.Context {
			return fmt.Errorf("arg#%d expects pointer to ctx", reg-1)
		}
		return holds.Unmoved(reg, v)
	case bpf.ParamPointer:
		if object && !v.OrNull && (v.Typed == holds.Untrusted || v.Traits&holds.Unguarded != 0) {
			return fmt.Errorf("r%d type=untrusted_ptr_ expected=ptr_, trusted_ptr_, rcu_ptr_", reg)
		}
		if v.OrNull && !p.Nullable || v.Kind == holds.Number && !(v.Null() && p.Nullable) && p.Type != "" {
			return fmt.Errorf("r%d type=%s expected=ptr_, trusted_ptr_, rcu_ptr_", reg, v.Word())
		}
	case bpf.ParamMemory:
		switch {
		case v.Null() && p.Nullable, v.Kind == holds.Stack:
			return nil
		case v.OrNull && !p.Nullable, v.Null():
			return fmt.Errorf("arg#%d is expected to be non-NULL", reg-1)
		case v.Kind == holds.Pointer && v.Size > 0:
			return fmt.Errorf("only read is supported: r%d is an object of the kernel", reg)
		case !holds.IsMemory(v.Kind) || v.Traits&holds.AnyAddress != 0:
			return fmt.Errorf("r%d type=%s expected=fp, pkt, map_value, mem", reg, v.Word())
		case x.rules.PacketPerCall && x.may(f.Start, shape.MovesPacket) && (v.Kind == holds.Packet || v.Kind == holds.PacketMeta || v.Traits&holds.OfPacket != 0):
			return fmt.Errorf("r%d is a packet pointer, but %s may change packet data", reg, f.Name)
		}
		plain := *v
		plain.OrNull = false
		return x.mayHand(&plain, reg, int64(p.Size), true)
	}
	return nil
}

// may reports whether calling the function at a slot may do something.
func (x *explorer) may(at bpf.InsnIndex, e shape.Effects) bool { return x.effects[x.fnAt[at]]&e != 0 }
