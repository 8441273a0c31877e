// SPDX-License-Identifier: GPL-2.0-only

package splat

import (
	"slices"
	"strings"
)

// Hook is how a traced function was entered: it calls its trampoline from its first bytes, and that calls what comes after
// them. Entry is the place in the function that the trampoline would return to.
type Hook struct{ Trampoline, Entry Place }

// trampoline reports whether a place is in a trampoline (bpf_trampoline_update, kernel/bpf/trampoline.c).
func (p *Place) trampoline() bool { return strings.HasPrefix(p.Func, "bpf_trampoline_") }

// pastPatch are the offsets after the patched call at the beginning of a function: of 5 bytes, without and with an
// endbr64 of 4 before it (emit_prologue, arch/x86/net/bpf_jit_comp.c).
var pastPatch = []int{5, 9}

// hooked reports whether frame i, of a BPF function, is of one that has called its trampoline, and where that is.
func (c *Context) hooked(i int) (trampoline *Place, ok bool) {
	if !slices.Contains(pastPatch, int(c.Frames[i].Off)) {
		return nil, false
	}
	for i--; i >= 0; i-- {
		if p := &c.Frames[i]; !p.Guess {
			return p, p.trampoline()
		}
	}
	return nil, false
}

// hook takes frame i as that of a function that has called its trampoline. The trampoline's rbp chain goes past who called
// the function: the unwinder has that address as a guess only.
func (a *Analysis) hook(i int, trampoline *Place) {
	frames := a.Ctx.Frames
	h := Hook{*trampoline, frames[i]}
	if i+1 < len(frames) && frames[i+1].Guess {
		caller := frames[i+1]
		caller.Guess = false
		if _, ok := caller.BPF(); ok {
			a.Frames = append(a.Frames, caller)
			a.Hooks[len(a.Frames)-1] = h
			return
		} else if len(a.Frames) == 0 {
			a.Outer, a.Hooks[-1] = caller, h
			return
		}
	}
	a.skipped = true
	a.miss("who called %s, which is traced: unwinding goes past the caller of a function that has called its trampoline, and no line with ? has it",
		h.Entry.short())
}
