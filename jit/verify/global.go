// SPDX-License-Identifier: GPL-2.0-only

package verify

import (
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/jit/bpf"
)

// Global functions are verified once, from what BTF says of their parameters, and a call of one is
// checked against that without following it (kernel/bpf/verifier.c: btf_check_func_arg_match until 6.7,
// btf_check_subprog_call and do_check_subprogs since).

// params gives a global function the parameters that it is verified with.
func (x *explorer) params(s *state, f *bpf.Func) {
	regs := &s.top().regs
	for r := 1; r <= 5; r++ {
		regs[r] = value{}
	}
	for i, p := range f.Params {
		switch p.Kind {
		case bpf.ParamNumber:
			regs[i+1] = unknownNumber()
		case bpf.ParamContext:
			regs[i+1] = pointer(kindContext)
		default:
			if regs[i+1] = pointer(kindPointer); p.Kind == bpf.ParamMemory && x.judges() && x.p.Type != bpf.Extension {
				regs[i+1].kind, regs[i+1].size = kindMemory, p.Size
			}
			if p.Nullable {
				regs[i+1].orNull, regs[i+1].link = true, x.newLink()
			}
		}
	}
}

// callGlobal is a call of a global function: memory that it is handed may change, and its result is any
// number.
func (x *explorer) callGlobal(s *state, f *bpf.Func) (bool, error) {
	top := s.top()
	switch h := &s.held; {
	case !x.judges():
	case h.lock.mapIdx != 0:
		return false, errors.New("global function calls are not allowed while holding a lock")
	case h.preempt > 0:
		return false, errors.New("global function calls are not allowed with preemption disabled")
	}
	for i, p := range f.Params {
		v := top.regs[i+1]
		if x.strict && v.kind == kindNone {
			return false, fmt.Errorf("argument r%d of global function %s is not initialised", i+1, f.Name)
		}
		if err := x.globalArg(&p, &v, uint8(i+1)); err != nil {
			return false, fmt.Errorf("caller passes invalid args into global function %s: %w", f.Name, err)
		}
		if v.kind != kindStack || p.Kind != bpf.ParamMemory {
			continue
		}
		lo, hi := stackRange(&v, 0)
		if err := x.touch(s.frames[v.frame].fn, lo, hi+int64(p.Size)); err != nil {
			return false, err
		}
		x.reads(s, int(v.frame), slotBits(lo, hi+int64(p.Size)))
		if err := x.readsObject(&s.frames[v.frame], lo, hi+int64(p.Size), "indirect "); err != nil {
			return false, err
		}
		s.frames[v.frame].fillAny(lo, hi+int64(p.Size))
	}
	if x.judges() && x.movers[f.Start] {
		s.loosePackets()
	}
	for r := range 6 {
		top.regs[r] = value{}
	}
	top.regs[0] = unknownNumber()
	s.pc++
	return true, nil
}

// globalArg refuses what a global function does not take (btf_check_func_arg_match).
func (x *explorer) globalArg(p *bpf.Param, v *value, reg uint8) error {
	if !x.judges() || v.loose() {
		return nil
	}
	switch p.Kind {
	case bpf.ParamNumber:
		if v.kind != kindNumber {
			return fmt.Errorf("r%d is not a scalar", reg)
		}
	case bpf.ParamContext:
		if v.kind != kindContext {
			return fmt.Errorf("arg#%d expects pointer to ctx", reg-1)
		}
		return unmoved(reg, v)
	case bpf.ParamPointer:
		if v.orNull && !p.Nullable || v.kind == kindNumber && !(v.null() && p.Nullable) && p.Type != "" {
			return fmt.Errorf("r%d type=%s expected=ptr_, trusted_ptr_, rcu_ptr_", reg, v.word())
		}
	case bpf.ParamMemory:
		switch {
		case v.null() && p.Nullable, v.kind == kindStack:
			return nil
		case v.orNull && !p.Nullable, v.null():
			return fmt.Errorf("arg#%d is expected to be non-NULL", reg-1)
		case !memory(v.kind):
			return fmt.Errorf("r%d type=%s expected=fp, pkt, map_value, mem", reg, v.word())
		}
		plain := *v
		plain.orNull = false
		return x.mayHand(&plain, reg, int64(p.Size), true)
	}
	return nil
}

// findMovers finds the functions that may move the packet, or call one that does (mark_subprog_changes_pkt_data).
func (x *explorer) findMovers() {
	x.movers = make(map[bpf.InsnIndex]bool, len(x.funcs))
	for again := true; again; {
		again = false
		for _, f := range x.funcs {
			for i := f.Start; i < f.End && !x.movers[f.Start]; i += x.p.Insns[i].Width() {
				in := x.p.Insns[i]
				to, ok := in.Callee(i)
				if in.Op == bpf.OpCall && in.Src == 0 && (movesPacket[in.Imm] || in.Imm == bpf.HelperTailCall) || ok && x.movers[to] {
					x.movers[f.Start], again = true, true
				}
			}
		}
	}
}
