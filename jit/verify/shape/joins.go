// SPDX-License-Identifier: GPL-2.0-only

package shape

import (
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/verify/form"
)

// Joins are the slots of a program at which a verifier compares paths (mark_prune_point), and those of its first instructions
// after a jump or a call, which it keeps in a path's history (mark_jmp_point; visit_insn, kernel/bpf/verifier.c).
type Joins struct{ Compare, Jumped []bool }

// FindJoins finds them, but for those that follow from what a call calls.
func FindJoins(p *bpf.Program, funcs []FuncInfo) Joins {
	n := len(p.Insns)
	bools := make([]bool, 2*n)
	j := Joins{Compare: bools[:n:n], Jumped: bools[n:]}
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
	return j
}

// led notes that a jump or a call leads to a slot.
func (j *Joins) led(to bpf.InsnIndex) {
	if int(to) < len(j.Compare) {
		j.Compare[to], j.Jumped[to] = true, true
	}
}
