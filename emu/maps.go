// SPDX-License-Identifier: GPL-2.0-only

package emu

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/jit"
)

// Errno is a negative result of a map operation or helper, as the kernel returns it.
type Errno int

// The error numbers (include/uapi/asm-generic/errno-base.h).
const (
	ENOENT Errno = 2
	E2BIG  Errno = 7
	EFAULT Errno = 14
	EBUSY  Errno = 16
	EEXIST Errno = 17
	EINVAL Errno = 22
)

var errnoNames = map[Errno]string{
	ENOENT: "ENOENT", E2BIG: "E2BIG", EFAULT: "EFAULT", EBUSY: "EBUSY", EEXIST: "EEXIST", EINVAL: "EINVAL",
}

// Error returns the symbolic name.
func (e Errno) Error() string { return errnoNames[e] }

// result is e as a helper returns it.
func (e Errno) result() uint64 { return uint64(-int64(e)) }

// UpdateFlags are the flags of map updates (include/uapi/linux/bpf.h).
type UpdateFlags uint64

// The update flags.
const (
	UpdateAny     UpdateFlags = 0
	UpdateNoExist UpdateFlags = 1
	UpdateExist   UpdateFlags = 2
)

// guestMap is a map in guest memory. All its state is there, so that Reset restores it.
type guestMap struct {
	MapSpec
	// elems is where a hash keeps its elements, behind a header with the number of elements ever
	// used; a per-CPU array its values.
	elems jit.Addr
	size  uint64 // distance of elements in bytes
}

// hashHeader precedes the elements of a hash; an element begins with 1 if it is in use.
const hashHeader = 64

func (g *guestMap) valueOff() uint64 { return hashKey + stride(g.KeySize) }

// element returns the address of element i of an array, as this CPU sees it.
func (g *guestMap) element(i uint32) jit.Addr {
	if g.Type == jit.PerCPUArrayMap {
		return g.elems + jit.Addr(uint64(i)*g.size)
	}
	return g.ValueAddr + jit.Addr(uint64(i)*g.size)
}

// place maps the structures of g and initialises them.
func (g *guestMap) place(m *Machine) error {
	off := m.setup.Offsets
	payload := uint64(0)
	switch g.Type {
	case jit.ArrayMap:
		g.size = stride(g.ValueSize)
		payload = uint64(g.MaxEntries) * g.size
	case jit.PerCPUArrayMap, jit.ProgArray:
		g.size = stride(g.ValueSize)
		payload = uint64(g.MaxEntries) * 8
	case jit.HashMap:
		g.size = (g.valueOff() + stride(g.ValueSize))
	}
	header := jit.Addr(max(off.ArrayPtrs, off.MapMaxEntries+4))
	switch {
	case g.Addr == 0 && g.ValueAddr != 0:
		g.Addr = g.ValueAddr - jit.Addr(off.ArrayPtrs)
	case g.Addr == 0:
		g.Addr = m.heap(uint64(header) + payload)
	}
	if err := m.space.mapRange(g.Addr, uint64(header), protWrite); err != nil {
		return err
	}
	// map_type, key_size, value_size and max_entries follow each other (struct bpf_map).
	at := g.Addr + jit.Addr(off.MapMaxEntries)
	for i, v := range []uint32{uint32(g.Type), g.KeySize, g.ValueSize, g.MaxEntries} {
		if err := m.space.writeDword(at-12+jit.Addr(4*i), v); err != nil {
			return err
		}
	}
	if g.ValueAddr == 0 && g.Type != jit.HashMap {
		g.ValueAddr = g.Addr + jit.Addr(off.ArrayPtrs)
	}
	if err := m.space.mapRange(g.ValueAddr, payload, protWrite); err != nil {
		return err
	}
	return g.placeElems(m)
}

