// SPDX-License-Identifier: GPL-2.0-only

package shape

import (
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/verify/form"
)

// What the verifier finds out about whole programs for exceptions and private stacks.

// MarkExceptions sets the exception boundary and the callback (jit_subprogs). A program that throws
// has a callback: the verifier adds one if it has none.
func MarkExceptions(p *bpf.Program, funcs []FuncInfo) error {
	callback := -1
	for i, f := range p.Funcs {
		switch {
		case !f.ExceptionCB:
		case callback >= 0:
			return fmt.Errorf("functions %d and %d are both exception callbacks", callback, i)
		case i == 0:
			return errors.New("the main function cannot be the exception callback")
		default:
			callback, funcs[i].ExceptionCB = i, true
		}
	}
	if !p.Throws() {
		return nil
	}
	if callback < 0 {
		return fmt.Errorf("calls %s and has no exception callback", bpf.ThrowKfunc)
	}
	funcs[0].ExceptionBoundary = true
	return nil
}

// Exceptions refuses a callback for exceptions that is not what kernels call (bpf_find_exception_callback_insn_off and
// do_check_common). Of one whose type is not known only the number counts.
func Exceptions(p *bpf.Program) error {
	found := false
	for i := range p.Funcs {
		f := &p.Funcs[i]
		switch {
		case !f.ExceptionCB:
			continue
		case found:
			return errors.New("multiple exception callback tags for main subprog")
		case f.Global && f.Void:
			return fmt.Errorf("exception callback %s returns nothing: only those that return a number are supported", f.Name)
		case f.Global && f.Address:
			return fmt.Errorf("exception callback %s doesn't return scalar: only those that return a number are supported", f.Name)
		case f.Global && (len(f.Params) != 1 || f.Params[0].Kind != bpf.ParamNumber):
			return fmt.Errorf("exception callback %s: only a single integer argument is supported", f.Name)
		}
		found = true
	}
	return nil
}

// hasPrivateStack are the program types whose functions can have a private stack: those that a
// program of the same kind may interrupt on the same CPU, and that the kernel keeps from doing so
// (bpf_enable_priv_stack). The numbers without a name are tracepoint, perf event, raw tracepoint, LSM.
var hasPrivateStack = map[bpf.ProgType]bool{bpf.Kprobe: true, bpf.Tracing: true, 5: true, 7: true, 17: true, 29: true}

// mayHavePrivateStack reports whether functions of a program can have a private stack: none of its
// functions makes tail calls, dead code included, which has_tail_call is set for before it goes
// (check_subprogs).
func mayHavePrivateStack(p *bpf.Program) bool {
	if !hasPrivateStack[p.Type] {
		return false
	}
	if p.Submitted != nil {
		p = p.Submitted
	}
	for i := bpf.InsnIndex(0); int(i) < len(p.Insns); i += p.Insns[i].Width() {
		if in := p.Insns[i]; in.Op == bpf.OpCall && in.Src == 0 && in.Imm == bpf.HelperTailCall {
			return false
		}
	}
	return true
}

// privateStackMin is BPF_PRIV_STACK_MIN_SIZE: the size in bytes, rounded up to 16, from which on a
// function gets a private stack.
const privateStackMin = 64

// MarkPrivateStacks gives functions with much stack one of their own (check_max_stack_depth).
func MarkPrivateStacks(p *bpf.Program, funcs []FuncInfo) {
	if !mayHavePrivateStack(p) {
		return
	}
	start := make(map[bpf.InsnIndex]int, len(funcs))
	for i, f := range funcs {
		start[f.Start] = i
	}
	seen := make([]bool, len(funcs))
	seen[0] = true
	for work := []int{0}; len(work) > 0; {
		f := &funcs[work[len(work)-1]]
		work = work[:len(work)-1]
		f.PrivateStack = (f.StackDepth-mayGotoStack(p, f)+15)&^15 >= privateStackMin
		for i := f.Start; i < f.End; i += p.Insns[i].Width() {
			to, ok := p.Insns[i].Callee(i)
			if fn, known := start[to]; ok && known && !seen[fn] {
				seen[fn] = true
				work = append(work, fn)
			}
		}
	}
}

// mayGotoStack returns how many bytes of a function's stack are the counter of may_goto, which the
// verifier adds after it has decided about private stacks.
func mayGotoStack(p *bpf.Program, f *FuncInfo) int32 {
	in := p.Insns[f.Start]
	if in.Op != bpf.ClassST|bpf.ModeMem|bpf.SizeDW || in.Dst != bpf.RegFP || int32(in.Off) != -((f.StackDepth+7)&^7) {
		return 0
	}
	switch in.Imm {
	case form.MayGotoCount:
		return 8
	case form.MayGotoTimed:
		return 16
	}
	return 0
}

// SignedLoads refuses sign-extending loads from an arena where the JIT has none; arenas tells by slot what accesses one
// (convert_ctx_accesses).
func SignedLoads(p *bpf.Program, arenas []bool, isa kernels.ISA) error {
	for i, in := range p.Insns {
		if arenas[i] && in.Class() == bpf.ClassLDX && in.Op&bpf.ModeMask == bpf.ModeMemSX && isa&kernels.ISAArenaSignExtend == 0 {
			return bpf.ErrorAt(p.Insns, bpf.InsnIndex(i), errors.New("sign extending loads from arena are not supported yet"))
		}
	}
	return nil
}
