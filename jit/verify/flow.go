// SPDX-License-Identifier: GPL-2.0-only

package verify

import (
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/verify/form"
	"github.com/tcsim/tcsim/jit/verify/protos"
	"github.com/tcsim/tcsim/jit/verify/shape"
)

// findJoins finds the slots at which paths are compared.
func (x *explorer) findJoins() {
	x.joins = shape.FindJoins(x.p, x.funcs)
	for i := range x.p.Insns {
		in := x.p.Insns[i]
		if x.forced[i] = x.why(in); x.forced[i] != noReason || in.Op == bpf.OpCall && in.Src == 0 && in.Imm == helperTimerCallback {
			x.joins.Compare[i] = true
			x.joins.Jumped[i] = x.joins.Jumped[i] || x.forced[i] == calling
		}
	}
}

// why says why every path leaves a checkpoint at an instruction (mark_force_checkpoint).
func (x *explorer) why(in bpf.Insn) reason {
	switch {
	case in.Op == bpf.ClassJmp|bpf.JmpCond, iteratorNext(x.p.Kfunc(in)):
		return nextRound
	case in.Op == bpf.OpCall && in.Src == 0:
		if n, _, ok := protos.FindHelper(x.p, in.Imm); ok && callbacks[n].fn != 0 {
			return calling
		}
	}
	return noReason
}

// findLive computes which registers are read before they are written, per slot.
func (x *explorer) findLive() {
	x.liveIn = make([]uint16, len(x.p.Insns))
	for changed := true; changed; {
		changed = false
		for i := bpf.InsnIndex(len(x.p.Insns)) - 1; i >= 0; i-- {
			in := x.p.Insns[i]
			if i > 0 && x.p.Insns[i-1].IsLdImm64() && in.Op == 0 {
				continue
			}
			fall, to, ok := form.Flow(x.p.Insns, i)
			var out uint16
			if ok {
				out |= x.liveIn[to]
			}
			if n := i + in.Width(); fall && int(n) < len(x.liveIn) {
				out |= x.liveIn[n]
			}
			reads, writes := x.regUse(in)
			if l := out&^writes | reads; l != x.liveIn[i] {
				x.liveIn[i] = l
				changed = true
			}
		}
	}
}

// regUse is Insn.RegUse, where a helper reads only its arguments.
func (x *explorer) regUse(in bpf.Insn) (reads, writes uint16) {
	reads, writes = in.RegUse()
	if in.Op == bpf.OpCall && in.Src == 0 {
		if n, spec, ok := protos.FindHelper(x.p, in.Imm); ok {
			args := helperArgs[n]
			if n == 0 {
				args = protos.Arguments(spec.Args)
			}
			reads = 1<<(len(args)+1) - 2
		}
	}
	return reads, writes
}
