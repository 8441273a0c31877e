// SPDX-License-Identifier: GPL-2.0-only

package emu

/*
#include "engine.h"
*/
import "C"

import (
	uc "github.com/unicorn-engine/unicorn/bindings/go/unicorn"

	"github.com/tcsim/tcsim/emu/kernel"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// engage runs the engine until it comes back for another reason than an access that the exception
// table has an entry for.
func (m *Machine) engage(rip image.Addr) (code C.int, at uint64, err error) {
	for {
		code = C.tcs_run(m.c, C.uint64_t(rip))
		at, err = m.uc.RegRead(uc.X86_REG_RIP)
		if err != nil || code != 0 || m.c.reason != C.TCS_STOP_TRAP || m.c.intno != vectorPageFault && m.c.intno != vectorProtect {
			return code, at, err
		}
		x, ok := m.Fixup(image.Addr(at))
		if !ok {
			return code, at, nil
		}
		if err := m.fix(x); err != nil {
			return code, at, err
		}
		C.tcs_skip(m.c, C.uint64_t(at))
		rip = x.Next
	}
}

// fix does what the kernel's fault handler does with an entry of the table (ex_handler_bpf,
// arch/x86/net/bpf_jit_comp.c). The processor is put back into the state in which the engine takes
// exceptions for what they are.
func (m *Machine) fix(x kernel.Fixup) error {
	var r Regs
	m.regs(&r)
	flags, err := m.uc.RegRead(uc.X86_REG_EFLAGS)
	if err == nil {
		err = m.uc.ContextRestore(m.clean)
	}
	if err == nil {
		err = m.uc.RegWrite(uc.X86_REG_EFLAGS, flags)
	}
	if x.Clear != x86.RegNone {
		r[x.Clear] = 0
	}
	m.setRegs(&r)
	return err
}
