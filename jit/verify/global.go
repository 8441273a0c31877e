// SPDX-License-Identifier: GPL-2.0-only

package verify

import (
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
			regs[i+1] = pointer(kindPointer)
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
	for i, p := range f.Params {
		v := top.regs[i+1]
		if x.strict && v.kind == kindNone {
			return false, fmt.Errorf("argument r%d of global function %s is not initialised", i+1, f.Name)
		}
		if v.kind != kindStack || p.Kind != bpf.ParamMemory {
			continue
		}
		lo, hi := stackRange(&v, 0)
		if err := x.touch(s.frames[v.frame].fn, lo, hi+int64(p.Size)); err != nil {
			return false, err
		}
		x.reads(s, int(v.frame), slotBits(lo, hi+int64(p.Size)))
		s.frames[v.frame].fillAny(lo, hi+int64(p.Size))
	}
	for r := range 6 {
		top.regs[r] = value{}
	}
	top.regs[0] = unknownNumber()
	s.pc++
	return true, nil
}
