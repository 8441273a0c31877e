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

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/x86"
)

// fixup is an entry of the exception table: where execution goes on, and what register becomes 0.
type fixup struct {
	next  jit.Addr
	clear x86.Reg // RegNone if none does
}

// loadSpecial makes the entries of the exception table for a function, and its private stack.
func (m *Machine) loadSpecial(f *jit.FuncImage) error {
	for _, s := range f.Faults {
		m.fixups[f.Addr+jit.Addr(s.Off)] = fixup{f.Addr + jit.Addr(s.Next), s.Clear}
	}
	if f.Frame.PrivateFP == 0 {
		return nil
	}
	s := PrivateStack(f)
	return m.space.mapRange(s.Addr, s.Size, protWrite)
}

// privateStackSize is the largest BPF stack (MAX_BPF_STACK): how large that of a function is, its
// code need not show.
const privateStackSize = 512

// PrivateStack returns the memory of a function's private stack on the machine's CPU: Size is 0 if it
// has none.
func PrivateStack(f *jit.FuncImage) Span {
	if f.Frame.PrivateFP == 0 {
		return Span{}
	}
	return Span{GSBase + f.Frame.PrivateFP - privateStackSize, privateStackSize}
}

// engage runs the engine until it comes back for another reason than an access that the exception
// table has an entry for.
func (m *Machine) engage(rip jit.Addr) (code C.int, at uint64, err error) {
	for {
		code = C.tcs_run(m.c, C.uint64_t(rip))
		at, err = m.uc.RegRead(uc.X86_REG_RIP)
		if err != nil || code != 0 || m.c.reason != C.TCS_STOP_TRAP || m.c.intno != vectorPageFault && m.c.intno != vectorProtect {
			return code, at, err
		}
		x, ok := m.fixups[jit.Addr(at)]
		if !ok {
			return code, at, nil
		}
		if err := m.fix(x); err != nil {
			return code, at, err
		}
		C.tcs_skip(m.c, C.uint64_t(at))
		rip = x.next
	}
}

// fix does what the kernel's fault handler does with an entry of the table (ex_handler_bpf,
// arch/x86/net/bpf_jit_comp.c). The processor is put back into the state in which the engine takes
// exceptions for what they are.
func (m *Machine) fix(x fixup) error {
	var r Regs
	m.regs(&r)
	flags, err := m.uc.RegRead(uc.X86_REG_EFLAGS)
	if err == nil {
		err = m.uc.ContextRestore(m.clean)
	}
	if err == nil {
		err = m.uc.RegWrite(uc.X86_REG_EFLAGS, flags)
	}
	if x.clear != x86.RegNone {
		r[x.clear] = 0
	}
	m.setRegs(&r)
	return err
}

// throwException is bpf_throw (kernel/bpf/helpers.c): it looks for the frame of the innermost main
// function and calls the exception callback of its program with the cookie, and with rsp and rbp as
// they are in that frame behind the call. Frames are found by their frame pointers, as the kernel's
// unwinder finds those of code that it has no tables for.
func throwException(c *call) (uint64, error) {
	word := func(a uint64) (uint64, error) {
		v, err := c.m.space.readWord(jit.Addr(a))
		if err != nil {
			err = fmt.Errorf("unwind: %w", err)
		}
		return v, err
	}
	ip, err := word(c.r[x86.RSP])
	sp, bp := c.r[x86.RSP]+8, c.r[x86.RBP]
	for err == nil {
		f := c.m.funcAt(jit.Addr(ip) - 1) // a call can be the last instruction of a function
		if f == nil {
			return 0, fmt.Errorf("unwind: %#x is in no program, and no main function was found before", ip)
		}
		img := c.m.setup.Images[f.image]
		if f.FuncImage == &img.Funcs[0] && !f.Trampoline {
			return 0, c.enterCallback(img, sp, bp)
		}
		if ip, err = word(bp + 8); err == nil {
			sp = bp + 16
			bp, err = word(bp)
		}
	}
	return 0, err
}

// enterCallback makes the stub return into the callback as if bpf_throw had called it. What comes
// behind that call is never reached.
func (c *call) enterCallback(img *jit.Image, sp, bp uint64) error {
	for i := range img.Funcs {
		f := &img.Funcs[i]
		if !f.ExceptionCB {
			continue
		}
		c.r[x86.RSI], c.r[x86.RDX] = sp, bp
		c.r[x86.RCX], c.r[x86.R8] = 0, 0
		for _, r := range []x86.Reg{x86.RAX, x86.R9, x86.R10, x86.R11, x86.RBX, x86.R12, x86.R13, x86.R14, x86.R15, x86.RBP} {
			c.r[r] = thrown + uint64(r) // the callback must restore what its caller needs
		}
		c.r[x86.RSP] -= 16
		err := c.m.space.writeWord(jit.Addr(c.r[x86.RSP]), uint64(f.Addr)+uint64(f.Entry))
		return errors.Join(err, c.m.space.writeWord(jit.Addr(c.r[x86.RSP]+8), neverReturn))
	}
	return errors.New("the program has no exception callback")
}

// thrown is what bpf_throw leaves in registers, plus the register's number: nothing that they may have
// held when the program was entered.
const thrown = clobber + 0x100

// neverReturn is a return address that nothing returns to. It is no canonical address.
const neverReturn = clobber + 0xff

// mayGotoRounds and mayGotoTime are BPF_MAX_TIMED_LOOPS and the time in nanoseconds for which a
// may_goto loop may run (bpf_check_timed_may_goto, kernel/bpf/core.c).
const (
	mayGotoRounds = 0xffff
	mayGotoTime   = 1_000_000_000 / 4
)

// timedMayGoto is arch_bpf_timed_may_goto (arch/x86/net/bpf_timed_may_goto.S): r10 holds the offset
// from rbp of the count, which the time of the first call follows, and gets the new count; all other
// registers are kept.
func timedMayGoto(c *call) (uint64, error) {
	at := jit.Addr(c.r[x86.RBP]+c.r[x86.R10]) + 8
	start, err := c.m.space.readWord(at)
	if err != nil {
		return 0, err
	}
	now, err := ktime(c)
	if err != nil {
		return 0, err
	}
	c.r[x86.R10] = mayGotoRounds
	if start == 0 {
		return 0, c.m.space.writeWord(at, now)
	}
	if now-start >= mayGotoTime {
		c.r[x86.R10] = 0
	}
	return 0, nil
}
