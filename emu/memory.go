// SPDX-License-Identifier: GPL-2.0-only

package emu

/*
#include "engine.h"
*/
import "C"

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/x86"
)

// ReadMemory fills dst with guest memory. It fails if a byte is not mapped.
func (m *Machine) ReadMemory(addr image.Addr, dst []byte) error { return m.Mem.Read(addr, dst) }

// WriteMemory stores to guest data. Text is refused: that is for WriteText.
func (m *Machine) WriteMemory(addr image.Addr, src []byte) error {
	for a := addr &^ (guest.PageSize - 1); a < addr+image.Addr(len(src)); a += guest.PageSize {
		if m.Mem.IsText(a) {
			return fmt.Errorf("write to %#x: this is text", uint64(a))
		}
	}
	return m.Mem.Write(addr, src)
}

// ReadWord returns the 8 bytes at addr.
func (m *Machine) ReadWord(addr image.Addr) (uint64, error) { return m.Mem.ReadWord(addr) }

// WriteText patches code, between runs or while a run is stopped. The translations of these bytes
// are dropped. Reset undoes it.
func (m *Machine) WriteText(addr image.Addr, code []byte) error {
	old := make([]byte, len(code))
	if err := m.Mem.Read(addr, old); err != nil {
		return fmt.Errorf("write text: %w", err)
	}
	for a := addr &^ (guest.PageSize - 1); a < addr+image.Addr(len(code)); a += guest.PageSize {
		if !m.Mem.IsText(a) {
			return fmt.Errorf("write text: %#x is no text", uint64(addr))
		}
	}
	if bytes.Equal(old, code) {
		return nil
	}
	m.pokes = append(m.pokes, poke{addr, old})
	return m.patch(addr, code)
}

// patch stores code and drops what the engine and the recorder know of it.
func (m *Machine) patch(addr image.Addr, code []byte) error {
	if err := m.Mem.Write(addr, code); err != nil {
		return err
	}
	m.translated += hostPerPatch
	end := addr + image.Addr(len(code))
	C.tcs_forget(m.c, C.uint64_t(addr), C.uint64_t(end))
	for a := addr; a < end; a = (a | (guest.PageSize - 1)) + 1 { // pages need not follow each other in physical memory
		stop := min(end, (a|(guest.PageSize-1))+1)
		if err := ucErr("remove translations", C.tcs_remove_cache(m.c, C.uint64_t(a), C.uint64_t(stop))); err != nil {
			return err
		}
	}
	if m.scanQuirks(addr-x86.MaxInstLen, end) {
		if err := m.hookQuirks(); err != nil {
			return err
		}
	}
	if m.marked(addr, end) {
		return m.hookMarks()
	}
	return nil
}

// Reset restores memory and text as they were at the last Checkpoint. It costs as much as what was
// written since, not as what there is.
func (m *Machine) Reset() error {
	m.Mem.Restore()
	m.stopped = false
	var err error
	for i := len(m.pokes) - 1; i >= 0; i-- {
		err = errors.Join(err, m.patch(m.pokes[i].addr, m.pokes[i].old))
	}
	m.pokes = m.pokes[:0]
	return err
}

// Checkpoint makes the present memory and text what Reset restores.
func (m *Machine) Checkpoint() error {
	m.Mem.Checkpoint()
	m.pokes = m.pokes[:0]
	return ucErr("flush translations", C.tcs_flush_tlb(m.c))
}

// OnStack reports whether an address lies in the kernel stack or in the private stack of a loaded function; the end of one
// counts as part of it.
func (m *Machine) OnStack(a image.Addr) bool {
	in := guest.Span{Addr: guest.StackTop - image.Addr(m.cfg.StackSize), Size: m.cfg.StackSize}.Touches(a)
	for _, f := range m.Funcs {
		in = in || f.Frame.PrivateFP != 0 && guest.PrivateStack(f.FuncImage).Touches(a)
	}
	return in
}
