// SPDX-License-Identifier: GPL-2.0-only

package shape

import (
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/verify/form"
	"github.com/tcsim/tcsim/jit/verify/protos"
)

// Reason is why every path leaves a checkpoint at an instruction (mark_force_checkpoint).
type Reason uint8

// The reasons.
const (
	NoReason  Reason = iota
	NextRound        // may_goto, or a step of an iterator
	Calling          // a helper that calls a function until it says enough
)

// Joins are the slots of a program at which a verifier compares paths (mark_prune_point), and those of its first instructions
// after a jump or a call, which it keeps in a path's history (mark_jmp_point; visit_insn, kernel/bpf/verifier.c).
type Joins struct {
	Compare, Jumped []bool
	Forced          []Reason
}

// FindJoins finds them.
func FindJoins(p *bpf.Program, funcs []FuncInfo, callees []*Callee) Joins {
	n := len(p.Insns)
	bools := make([]bool, 2*n)
	j := Joins{Compare: bools[:n:n], Jumped: bools[n:], Forced: make([]Reason, n)}
	for _, f := range funcs {
		j.Compare[f.Start] = true
	}
	for i := bpf.InsnIndex(0); int(i) < n; i += p.Insns[i].Width() {
		in := p.Insns[i]
		if fall, to, jumps := form.Flow(p.Insns, i); jumps {
			j.led(to)
			j.Compare[i] = j.Compare[i] || fall
			continue
		}
		to, calls := in.Callee(i)
		if calls {
			j.Compare[i] = true
			j.led(to)
		}
		if calls || in.Op == bpf.OpCall || in.Op == bpf.OpTailCall || in.Op == bpf.OpCallX {
			j.led(i + in.Width())
		}
	}
	for i, in := range p.Insns {
		j.Forced[i] = forced(p, in, callees[i])
		if j.Forced[i] != NoReason || in.Op == bpf.OpCall && in.Src == 0 && in.Imm == protos.HelperTimerCallback {
			j.Compare[i] = true
			j.Jumped[i] = j.Jumped[i] || j.Forced[i] == Calling
		}
	}
	return j
}

func forced(p *bpf.Program, in bpf.Insn, to *Callee) Reason {
	switch {
	case in.Op == bpf.ClassJmp|bpf.JmpCond, to != nil && to.Next:
		return NextRound
	case to != nil && to.Known && protos.Callbacks[to.Helper].Fn != 0, to != nil && protos.Doing[to.Kfunc] == protos.TreeInsert && p.Owned != nil:
		return Calling
	}
	return NoReason
}

// led notes that a jump or a call leads to a slot.
func (j *Joins) led(to bpf.InsnIndex) {
	if int(to) < len(j.Compare) {
		j.Compare[to], j.Jumped[to] = true, true
	}
}
