// SPDX-License-Identifier: GPL-2.0-only

package emu

/*
#include <stdlib.h>
#include "engine.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"runtime/cgo"
	"unsafe"

	uc "github.com/unicorn-engine/unicorn/bindings/go/unicorn"

	"github.com/tcsim/tcsim/emu/guest"
)

// engine is the emulator's processor and the C side of a machine. It outlives what is loaded.
type engine struct {
	uc       uc.Unicorn
	c        *C.tcs
	handle   cgo.Handle
	frameBuf unsafe.Pointer // C memory
	portable bool           // Config.PortableRegisters
	// clean is the processor as after init. It is restored before every run: after an exception,
	// also one inside the removal of translations of an address that is no longer mapped, the
	// engine takes the next for a double fault.
	clean      uc.Context
	quirkHooks []C.uint64_t // the instructions with hooks for quirks
	// translated is how many bytes of translations the engine may hold.
	translated uint64
}

// controls are the control registers as open sets them.
var controls = []struct {
	reg   int
	value uint64
}{
	{uc.X86_REG_CR3, 0},
	{uc.X86_REG_CR4, 0x40620}, // OSXSAVE OSXMMEXCPT OSFXSR PAE
	{uc.X86_REG_CR0, 1<<31 | 1<<16 | 1<<5 | 1<<4 | 1<<1 | 1}, // PG WP NE ET MP PE
}

// open makes an engine and sets its processor up for 64-bit kernel mode with paging. The order
// matters: the model first, CR4 with OSXSAVE (or VEX instructions are refused), then EFER, then CR0.
func (e *engine) open() error {
	u, err := uc.NewUnicorn(uc.ARCH_X86, uc.MODE_64)
	if err != nil {
		return err
	}
	e.uc = u
	if err := u.SetCPUModel(uc.CPU_X86_HASWELL); err != nil {
		return fmt.Errorf("set CPU model: %w", err)
	}
	if err := ucErr("set up engine", C.tcs_attach(e.c, (*C.uc_engine)(unsafe.Pointer(u.Handle())))); err != nil {
		return err
	}
	if e.portable {
		e.c.env = nil
	}
	if err := enterKernelMode(u); err != nil {
		return err
	}
	e.clean, err = u.ContextSave(nil)
	return err
}

// enterKernelMode sets a processor up for 64-bit mode with paging.
func enterKernelMode(u uc.Unicorn) error {
	const msrEFER, efer = 0xc0000080, 0xd00 // LME, LMA and NXE
	return errors.Join(
		u.RegWrite(controls[0].reg, controls[0].value),
		u.RegWrite(controls[1].reg, controls[1].value),
		u.RegWriteX86Msr(msrEFER, efer),
		u.RegWrite(controls[2].reg, controls[2].value),
		u.RegWrite(uc.X86_REG_GS_BASE, uint64(guest.GSBase)),
	)
}

// The engine never frees translations of code that was changed. When its buffer of 1 GiB is full it
// crashes the process, if that happens while translated code is running (libunicorn 2.1.1). So
// what has been translated is estimated from above, and the engine exchanged for a new one between
// runs long before.
const (
	hostPerByte  = 160       // bytes of translation per byte of code, at retired level with many branches
	hostPerPatch = 16 << 10  // per patch
	hostRenew    = 64 << 20  // when to exchange the engine
	hostLimit    = 900 << 20 // what one program may need
)

// ucErr makes an error from an engine result.
func ucErr(what string, code C.int) error {
	if code == 0 {
		return nil
	}
	return fmt.Errorf("%s: %w", what, uc.UcError(code))
}

// Direct reports whether hooks read registers directly from the engine's memory. If not, recording
// is several times slower, and as exact.
func (e *engine) Direct() bool { return e.c.env != nil }

// Close releases the engine and all memory. The machine must not be used afterwards.
func (e *engine) Close() error {
	var err error
	if e.uc != nil {
		err = e.uc.Close()
	}
	if e.c != nil {
		C.tcs_free(e.c)
		C.free(e.frameBuf)
		e.handle.Delete()
		e.c, e.frameBuf = nil, nil
	}
	return err
}

// keepPaging undoes what code that no compiler made has done to the translation of addresses, so
// that its own translations can be found and removed. e.clean has the other registers.
func (e *engine) keepPaging() error {
	changed := false
	for _, r := range controls {
		v, err := e.uc.RegRead(r.reg)
		if err != nil {
			return err
		}
		if v == r.value {
			continue
		}
		changed = true
		if err := e.uc.RegWrite(r.reg, r.value); err != nil {
			return err
		}
	}
	if !changed {
		return nil
	}
	return ucErr("flush translations", C.tcs_flush_tlb(e.c))
}

func (e *engine) ring() []C.tcs_retired { return unsafe.Slice(e.c.ring, C.TCS_RETIRED_CAP) }

// regs and setRegs access the general purpose registers, also inside a hook.
func (e *engine) regs(r *Regs)    { C.tcs_get_regs(e.c, (*C.uint64_t)(&r[0])) }
func (e *engine) setRegs(r *Regs) { C.tcs_set_regs(e.c, (*C.uint64_t)(&r[0])) }