func (g *guestMap) placeElems(m *Machine) error {
	switch g.Type {
	case jit.HashMap:
		size := hashHeader + uint64(g.MaxEntries)*g.size
		g.elems = m.heap(size) + hashHeader
		return m.space.mapRange(g.elems-hashHeader, size, protWrite)
	case jit.PerCPUArrayMap:
		size := uint64(g.MaxEntries) * g.size
		g.elems = m.heap(size)
		if err := m.space.mapRange(g.elems, size, protWrite); err != nil {
			return err
		}
		for i := range g.MaxEntries {
			ptr := g.element(i) - GSBase
			if err := m.space.writeWord(g.ValueAddr+jit.Addr(8*i), uint64(ptr)); err != nil {
				return err
			}
		}
	}
	return nil
}

// find returns the address of the element with this key, and of a free one if there is none.
func (g *guestMap) find(s *space, key []byte) (elem, free jit.Addr, err error) {
	used, err := s.readWord(g.elems - hashHeader)
	if err != nil {
		return 0, 0, err
	}
	k := make([]byte, g.KeySize)
	for i := uint64(0); i < used; i++ {
		at := g.elems + jit.Addr(i*g.size)
		live, err := s.readWord(at)
		if err != nil {
			return 0, 0, err
		}
		if live == 0 {
			if free == 0 {
				free = at
			}
			continue
		}
		if err := s.read(at+hashKey, k); err != nil {
			return 0, 0, err
		}
		if bytes.Equal(k, key) {
			return at, 0, nil
		}
	}
	if free == 0 && used < uint64(g.MaxEntries) {
		free = g.elems + jit.Addr(used*g.size)
	}
	return 0, free, nil
}

// lookup returns the address of the value, 0 if there is none.
func (g *guestMap) lookup(s *space, key []byte) (jit.Addr, error) {
	switch g.Type {
	case jit.ArrayMap, jit.PerCPUArrayMap:
		i := binary.LittleEndian.Uint32(key)
		if i >= g.MaxEntries {
			return 0, nil
		}
		return g.element(i), nil
	case jit.HashMap:
		e, _, err := g.find(s, key)
		if e == 0 || err != nil {
			return 0, err
		}
		return e + jit.Addr(g.valueOff()), nil
	}
	return 0, fmt.Errorf("map %s of type %d cannot be looked up", g.Name, g.Type)
}

// update stores a value (array_map_update_elem, htab_map_update_elem). A refusal is an Errno.
func (g *guestMap) update(s *space, key, value []byte, flags UpdateFlags) error {
	if flags > UpdateExist {
		return EINVAL
	}
	switch g.Type {
	case jit.ArrayMap, jit.PerCPUArrayMap:
		i := binary.LittleEndian.Uint32(key)
		switch {
		case i >= g.MaxEntries:
			return E2BIG
		case flags == UpdateNoExist:
			return EEXIST
		}
		return s.write(g.element(i), value)
	case jit.HashMap:
		return g.insert(s, key, value, flags)
	}
	return fmt.Errorf("map %s of type %d cannot be updated", g.Name, g.Type)
}

func (g *guestMap) insert(s *space, key, value []byte, flags UpdateFlags) error {
	e, free, err := g.find(s, key)
	switch {
	case err != nil:
		return err
	case e != 0 && flags == UpdateNoExist:
		return EEXIST
	case e == 0 && flags == UpdateExist:
		return ENOENT
	case e == 0 && free == 0:
		return E2BIG
	case e == 0:
		e = free
		n := uint64(e-g.elems)/g.size + 1
		used, err := s.readWord(g.elems - hashHeader)
		if err == nil && n > used {
			err = s.writeWord(g.elems-hashHeader, n)
		}
		if err := errors.Join(err, s.writeWord(e, 1), s.write(e+hashKey, key)); err != nil {
			return err
		}
	}
	return s.write(e+jit.Addr(g.valueOff()), value)
}

// remove deletes a key (htab_map_delete_elem; arrays refuse). A refusal is an Errno.
func (g *guestMap) remove(s *space, key []byte) error {
	if g.Type != jit.HashMap {
		return EINVAL
	}
	e, _, err := g.find(s, key)
	if err == nil && e == 0 {
		return ENOENT
	}
	if err != nil {
		return err
	}
	return s.writeWord(e, 0)
}
