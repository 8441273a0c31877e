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

	"github.com/tcsim/tcsim/jit"
)

// ReadMemory fills dst with guest memory. It fails if a byte is not mapped.
func (m *Machine) ReadMemory(addr jit.Addr, dst []byte) error { return m.space.read(addr, dst) }

// WriteMemory stores to guest data. Text is refused: that is for WriteText.
func (m *Machine) WriteMemory(addr jit.Addr, src []byte) error {
	for a := addr &^ (pageSize - 1); a < addr+jit.Addr(len(src)); a += pageSize {
		if p := m.space.pages[a]; p != nil && p.prot&protExec != 0 {
			return fmt.Errorf("write to %#x: this is text", uint64(a))
		}
	}
	return m.space.write(addr, src)
}

// ReadWord returns the 8 bytes at addr.
func (m *Machine) ReadWord(addr jit.Addr) (uint64, error) { return m.space.readWord(addr) }

// cString reads up to limit bytes of a string.
func (m *Machine) cString(addr jit.Addr, limit int) (string, error) {
	var s []byte
	for len(s) < limit {
		b, _ := m.space.at(addr + jit.Addr(len(s)))
		if b == nil {
			return "", fmt.Errorf("read of %#x: not mapped", uint64(addr)+uint64(len(s)))
		}
		if i := bytes.IndexByte(b, 0); i >= 0 {
			s = append(s, b[:i]...)
			break
		}
		s = append(s, b...)
	}
	return string(s[:min(len(s), limit)]), nil
}

// WriteText patches code, between runs or while a run is stopped. The translations of these bytes
// are dropped. Reset undoes it.
func (m *Machine) WriteText(addr jit.Addr, code []byte) error {
	old := make([]byte, len(code))
	if err := m.space.read(addr, old); err != nil {
		return fmt.Errorf("write text: %w", err)
	}
	for a := addr &^ (pageSize - 1); a < addr+jit.Addr(len(code)); a += pageSize {
		if m.space.pages[a].prot&protExec == 0 {
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
func (m *Machine) patch(addr jit.Addr, code []byte) error {
	if err := m.space.write(addr, code); err != nil {
		return err
	}
	m.translated += hostPerPatch
	end := addr + jit.Addr(len(code))
	C.tcs_forget(m.c, C.uint64_t(addr), C.uint64_t(end))
	for a := addr; a < end; a = (a | (pageSize - 1)) + 1 { // pages need not follow each other in physical memory
		stop := min(end, (a|(pageSize-1))+1)
		if err := ucErr("remove translations", C.tcs_remove_cache(m.c, C.uint64_t(a), C.uint64_t(stop))); err != nil {
			return err
		}
	}
	if m.marked(addr, end) {
		return m.hookMarks()
	}
	return nil
}

// SetSlot makes a prog array entry point to program prog, -1 empties it. Only the pointer that
// indirect tail calls read is written: poking the code of direct ones is for WriteText.
func (m *Machine) SetSlot(mp int, key uint32, prog int) error {
	if prog == -1 {
		if err := m.setup.checkSlot(Slot{mp, key, 0}); err != nil {
			return fmt.Errorf("set slot: %w", err)
		}
		return m.space.writeWord(m.slotAddr(mp, key), 0)
	}
	if err := m.setup.checkSlot(Slot{mp, key, prog}); err != nil {
		return fmt.Errorf("set slot: %w", err)
	}
	return m.space.writeWord(m.slotAddr(mp, key), uint64(m.ProgAddr(prog)))
}

func (m *Machine) slotAddr(mp int, key uint32) jit.Addr {
	return m.maps[mp].ValueAddr + jit.Addr(key)*8
}

// mapFor checks a map index and the key's size.
func (m *Machine) mapFor(mp int, key []byte) (*guestMap, error) {
	if mp < 0 || mp >= len(m.maps) {
		return nil, fmt.Errorf("no map %d", mp)
	}
	g := &m.maps[mp]
	if len(key) != int(g.KeySize) {
		return nil, fmt.Errorf("map %s: key of %d bytes, want %d", g.Name, len(key), g.KeySize)
	}
	return g, nil
}

// LookupElem returns a copy of a value as BPF_MAP_LOOKUP_ELEM does on one CPU. A key that is not
// there is ENOENT.
func (m *Machine) LookupElem(mp int, key []byte) ([]byte, error) {
	g, err := m.mapFor(mp, key)
	if err != nil {
		return nil, err
	}
	at, err := g.lookup(m.space, key)
	if err != nil {
		return nil, err
	}
	if at == 0 {
		return nil, ENOENT
	}
	v := make([]byte, g.ValueSize)
	return v, m.space.read(at, v)
}

// UpdateElem stores a value as BPF_MAP_UPDATE_ELEM does. A refusal is an Errno. Prog arrays are
// for SetSlot.
func (m *Machine) UpdateElem(mp int, key, value []byte, flags UpdateFlags) error {
	g, err := m.mapFor(mp, key)
	if err != nil {
		return err
	}
	if len(value) != int(g.ValueSize) {
		return fmt.Errorf("map %s: value of %d bytes, want %d", g.Name, len(value), g.ValueSize)
	}
	return g.update(m.space, key, value, flags)
}

// DeleteElem removes a key as BPF_MAP_DELETE_ELEM does. A refusal is an Errno.
func (m *Machine) DeleteElem(mp int, key []byte) error {
	g, err := m.mapFor(mp, key)
	if err != nil {
		return err
	}
	return g.remove(m.space, key)
}

// MapAddr returns the address of a map's structure and of its first value, 0 if it has none at a
// fixed place.
func (m *Machine) MapAddr(mp int) (addr, value jit.Addr) {
	return m.maps[mp].Addr, m.maps[mp].ValueAddr
}

// Reset restores memory and text as they were at the last Checkpoint. It costs as much as what was
// written since, not as what there is.
func (m *Machine) Reset() error {
	m.space.restore()
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
	m.space.checkpoint()
	m.pokes = m.pokes[:0]
	return ucErr("flush translations", C.tcs_flush_tlb(m.c))
}
