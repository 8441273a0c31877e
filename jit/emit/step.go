// SPDX-License-Identifier: GPL-2.0-only

package emit

import (
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// ENDBRSize is the size of endbr64.
const ENDBRSize = 4

// EndBR appends endbr64 if the target is an IBT build.
func (e *Writer) EndBR() {
	if e.Func.Config.Emit.ENDBR {
		e.ENDBR64()
	}
}

// PushSaved and PopSaved are push_callee_regs and pop_callee_regs with push_r12 and pop_r12; PushSaved
// also loads the registers that no BPF register is.
func (e *Writer) PushSaved() {
	if e.Func.saveR12 {
		e.Push64O(x86.R12) // 41 54
	}
	for i, used := range e.Func.saved {
		if used {
			e.Push64O(calleeSaved[i])
		}
	}
	if e.Func.c.arena != 0 {
		e.movImm64(x86.R12, uint64(e.Func.c.arena))
	}
	if e.Func.privateFP != 0 {
		e.loadPrivateFP()
	}
}

func (e *Writer) PopSaved() {
	for i := len(e.Func.saved) - 1; i >= 0; i-- {
		if e.Func.saved[i] {
			e.Pop64O(calleeSaved[i])
		}
	}
	if e.Func.saveR12 {
		e.Pop64O(x86.R12) // 41 5c
	}
}

// JumpOut appends a conditional jump to where a tail call goes on that is not taken: a label that is known from the
// pass before; the first pass writes whatever comes out, as the kernel does.
func (e *Writer) JumpOut(form x86.FormID) image.CodeOff {
	at := image.CodeOff(e.Len())
	e.I8(form, int8(*e.label-(e.Len()+2-e.base)))
	return at
}

// Bypass appends the 5 bytes that skip the rest of a direct tail call while its slot is empty.
func (e *Writer) Bypass(s *image.TailCallSite) {
	s.Bypass = image.CodeOff(e.Len())
	e.JmpD32(int32(*e.label - (e.Len() + 5 - e.base)))
}

// Out is the place to which JumpOut and bypass lead.
func (e *Writer) Out() { *e.label = e.Len() - e.base }

// prologue appends the CFI preamble and the design's prologue.
func (e *Writer) prologue() error {
	if err := e.cfi(); err != nil {
		return err
	}
	from := e.Len()
	e.Func.c.design.Prologue(e)
	if e.err != nil {
		return e.err
	}
	return e.vary(CodePrologue, from, nil)
}

// The steps that every tail call since 5.10 has, in the proposals too
// (emit_bpf_tail_call_indirect, arch/x86/net/bpf_jit_comp.c). The shipped designs spell them out.

// WithENDBR is a landing that a second endbr64 moves in IBT builds.
func WithENDBR(t *Config, landing image.CodeOff) image.CodeOff {
	if t.Emit.ENDBR {
		return landing + ENDBRSize
	}
	return landing
}

// Bounds is: if (index >= array->map.max_entries) goto out; rsi is the array, edx the index.
func (e *Writer) Bounds(s *image.TailCallSite) {
	e.Mov32MR(x86.R(x86.RDX), x86.RDX)                                             // 89 d2
	e.Cmp32MR(x86.M8(x86.RSI, int8(e.Func.Config.Offsets.MapMaxEntries)), x86.RDX) // 39 56 xx
	s.Bounds = e.JumpOut(x86.FormJbeD8)
}

// LoadProg is: prog = array->ptrs[index]; if (!prog) goto out; prog is rcx.
func (e *Writer) LoadProg(s *image.TailCallSite) {
	e.Mov64RM(x86.RCX, x86.X32(x86.RSI, x86.RDX, 8, e.Func.Config.Offsets.ArrayPtrs)) // 48 8b 8c d6 disp32
	e.Test64MR(x86.R(x86.RCX), x86.RCX)                                               // 48 85 c9
	s.Null = e.JumpOut(x86.FormJeD8)
}

// LeaveIndirect is: goto *(prog->bpf_func + landing); the label out follows it.
func (e *Writer) LeaveIndirect(s *image.TailCallSite, landing image.CodeOff) error {
	e.Mov64RM(x86.RCX, x86.M8(x86.RCX, int8(e.Func.Config.Offsets.ProgBPFFunc))) // 48 8b 49 xx
	e.Add64MI8(x86.R(x86.RCX), int8(landing))                                    // 48 83 c1 xx
	if err := e.JumpRCX(s); err != nil {
		return err
	}
	e.Out()
	return nil
}

// LeaveDirect is the place that is poked to a jump to the landing of the program in the slot; the
// label out follows it.
func (e *Writer) LeaveDirect(s *image.TailCallSite) {
	s.Jump = image.CodeOff(e.Len())
	e.Nop(5) // 0f 1f 44 00 00
	e.Out()
}

// TakeStack and GiveStack are the frame's program stack, if it has one.
func (e *Writer) TakeStack() {
	if e.Func.Depth != 0 {
		e.Sub64MI32(x86.R(x86.RSP), e.Func.Depth) // 48 81 ec sd
	}
}

func (e *Writer) GiveStack() {
	if e.Func.Depth != 0 {
		e.Add64MI32(x86.R(x86.RSP), e.Func.Depth) // 48 81 c4 sd
	}
}
