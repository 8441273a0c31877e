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

// inlineLoops makes calls of bpf_loop loops, with three registers saved below the stack that the
// function uses (optimize_bpf_loop and inline_bpf_loop in kernel/bpf/verifier.c, since 5.19).
func (w *rewriter) inlineLoops() {
	if !w.t.Verifier.InlineLoop {
		return
	}
	for n := range w.x.funcs {
		f := &w.x.funcs[n]
		found := false
		for i := f.Start; i < f.End; i += w.p.Insns[i].Width() {
			l := w.x.loops[i]
			if it := &w.items[i]; l != nil && l.inline && it.live && it.in.Op == bpf.OpCall && it.in.Src == 0 {
				const saved = 24
				found = true
				it.seq, it.jumpAt, it.callback = loopInsns(-int16((f.StackDepth+7)&^7)-saved), loopCall, l.callback
			}
		}
		if found {
			f.StackDepth = (f.StackDepth+7)&^7 + 24
		}
	}
}

// loopCall is where loopInsns calls the callback.
const loopCall = 12

// loopInsns is the loop; r6 to r8 are saved from off on.
func loopInsns(off int16) []bpf.Insn {
	const tooMany = -7 // E2BIG
	mov := func(dst, src uint8) bpf.Insn {
		return bpf.Insn{Op: bpf.ClassALU64 | bpf.SrcReg | bpf.ALUMov, Dst: dst, Src: src}
	}
	save := func(r uint8) bpf.Insn {
		return bpf.Insn{Op: bpf.ClassSTX | bpf.ModeMem | 0x18, Dst: 10, Src: r, Off: off + 8*int16(r-6)}
	}
	restore := func(r uint8) bpf.Insn {
		return bpf.Insn{Op: bpf.ClassLDX | bpf.ModeMem | 0x18, Dst: r, Src: 10, Off: off + 8*int16(r-6)}
	}
	return []bpf.Insn{
		{Op: bpf.ClassJmp | bpf.JmpLe, Dst: 1, Off: 2, Imm: mayGotoCount},
		{Op: bpf.ClassALU | bpf.ALUMov, Imm: tooMany},
		{Op: bpf.ClassJmp | bpf.JmpJA, Off: 16},
		save(6), save(7), save(8),
		mov(6, 1),
		{Op: bpf.ClassALU | bpf.ALUMov, Dst: 7},
		mov(8, 3),
		{Op: bpf.ClassJmp | bpf.SrcReg | bpf.JmpGe, Dst: 7, Src: 6, Off: 5},
		mov(1, 7),
		mov(2, 8),
		{Op: bpf.OpCall, Src: bpf.PseudoCall},
		{Op: bpf.ClassALU64 | bpf.ALUAdd, Dst: 7, Imm: 1},
		{Op: bpf.ClassJmp | bpf.JmpEq, Off: -6},
		mov(0, 7),
		restore(6), restore(7), restore(8),
	}
}
