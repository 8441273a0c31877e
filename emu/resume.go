// SPDX-License-Identifier: GPL-2.0-only

package emu

/*
#include "engine.h"
*/
import "C"

import (
	"context"
	"errors"
	"fmt"

	uc "github.com/unicorn-engine/unicorn/bindings/go/unicorn"

	"github.com/tcsim/tcsim/jit/image"
)

// Resume goes on at an address after a run that ended with f, a FaultBreak of this machine, as the
// handler of the breakpoint makes a processor do that meets a text poke halfway (poke_int3_handler,
// arch/x86/kernel/alternative.c). The breakpoint counts as an instruction that retired. Memory and
// text may have been changed meanwhile, but nothing else may have run. Of r counts what counts for
// Continue; the level must be that of the run, LevelRetired.
func (m *Machine) Resume(ctx context.Context, r Run, f *Fault, at image.Addr) (Result, error) {
	if f == nil || f.Kind != FaultBreak || m.c.reason != C.TCS_STOP_TRAP {
		return Result{}, errors.New("resume: no run ended at a breakpoint")
	}
	if r.Level != LevelRetired || m.c.level != C.TCS_LEVEL_RETIRED {
		return Result{}, errors.New("resume: needs the retired level")
	}
	if err := m.prepare(r); err != nil {
		return Result{}, fmt.Errorf("resume: %w", err)
	}
	flags, err := m.uc.RegRead(uc.X86_REG_EFLAGS)
	if err == nil {
		err = m.uc.ContextRestore(m.clean)
	}
	if err == nil {
		err = m.uc.RegWrite(uc.X86_REG_EFLAGS, flags)
	}
	if err != nil {
		return Result{}, fmt.Errorf("resume: %w", err)
	}
	m.setRegs(&f.Regs)
	m.ring()[0] = C.tcs_retired{rip: C.uint64_t(f.RIP)}
	m.c.n = 1
	return m.execute(ctx, r, at)
}
