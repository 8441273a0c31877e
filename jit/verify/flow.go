// SPDX-License-Identifier: GPL-2.0-only

package verify

import (
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/verify/protos"
	"github.com/tcsim/tcsim/jit/verify/shape"
)

// findJoins finds the slots at which paths are compared.
func (x *explorer) findJoins() {
	x.joins = shape.FindJoins(x.p, x.funcs)
	for i := range x.p.Insns {
		in := x.p.Insns[i]
		if x.forced[i] = x.why(in, x.callees[i]); x.forced[i] != noReason || in.Op == bpf.OpCall && in.Src == 0 && in.Imm == helperTimerCallback {
			x.joins.Compare[i] = true
			x.joins.Jumped[i] = x.joins.Jumped[i] || x.forced[i] == calling
		}
	}
}

// why says why every path leaves a checkpoint at an instruction (mark_force_checkpoint).
func (x *explorer) why(in bpf.Insn, to *shape.Callee) reason {
	switch {
	case in.Op == bpf.ClassJmp|bpf.JmpCond, to != nil && to.Next:
		return nextRound
	case to != nil && to.Known && protos.Callbacks[to.Helper].Fn != 0, to != nil && protos.Doing[to.Kfunc] == protos.TreeInsert && x.p.Owned != nil:
		return calling
	}
	return noReason
}
