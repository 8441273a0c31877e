// SPDX-License-Identifier: GPL-2.0-only

package shape

import (
	"fmt"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/kernels"
)

// maxTailStack is how much stack may be in use above a subprogram that makes tail calls, in bytes.
const maxTailStack = 256

// depthWalk adds up the stack of every chain of calls (check_max_stack_depth). A callee met again
// with no more stack in use is not walked again.
type depthWalk struct {
	p      *bpf.Program
	rules  *kernels.Verifier
	funcs  []FuncInfo
	start  map[bpf.InsnIndex]int
	tails  []bool                 // function holds a tail call
	throws []bool                 // function calls bpf_throw
	loads  []bool                 // function loads by BPF_LD_ABS or BPF_LD_IND
	apart  bool                   // functions with much stack have one of their own
	seen   []int32                // most stack with which a function was walked, -1: not yet
	deep   []int                  // most frames, likewise
	most   int32                  // deepest so far
	sync   map[bpf.InsnIndex]bool // functions that helpers call before they return
	async  map[bpf.InsnIndex]bool // and later
	below  []bool                 // functions that were walked as part of a callback
}

// Depth refuses programs whose calls need too much stack, and returns how much they need at most.
func Depth(p *bpf.Program, r *kernels.Verifier, funcs []FuncInfo, sync, async map[bpf.InsnIndex]bool) (int32, error) {
	w := depthWalk{p: p, sync: sync, async: async, below: make([]bool, len(funcs)), rules: r, funcs: funcs, start: map[bpf.InsnIndex]int{}, tails: make([]bool, len(funcs)), loads: make([]bool, len(funcs)), throws: make([]bool, len(funcs)), seen: make([]int32, len(funcs)), deep: make([]int, len(funcs)), apart: r.PrivateStack && mayHavePrivateStack(p)}
	for i, f := range funcs {
		w.start[f.Start] = i
		w.seen[i] = -1
		for j := f.Start; j < f.End; j += p.Insns[j].Width() {
			if in := p.Insns[j]; in.Op == bpf.OpCall && in.Src == 0 && in.Imm == bpf.HelperTailCall {
				w.tails[i] = true
			} else if in.Class() == bpf.ClassLD && !in.IsLdImm64() {
				w.loads[i] = true
			} else if p.Kfunc(in) == bpf.ThrowKfunc {
				w.throws[i] = true
			}
		}
	}
	if err := w.walk(0, 0, 1, false); err != nil {
		return w.most, err
	}
	most := w.most
	for i := range funcs { // those that run later, on a stack of their own (is_async_cb)
		if async[funcs[i].Start] || p.Funcs[i].ExceptionCB {
			if err := w.walk(i, 0, 1, true); err != nil {
				return most, err
			}
		}
	}
	return most, nil
}

// walk goes down from a function; callback says that it or one above it is one that a helper calls.
func (w *depthWalk) walk(fn int, used int32, frames int, callback bool) error {
	f := w.funcs[fn]
	callback = callback || f.ExceptionCB
	if most := MaxFrames * w.rules.FrameFactor(); frames > most {
		return fmt.Errorf("the call stack of %d frames is too deep", most)
	}
	if fn != 0 && w.tails[fn] && used >= maxTailStack {
		return fmt.Errorf("function %d (%s) makes tail calls: %d bytes of stack in the frames above it are too much", fn, f.Name, used)
	}
	if w.throws[fn] && callback {
		return fmt.Errorf("function %d (%s) throws below a callback (bpf_throw kfunc cannot be called from callback subprog)", fn, f.Name)
	}
	if w.rules.AbsoluteOutside && w.loads[fn] && callback {
		return fmt.Errorf("function %d (%s) is called by a callback (cannot use BPF_LD_[ABS|IND] within callback)", fn, f.Name)
	}
	if w.rules.CallbackReach && w.tails[fn] && callback {
		return fmt.Errorf("function %d (%s) makes tail calls below a callback (cannot tail call within callback)", fn, f.Name)
	}
	if used <= w.seen[fn] && frames <= w.deep[fn] && (!callback || w.below[fn]) {
		return nil
	}
	w.below[fn] = w.below[fn] || callback
	w.seen[fn], w.deep[fn] = max(used, w.seen[fn]), max(frames, w.deep[fn])
	own := (max(f.StackDepth, 1) + 31) / 32 * 32
	if w.rules.FrameUnit16 { // round_up_stack_depth
		own = (f.StackDepth + 15) / 16 * 16
	}
	if !w.apart || own < privateStackMin {
		used += own
	}
	w.most = max(w.most, used)
	if used > MaxStack {
		return fmt.Errorf("the calls down to function %d (%s) need %d bytes of stack, more than %d", fn, f.Name, used, MaxStack)
	}
	for i := f.Start; i < f.End; i += w.p.Insns[i].Width() {
		in := w.p.Insns[i]
		if to, ok := in.Callee(i); ok && (in.IsSubCall() || w.sync[to]) { // others run later, on a stack of their own
			deeper := frames + 1
			if w.rules.GlobalFrames && w.p.Funcs[w.start[to]].Global {
				deeper = 1
			}
			if err := w.walk(w.start[to], used, deeper, callback || w.sync[to] || w.async[to]); err != nil {
				return err
			}
		}
	}
	return nil
}
