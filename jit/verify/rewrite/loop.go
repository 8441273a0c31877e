// SPDX-License-Identifier: GPL-2.0-only

package rewrite

import (
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/verify/form"
)

// inlineLoops makes calls of bpf_loop loops, with three registers saved below the stack that the
// function uses (optimize_bpf_loop and inline_bpf_loop in kernel/bpf/verifier.c, since 5.19).
func (w *rewriter) inlineLoops() {
	if !w.t.Verifier.InlineLoop {
		return
	}
	for n := range w.known.Funcs {
		f := &w.known.Funcs[n]
		found := false
		for i := f.Start; i < f.End; i += w.p.Insns[i].Width() {
			callback, ok := w.known.Loop(i)
			if it := &w.items[i]; ok && it.live && it.in.Op == bpf.OpCall && it.in.Src == 0 {
				const saved = 24
				found = true
				it.seq, it.jumpAt, it.callback = loopInsns(-int16((f.StackDepth+7)&^7)-saved), loopCall, callback
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
		{Op: bpf.ClassJmp | bpf.JmpLe, Dst: 1, Off: 2, Imm: form.MayGotoCount},
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
