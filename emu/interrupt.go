// SPDX-License-Identifier: GPL-2.0-only

package emu

/*
#include "engine.h"
*/
import "C"

import (
	"errors"
	"fmt"

	uc "github.com/unicorn-engine/unicorn/bindings/go/unicorn"

	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/emu/kernel"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// What an interrupt takes of the stack that it comes on: at least its frame and the registers that the
// kernel saves after it (struct pt_regs, 168 bytes); here 512 bytes, which are all overwritten.
const (
	interruptRoom = 0x200
	// interruptFill is what an interrupt leaves of what was below rsp, in 8-byte words.
	interruptFill = 0x1927_1927_1927_1927
	// interruptCtx is where the caller of a program that wants it (image.Frame.RunCtx) has its locals,
	// above the program's return address.
	interruptCtx = 0x100
)

// interrupted is the processor as an interrupt found it.
type interrupted struct {
	regs  Regs
	rip   image.Addr
	flags uint64
	prev  uint64 // the instruction before: where the next site comes from
}

// Interrupt makes a stopped run go on in another program first: Continue enters prog with arguments
// on the same processor, in the same task and on the same stack, which from rsp down is overwritten,
// and returns to where the run was stopped when that has returned. What the other program returned is
// in Result.Interrupts. The counter is where the caller of the other program keeps tail_call_cnt for
// it, if that wants it so (image.Frame.RunCtx); of size 0 if not.
func (m *Machine) Interrupt(prog int, ctx image.Addr) (counter guest.Span, err error) {
	if prog < 0 || prog >= len(m.Setup.Images) {
		return counter, fmt.Errorf("interrupt: no image %d", prog)
	}
	g, rip, err := m.State()
	if err != nil {
		return counter, fmt.Errorf("interrupt: %w", err)
	}
	flags, err := m.uc.RegRead(uc.X86_REG_EFLAGS)
	if err != nil {
		return counter, fmt.Errorf("interrupt: %w", err)
	}
	rsp := image.Addr(g[x86.RSP]) - interruptRoom
	for a := rsp; a < rsp+interruptRoom; a += 8 {
		err = errors.Join(err, m.Mem.WriteWord(a, interruptFill))
	}
	f := &m.Setup.Images[prog].Funcs[0]
	if f.Frame.RunCtx {
		at := rsp + interruptCtx
		err = errors.Join(err, m.WrapContextAt(at, ctx))
		ctx, counter = at, guest.Span{Addr: at + kernel.RunCtxCounter, Size: 4}
	}
	if err = errors.Join(err, m.Mem.WriteWord(rsp, uint64(guest.OutsideReturn))); err != nil {
		return counter, fmt.Errorf("interrupt: %w", err)
	}
	m.interrupts = append(m.interrupts, interrupted{g, rip, flags, uint64(m.c.prev)})
	entry := f.Addr + image.Addr(f.Entry)
	rbp := g[x86.RBP]
	for i := range g {
		g[i] = guest.Clobber + uint64(i)
	}
	g[x86.RAX], g[x86.RSP], g[x86.RBP], g[x86.RDI] = uint64(entry), uint64(rsp), rbp, uint64(ctx)
	return counter, m.SetState(g, entry)
}

// resumeInterrupted goes back to what the last interrupt interrupted.
func (m *Machine) resumeInterrupted(returned uint64) (image.Addr, error) {
	n := len(m.interrupts) - 1
	was := m.interrupts[n]
	m.interrupts = m.interrupts[:n]
	m.interruptReturns = append(m.interruptReturns, returned)
	m.setRegs(&was.regs)
	m.c.prev = C.uint64_t(was.prev)
	if err := m.uc.RegWrite(uc.X86_REG_EFLAGS, was.flags); err != nil {
		return 0, fmt.Errorf("return from interrupt: %w", err)
	}
	return was.rip, nil
}
