// SPDX-License-Identifier: GPL-2.0-only

package jit

import (
	"fmt"

	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// designCode is a tail-call design: everything about prologue, calls, tail calls and epilogue that
// makes it work. One file each, design_<name>.go, that reads from top to bottom as the kernel's
// functions of the same jobs. The target it is emitted for supplies limits, offsets and thunks.
type designCode interface {
	// traits are what is true of the design besides its code.
	traits() Traits
	// landing is how far after bpf_func a tail call enters (X86_TAIL_CALL_OFFSET).
	landing(t *Target) image.CodeOff
	// prologue is emit_prologue after the CFI preamble, with the pushes of callee-saved registers.
	prologue(e *emitter)
	// reload puts the counter, or the pointer to it, into rax before a call.
	reload(e *emitter)
	// indirect and direct are the tail call sequences; they fill the site.
	indirect(e *emitter, s *image.TailCallSite) error
	direct(e *emitter, s *image.TailCallSite) error
	// epilogue takes the frame down; the return follows it.
	epilogue(e *emitter)
	// poke appends what a change of the slot of a direct tail call does to it. old and new are the
	// landings of the programs in the slot, 0 for none.
	poke(p *pokePlan, s image.PokeSite, old, new image.Addr)
	// frame describes the stack frame while the body runs, without Body.
	frame(f *fn) image.Frame
}

// framePointer is what a design has that does not use rbp as it is for BPF_REG_FP: the register,
// and what is added to it in the offsets and moves in which the JIT sees that r10 is meant.
type framePointer interface {
	fp() (x86.Reg, int32)
}

// code returns the design's code. It errors if the target has none.
func (t *Target) code() (designCode, error) {
	if t.Design >= designCount || designs[t.Design] == nil {
		return nil, fmt.Errorf("target %q has no tail-call design", t.Name)
	}
	return designs[t.Design], nil
}

// Landing returns how far after bpf_func a tail call enters a program of this target, in bytes.
// It errors if the target has no design.
func (t *Target) Landing() (image.CodeOff, error) {
	s, err := t.code()
	if err != nil {
		return 0, err
	}
	return s.landing(t), nil
}

const endbrSize = 4

// endbr appends endbr64 if the target is an IBT build.
func (e *emitter) endbr() {
	if e.f.c.t.Emit.ENDBR {
		e.ENDBR64()
	}
}

// pushSaved and popSaved are push_callee_regs and pop_callee_regs with push_r12 and pop_r12; pushSaved
// also loads the registers that no BPF register is.
func (e *emitter) pushSaved() {
	if e.f.saveR12 {
		e.Push64O(x86.R12) // 41 54
	}
	for i, used := range e.f.saved {
		if used {
			e.Push64O(calleeSaved[i])
		}
	}
	if e.f.c.arena != 0 {
		e.movImm64(x86.R12, uint64(e.f.c.arena))
	}
	if e.f.privateFP != 0 {
		e.loadPrivateFP()
	}
}

func (e *emitter) popSaved() {
	for i := len(e.f.saved) - 1; i >= 0; i-- {
		if e.f.saved[i] {
			e.Pop64O(calleeSaved[i])
		}
	}
	if e.f.saveR12 {
		e.Pop64O(x86.R12) // 41 5c
	}
}

// jumpLabel appends a conditional jump to a label that is known from the pass before; the first
// pass writes whatever comes out, as the kernel does.
func (e *emitter) jumpLabel(form x86.FormID, label int) image.CodeOff {
	at := image.CodeOff(e.Len())
	e.I8(form, int8(label-(e.Len()+2-e.base)))
	return at
}

// prologue appends the CFI preamble and the design's prologue.
func (e *emitter) prologue() error {
	if err := e.cfi(); err != nil {
		return err
	}
	from := e.Len()
	e.f.c.code.prologue(e)
	if e.err != nil {
		return e.err
	}
	return e.vary(CodePrologue, from, nil)
}
