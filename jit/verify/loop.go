// SPDX-License-Identifier: GPL-2.0-only

package verify

import "github.com/tcsim/tcsim/jit/bpf"

// helperLoop is bpf_loop(number, callback, context, flags).
const helperLoop = 181

// loopFacts are what all paths to a call of bpf_loop agree on (bpf_insn_aux_data.loop_inline_state).
type loopFacts struct {
	callback bpf.InsnIndex // slot of the function
	inline   bool          // it is one function, and the flags are 0
}

func (x *explorer) noteLoop(s *state) {
	f := s.top()
	fn, flags := &f.regs[2], &f.regs[4]
	x.needs(s, 4)
	fit := fn.kind == kindFunc && flags.isConst() && flags.num.Umin == 0
	l := x.loops[s.pc]
	if l == nil {
		x.loops[s.pc] = &loopFacts{bpf.InsnIndex(fn.mapIdx), fit}
		return
	}
	l.inline = l.inline && fit && l.callback == bpf.InsnIndex(fn.mapIdx)
}
