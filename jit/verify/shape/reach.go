// SPDX-License-Identifier: GPL-2.0-only

package shape

import (
	"fmt"
	"slices"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/kernels"
)

// maxPaths is how many calls a walk over the calls of a program may make.
const maxPaths = 1_000_000

// MarkReachable sets TailCallReachable as the verifier's walk over the calls does
// (check_max_stack_depth). It walks what was submitted if that is known: dead code is removed
// later.
func MarkReachable(p *bpf.Program, r *kernels.Verifier, funcs []FuncInfo) error {
	if p.Submitted == nil {
		return reach(p.Insns, r, funcs)
	}
	all, err := Form(p.Submitted, NumRegs, false)
	if err != nil {
		return fmt.Errorf("submitted form: %w", err)
	}
	if err := reach(p.Submitted.Insns, r, all); err != nil {
		return fmt.Errorf("submitted form: %w", err)
	}
	at := make(map[bpf.InsnIndex]bool, len(all))
	for _, f := range all {
		at[f.Start] = f.TailCallReachable
	}
	for i, f := range p.Funcs {
		funcs[i].TailCallReachable = at[f.Origin]
	}
	return nil
}

func reach(insns []bpf.Insn, r *kernels.Verifier, funcs []FuncInfo) error {
	w := reachWalk{insns: insns, rules: r, funcs: funcs, start: map[bpf.InsnIndex]int{}, has: make([]bool, len(funcs))}
	for i, f := range funcs {
		w.start[f.Start] = i
		for j := f.Start; j < f.End; j += insns[j].Width() {
			if in := insns[j]; in.Op == bpf.OpCall && in.Src == 0 && in.Imm == bpf.HelperTailCall {
				w.has[i] = true
				if r.OwnReach {
					funcs[i].TailCallReachable = true
				}
			}
		}
	}
	return w.walk(0)
}

// reachWalk is the state of one walk over the calls of a program.
type reachWalk struct {
	insns []bpf.Insn
	rules *kernels.Verifier
	funcs []FuncInfo
	start map[bpf.InsnIndex]int
	has   []bool // function holds a tail call
	stack []int  // functions that wait for the current one
	found bool   // a tail call was met in a callee
	calls int
}

func (w *reachWalk) walk(fn int) error {
	f := w.funcs[fn]
	for i := f.Start; i < f.End; i += w.insns[i].Width() {
		callee, ok := w.insns[i].Callee(i)
		if !ok {
			continue
		}
		if !w.insns[i].IsSubCall() && (w.start[callee] == fn || slices.Contains(w.stack, w.start[callee])) {
			continue // a function that runs later and sets itself again
		}
		if w.calls++; w.calls > maxPaths {
			return fmt.Errorf("call graph has more than %d paths", maxPaths)
		}
		to, before := w.start[callee], w.found
		if w.rules.FrameReach {
			w.found = false
		}
		w.found = w.found || w.has[to]
		w.stack = append(w.stack, fn)
		if err := w.walk(to); err != nil {
			return err
		}
		w.stack = w.stack[:len(w.stack)-1]
		if w.rules.FrameReach {
			w.found = before
		}
	}
	if w.found {
		for _, caller := range w.stack {
			w.funcs[caller].TailCallReachable = true
		}
		w.funcs[fn].TailCallReachable = w.funcs[fn].TailCallReachable || w.rules.OwnMark
	}
	return nil
}
