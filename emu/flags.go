// SPDX-License-Identifier: GPL-2.0-only

package emu

import (
	"errors"

	uc "github.com/unicorn-engine/unicorn/bindings/go/unicorn"

	"github.com/tcsim/tcsim/jit/image"
)

// Flags that the kernel relies on wherever it is entered: its code goes upwards through memory, it leaves
// interrupts as they are, and accesses may be unaligned.
const (
	flagIF = 1 << 9
	flagDF = 1 << 10
	flagAC = 1 << 18
)

// flagsFault says what is wrong with the flags where control goes to the kernel at the instruction at
// rip; nil if nothing is.
func (m *Machine) flagsFault(rip image.Addr) *Fault {
	flags, err := m.uc.RegRead(uc.X86_REG_EFLAGS)
	switch {
	case err != nil:
	case flags&flagDF != 0:
		err = errors.New("the direction flag is set")
	case flags&flagAC != 0:
		err = errors.New("the alignment check flag is set")
	case flags&flagIF == 0:
		err = errors.New("interrupts are off")
	}
	if err == nil {
		return nil
	}
	f := m.newFault(FaultFlags, rip)
	f.Err = err
	return f
}

// kernelOnly are instructions with which code changes flags that are the kernel's.
var kernelOnly = map[string]bool{"cli": true, "sti": true, "popf": true, "popfd": true, "popfq": true}
