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
	enospc Errno = 28
)

var errnoNames = map[Errno]string{
	enospc: "ENOSPC",
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
	case jit.PerCPUArrayMap, jit.ProgArray, jit.ArrayOfMaps:
		g.size = stride(g.ValueSize)
		payload = uint64(g.MaxEntries) * 8
	case jit.RingBuf:
		g.size = 1
	default:
		g.size = (g.valueOff() + stride(g.ValueSize)) // of a map of maps 8, for a pointer
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
	if g.ValueAddr == 0 && payload > 0 {
		g.ValueAddr = g.Addr + jit.Addr(off.ArrayPtrs)
	}
	if payload > 0 {
		if err := m.space.mapRange(g.ValueAddr, payload, protWrite); err != nil {
			return err
		}
	}
	return g.placeElems(m)
}

func (g *guestMap) placeElems(m *Machine) error {
	switch g.Type {
	case jit.HashMap, jit.PerCPUHashMap, jit.LRUHashMap, jit.LRUPerCPUHashMap, jit.LPMTrie, jit.HashOfMaps, jit.RingBuf:
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
	case jit.XSKMap:
		return 0, nil // holds no sockets
	case jit.ArrayOfMaps:
		i := binary.LittleEndian.Uint32(key)
		if i >= g.MaxEntries {
			return 0, nil
		}
		inner, err := s.readWord(g.element(i))
		return jit.Addr(inner), err
	case jit.LPMTrie:
		return g.longest(s, key)
	case jit.HashMap, jit.PerCPUHashMap, jit.LRUHashMap, jit.LRUPerCPUHashMap, jit.HashOfMaps:
		e, _, err := g.find(s, key)
		if e == 0 || err != nil {
			return 0, err
		}
		if v := e + jit.Addr(g.valueOff()); g.Type != jit.HashOfMaps {
			return v, nil
		}
		inner, err := s.readWord(e + jit.Addr(g.valueOff()))
		return jit.Addr(inner), err
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
	case jit.HashMap, jit.PerCPUHashMap, jit.LRUHashMap, jit.LRUPerCPUHashMap, jit.LPMTrie:
		if g.Type == jit.LPMTrie && binary.LittleEndian.Uint32(key) > 8*(g.KeySize-4) {
			return EINVAL
		}
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
	case e == 0 && free == 0 && g.Type == jit.LPMTrie:
		return enospc
	case e == 0 && free == 0 && g.Type != jit.LRUHashMap && g.Type != jit.LRUPerCPUHashMap:
		return E2BIG
	case e == 0:
		if e = free; e == 0 {
			e = g.elems // an LRU hash makes room, here always in the first place
		}
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
	if !g.Type.Hash() && g.Type != jit.LPMTrie {
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

// longest finds the value of the longest prefix that matches (kernel/bpf/lpm_trie.c): keys are a
// length in bits and the bytes that it is of.
func (g *guestMap) longest(s *space, key []byte) (jit.Addr, error) {
	used, err := s.readWord(g.elems - hashHeader)
	if err != nil {
		return 0, err
	}
	most, best, k := uint32(0), jit.Addr(0), make([]byte, g.KeySize)
	for i := uint64(0); i < used; i++ {
		at := g.elems + jit.Addr(i*g.size)
		live, err := s.readWord(at)
		if err == nil {
			err = s.read(at+hashKey, k)
		}
		if err != nil {
			return 0, err
		}
		n := binary.LittleEndian.Uint32(k)
		if live != 0 && n <= binary.LittleEndian.Uint32(key) && (best == 0 || n >= most) && samePrefix(k[4:], key[4:], n) {
			most, best = n, at+jit.Addr(g.valueOff())
		}
	}
	return best, nil
}

// samePrefix compares the first n bits.
func samePrefix(a, b []byte, n uint32) bool {
	for i := uint32(0); i < n; i++ {
		if (a[i/8]^b[i/8])>>(7-i%8)&1 != 0 {
			return false
		}
	}
	return true
}

// putInner stores the address of a map in a map of maps.
func (g *guestMap) putInner(s *space, key []byte, inner jit.Addr) error {
	if g.Type == jit.HashOfMaps {
		return g.insert(s, key, binary.LittleEndian.AppendUint64(nil, uint64(inner)), UpdateAny)
	}
	i := binary.LittleEndian.Uint32(key)
	if i >= g.MaxEntries {
		return E2BIG
	}
	return s.writeWord(g.element(i), uint64(inner))
}
