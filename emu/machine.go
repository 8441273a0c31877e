// SPDX-License-Identifier: GPL-2.0-only

package emu

/*
#cgo CFLAGS: -O3 -Wall
#cgo pkg-config: unicorn
#include <stdlib.h>
#include "engine.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/cgo"
	"unsafe"

	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/emu/kernel"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// Config are the properties of a machine. The zero value is usable.
type Config struct {
	// Memory is the size of guest memory in bytes, page tables included; 0 means 1 GiB. Only what
	// is touched costs host memory.
	Memory uint64
	// StackSize is the size of the kernel stack in bytes; 0 means 16 KiB.
	StackSize uint64
	// Seed decides time and random numbers.
	Seed uint64
	// PortableRegisters makes hooks read registers by the engine's API only, several times slower.
	// It is for Doctor and for engines whose registers are not found; see Machine.Direct.
	PortableRegisters bool
}

// Machine is one emulated processor with its memory. It must not be used by two goroutines at the
// same time; machines do not share anything and run in parallel. Close must be called.
type Machine struct {
	cfg   Config
	cache *x86.Cache

	*kernel.Kernel // what is loaded
	engine
	text
	progress
	loaded bool
}

// text is what the machine knows of loaded code beyond its bytes.
type text struct {
	marks  []image.Addr // sorted
	hooked []image.Addr // marks with a hook of their own
	pokes  []poke
	quirks []quirk // where an instruction may begin that the engine gets wrong, in order
}

// progress is the state of a run.
type progress struct {
	observer  Observer
	frames    FrameObserver // the observer, if it is one
	helperErr *Fault
	stopped   bool     // a run can be continued
	calls     []uint64 // by stub
	// interrupts are the interrupts that the run is in, interruptReturns what earlier ones returned.
	interrupts       []interrupted
	interruptReturns []uint64
}

// poke is text that Reset restores.
type poke struct {
	addr image.Addr
	old  []byte
}

// New returns a machine without programs. It fails if the engine is missing a feature that the
// machine needs; Doctor says which.
func New(cfg Config) (*Machine, error) {
	if cfg.Memory == 0 {
		cfg.Memory = 1 << 30
	}
	if cfg.StackSize == 0 {
		cfg.StackSize = 16 << 10
	}
	if cfg.Memory%guest.PageSize != 0 || cfg.Memory < 64*guest.PageSize || cfg.Memory > 1<<36 {
		return nil, fmt.Errorf("new machine: memory of %d bytes", cfg.Memory)
	}
	if cfg.StackSize%guest.PageSize != 0 || cfg.StackSize > 1<<21 {
		return nil, fmt.Errorf("new machine: stack of %d bytes", cfg.StackSize)
	}
	if err := checkEngine(); err != nil {
		return nil, fmt.Errorf("new machine: %w", err)
	}
	m := &Machine{cfg: cfg, cache: new(x86.Cache)}
	m.c, m.portable = C.tcs_new(C.uint64_t(cfg.Memory)), cfg.PortableRegisters
	if m.c == nil {
		return nil, fmt.Errorf("new machine: no %d bytes of memory for the guest: use a smaller Config.Memory", cfg.Memory)
	}
	m.handle = cgo.NewHandle(m)
	m.c.handle = C.uintptr_t(m.handle)
	m.c.gs_base = C.uint64_t(guest.GSBase)
	m.c.exit_addr = C.uint64_t(guest.OutsideReturn)
	m.Kernel = kernel.New(guest.NewMemory(unsafe.Slice((*byte)(unsafe.Pointer(m.c.arena)), cfg.Memory)), cfg.StackSize)
	if err := m.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("new machine: %w", err), m.Close())
	}
	return m, nil
}

// translationCost is what translating everything that is loaded can cost, in bytes.
func (m *Machine) translationCost() uint64 {
	n := uint64(len(m.Mem.TextPages())) * 1024 // stubs and thunks
	for _, f := range m.Funcs {
		n += uint64(len(f.Code)) * hostPerByte
	}
	return n
}

// renew exchanges the engine if its buffer may have become large. Memory and decoded instructions
// are kept.
func (m *Machine) renew() error {
	if m.translated < hostRenew {
		return nil
	}
	if err := m.uc.Close(); err != nil {
		return fmt.Errorf("renew engine: %w", err)
	}
	if err := m.open(); err != nil {
		return fmt.Errorf("renew engine: %w", err)
	}
	m.hooked, m.quirkHooks = m.hooked[:0], nil
	m.translated = m.translationCost()
	return m.hookQuirks()
}

// Load replaces everything in the machine. The state then is what Reset restores. After an error
// nothing is loaded.
func (m *Machine) Load(s guest.Setup) error {
	if err := s.Check(); err != nil {
		return fmt.Errorf("load: %w", err)
	}
	if err := m.unload(); err != nil {
		return fmt.Errorf("load: %w", err)
	}
	err := m.Kernel.Load(s)
	if err == nil {
		m.calls = make([]uint64, len(m.Stubs))
		err = errors.Join(m.loadMarks(), m.findQuirks())
	}
	if err != nil {
		return errors.Join(fmt.Errorf("load: %w", err), m.unload())
	}
	m.c.root = 0
	if err := ucErr("flush translations", C.tcs_flush_tlb(m.c)); err != nil {
		return fmt.Errorf("load: %w", err)
	}
	m.Mem.Checkpoint()
	cost := m.translationCost()
	if cost > hostLimit {
		return errors.Join(fmt.Errorf("load: more code than the engine can translate: %d functions", len(m.Funcs)), m.unload())
	}
	m.translated += cost
	m.loaded = true
	runtime.KeepAlive(m)
	return nil
}

// DecodeCache is what the machine decodes instructions with: for one goroutine, and not while it runs.
func (m *Machine) DecodeCache() *x86.Cache { return m.cache }

// unload empties the machine. Translations of old code are removed while its addresses still are
// mapped.
func (m *Machine) unload() error {
	err := errors.Join(m.removeCache(), ucErr("remove hooks", C.tcs_mark_hooks(m.c, nil, 0)), ucErr("remove hooks", C.tcs_quirk_hooks(m.c, nil, 0)))
	C.tcs_forget_all(m.c)
	m.Clear()
	m.text, m.progress, m.loaded, m.quirkHooks = text{}, progress{}, false, nil
	return errors.Join(err, ucErr("flush translations", C.tcs_flush_tlb(m.c)))
}

// removeCache drops the translations of all code.
func (m *Machine) removeCache() error {
	for _, p := range m.Mem.TextPages() {
		if err := ucErr("remove translations", C.tcs_remove_cache(m.c, C.uint64_t(p), C.uint64_t(p+guest.PageSize))); err != nil {
			return err
		}
	}
	return nil
}
