// SPDX-License-Identifier: GPL-2.0-only

package shape

import "github.com/tcsim/tcsim/jit/bpf"

// Mark makes of Insns what the JIT reads: fnAt is the function of each slot; arenas and guarded are the slots of accesses to
// an arena and of loads that may fault; direct says what is known of a tail call. It
// reports whether there is one.
func (v *Verified) Mark(fnAt []int32, arenas, guarded []bool, direct func(bpf.InsnIndex) (m int, key uint32, ok bool)) (tails bool) {
	for i := bpf.InsnIndex(0); int(i) < len(v.Insns); i += v.Insns[i].Width() {
		in := &v.Insns[i]
		switch {
		case in.IsSubCall():
			in.Imm = fnAt[i+1+bpf.InsnIndex(in.Imm)]
		case tailCall(*in):
			in.Op, in.Imm, tails = bpf.OpTailCall, 0, true
			if m, key, ok := direct(i); ok {
				v.Pokes = append(v.Pokes, PokeDesc{Insn: i, Map: m, Key: key})
				in.Imm = int32(len(v.Pokes))
			}
		case arenas[i]:
			in.Op = InArena(in.Op)
		case guarded[i] && in.Class() == bpf.ClassLDX:
			in.Op = Guarded(in.Op)
		}
	}
	return tails
}

func tailCall(in bpf.Insn) bool {
	return in.Op == bpf.OpCall && in.Src == 0 && in.Imm == bpf.HelperTailCall
}
