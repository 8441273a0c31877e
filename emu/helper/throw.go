// SPDX-License-Identifier: GPL-2.0-only

package helper

import (
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// throwException is bpf_throw (kernel/bpf/helpers.c): it looks for the frame of the innermost main
// function and calls the exception callback of its program with the cookie, and with rsp and rbp as
// they are in that frame after the call. Frames are found by their frame pointers, as the kernel's
// unwinder finds those of code that it has no tables for.
func throwException(c *call) (uint64, error) {
	word := func(a uint64) (uint64, error) {
		v, err := c.e.Mem.ReadWord(image.Addr(a))
		if err != nil {
			err = fmt.Errorf("unwind: %w", err)
		}
		return v, err
	}
	ip, err := word(c.r[x86.RSP])
	sp, bp := c.r[x86.RSP]+8, c.r[x86.RBP]
	for err == nil {
		f, img := c.e.Code.CodeAt(image.Addr(ip) - 1) // a call can be the last instruction of a function
		if f == nil {
			return 0, fmt.Errorf("unwind: %#x is in no program, and no main function was found before", ip)
		}
		if f == &img.Funcs[0] && !f.Trampoline {
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
// after that call is never reached.
func (c *call) enterCallback(img *image.Image, sp, bp uint64) error {
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
		err := c.e.Mem.WriteWord(image.Addr(c.r[x86.RSP]), uint64(f.Addr)+uint64(f.Entry))
		return errors.Join(err, c.e.Mem.WriteWord(image.Addr(c.r[x86.RSP]+8), neverReturn))
	}
	return errors.New("the program has no exception callback")
}

// thrown is what bpf_throw leaves in registers, plus the register's number: nothing that they may have
// held when the program was entered.
const thrown = guest.Clobber + 0x100

// neverReturn is a return address that nothing returns to. It is no canonical address.
const neverReturn = guest.Clobber + 0xff

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
	at := image.Addr(c.r[x86.RBP]+c.r[x86.R10]) + 8
	start, err := c.e.Mem.ReadWord(at)
	if err != nil {
		return 0, err
	}
	now, err := ktime(c)
	if err != nil {
		return 0, err
	}
	c.r[x86.R10] = mayGotoRounds
	if start == 0 {
		return 0, c.e.Mem.WriteWord(at, now)
	}
	if now-start >= mayGotoTime {
		c.r[x86.R10] = 0
	}
	return 0, nil
}
