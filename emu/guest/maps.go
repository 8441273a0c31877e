// SPDX-License-Identifier: GPL-2.0-only

package guest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
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
	ENOSPC Errno = 28
	EAGAIN Errno = 11
	ERANGE Errno = 34
	ENOMEM Errno = 12
	EACCES Errno = 13
	EPERM  Errno = 1
	ENODEV Errno = 19
	// EOPNOTSUPP and EAFNOSUPPORT are of include/uapi/asm-generic/errno.h.
	EOPNOTSUPP   Errno = 95
	EAFNOSUPPORT Errno = 97
	// ENOTSUPP is of the kernel only (include/linux/errno.h).
	ENOTSUPP Errno = 524
)

var errnoNames = map[Errno]string{
	ENOSPC: "ENOSPC",
	ENOENT: "ENOENT", E2BIG: "E2BIG", EFAULT: "EFAULT", EBUSY: "EBUSY", EEXIST: "EEXIST", EINVAL: "EINVAL",
}

// Error returns the symbolic name.
func (e Errno) Error() string { return errnoNames[e] }

// Result is e as a helper returns it.
func (e Errno) Result() uint64 { return uint64(-int64(e)) }

// UpdateFlags are the flags of map updates (include/uapi/linux/bpf.h).
type UpdateFlags uint64

// The update flags.
const (
	UpdateAny     UpdateFlags = 0
	UpdateNoExist UpdateFlags = 1
	UpdateExist   UpdateFlags = 2
)

// Map is a map in guest memory. All its state is there, so that Reset restores it.
type Map struct {
	MapSpec
	// Elems is where a hash keeps its elements, after a header with the number of elements ever
	// used; a per-CPU array its values.
	Elems image.Addr
	size  uint64 // distance of elements in bytes
}

// Stride is the distance of array values in bytes.
func Stride(valueSize uint32) uint64 { return (uint64(valueSize) + 7) &^ 7 }

// hashHeader precedes the elements of a hash; an element begins with 1 if it is in use.
const hashHeader = 64

// ValueOff is the offset of the value in an element of a hash.
func (g *Map) ValueOff() uint64 { return HashKey + Stride(g.KeySize) }

// Element returns the address of element i of an array, as this CPU sees it.
func (g *Map) Element(i uint32) image.Addr {
	if g.Type == bpf.PerCPUArrayMap {
		return g.Elems + image.Addr(uint64(i)*g.size)
	}
	return g.ValueAddr + image.Addr(uint64(i)*g.size)
}

// Place maps the structures of g and initialises them.
func (g *Map) Place(s *Memory, off kernels.Offsets) error {
	payload := uint64(0)
	switch g.Type {
	case bpf.ArrayMap:
		g.size = Stride(g.ValueSize)
		payload = uint64(g.MaxEntries) * g.size
	case bpf.PerCPUArrayMap, bpf.ProgArray, bpf.ArrayOfMaps:
		g.size = Stride(g.ValueSize)
		payload = uint64(g.MaxEntries) * 8
	case bpf.RingBuf:
		g.size = 1
	case bpf.QueueMap, bpf.StackMap:
		g.size = Stride(g.ValueSize)
	default:
		g.size = (g.ValueOff() + Stride(g.ValueSize)) // of a map of maps 8, for a pointer
	}
	header := image.Addr(max(off.ArrayPtrs, off.MapMaxEntries+4))
	switch {
	case g.Addr == 0 && g.ValueAddr != 0:
		g.Addr = g.ValueAddr - image.Addr(off.ArrayPtrs)
	case g.Addr == 0:
		g.Addr = s.Heap(uint64(header) + payload)
	}
	if err := s.MapRange(g.Addr, uint64(header), Writable); err != nil {
		return err
	}
	// map_type, key_size, value_size and max_entries follow each other (struct bpf_map).
	at := g.Addr + image.Addr(off.MapMaxEntries)
	for i, v := range []uint32{uint32(g.Type), g.KeySize, g.ValueSize, g.MaxEntries} {
		if err := s.WriteDword(at-12+image.Addr(4*i), v); err != nil {
			return err
		}
	}
	if g.ValueAddr == 0 && payload > 0 {
		g.ValueAddr = g.Addr + image.Addr(off.ArrayPtrs)
	}
	if payload > 0 {
		if err := s.MapRange(g.ValueAddr, payload, Writable); err != nil {
			return err
		}
	}
	return g.placeElems(s)
}

func (g *Map) placeElems(s *Memory) error {
	switch g.Type {
	case bpf.HashMap, bpf.PerCPUHashMap, bpf.LRUHashMap, bpf.LRUPerCPUHashMap, bpf.LPMTrie, bpf.HashOfMaps, bpf.RingBuf,
		bpf.QueueMap, bpf.StackMap:
		size := hashHeader + uint64(g.MaxEntries)*g.size
		g.Elems = s.Heap(size) + hashHeader
		return s.MapRange(g.Elems-hashHeader, size, Writable)
	case bpf.PerCPUArrayMap:
		size := uint64(g.MaxEntries) * g.size
		g.Elems = s.Heap(size)
		if err := s.MapRange(g.Elems, size, Writable); err != nil {
			return err
		}
		for i := range g.MaxEntries {
			ptr := g.Element(i) - GSBase
			if err := s.WriteWord(g.ValueAddr+image.Addr(8*i), uint64(ptr)); err != nil {
				return err
			}
		}
	}
	return nil
}

// Find returns the address of the element with this key, and of a free one if there is none.
func (g *Map) Find(s *Memory, key []byte) (elem, free image.Addr, err error) {
	used, err := s.ReadWord(g.Elems - hashHeader)
	if err != nil {
		return 0, 0, err
	}
	k := make([]byte, g.KeySize)
	for i := uint64(0); i < used; i++ {
		at := g.Elems + image.Addr(i*g.size)
		live, err := s.ReadWord(at)
		if err != nil {
			return 0, 0, err
		}
		if live == 0 {
			if free == 0 {
				free = at
			}
			continue
		}
		if err := s.Read(at+HashKey, k); err != nil {
			return 0, 0, err
		}
		if bytes.Equal(k, key) {
			return at, 0, nil
		}
	}
	if free == 0 && used < uint64(g.MaxEntries) {
		free = g.Elems + image.Addr(used*g.size)
	}
	return 0, free, nil
}

// Lookup returns the address of the value, 0 if there is none.
func (g *Map) Lookup(s *Memory, key []byte) (image.Addr, error) {
	switch g.Type {
	case bpf.ArrayMap, bpf.PerCPUArrayMap:
		i := binary.LittleEndian.Uint32(key)
		if i >= g.MaxEntries {
			return 0, nil
		}
		return g.Element(i), nil
	case bpf.XSKMap:
		return 0, nil // holds no sockets
	case bpf.ArrayOfMaps:
		i := binary.LittleEndian.Uint32(key)
		if i >= g.MaxEntries {
			return 0, nil
		}
		inner, err := s.ReadWord(g.Element(i))
		return image.Addr(inner), err
	case bpf.LPMTrie:
		return g.longest(s, key)
	case bpf.HashMap, bpf.PerCPUHashMap, bpf.LRUHashMap, bpf.LRUPerCPUHashMap, bpf.HashOfMaps:
		e, _, err := g.Find(s, key)
		if e == 0 || err != nil {
			return 0, err
		}
		if v := e + image.Addr(g.ValueOff()); g.Type != bpf.HashOfMaps {
			return v, nil
		}
		inner, err := s.ReadWord(e + image.Addr(g.ValueOff()))
		return image.Addr(inner), err
	}
	return 0, fmt.Errorf("map %s of type %d cannot be looked up", g.Name, g.Type)
}

// Update stores a value (array_map_update_elem, htab_map_update_elem). A refusal is an Errno.
func (g *Map) Update(s *Memory, key, value []byte, flags UpdateFlags) error {
	if flags > UpdateExist {
		return EINVAL
	}
	switch g.Type {
	case bpf.ArrayMap, bpf.PerCPUArrayMap:
		i := binary.LittleEndian.Uint32(key)
		switch {
		case i >= g.MaxEntries:
			return E2BIG
		case flags == UpdateNoExist:
			return EEXIST
		}
		return s.Write(g.Element(i), value)
	case bpf.HashMap, bpf.PerCPUHashMap, bpf.LRUHashMap, bpf.LRUPerCPUHashMap, bpf.LPMTrie:
		if g.Type == bpf.LPMTrie && binary.LittleEndian.Uint32(key) > 8*(g.KeySize-4) {
			return EINVAL
		}
		return g.insert(s, key, value, flags)
	}
	return fmt.Errorf("map %s of type %d cannot be updated", g.Name, g.Type)
}

func (g *Map) insert(s *Memory, key, value []byte, flags UpdateFlags) error {
	e, free, err := g.Find(s, key)
	switch {
	case err != nil:
		return err
	case e != 0 && flags == UpdateNoExist:
		return EEXIST
	case e == 0 && flags == UpdateExist:
		return ENOENT
	case e == 0 && free == 0 && g.Type == bpf.LPMTrie:
		return ENOSPC
	case e == 0 && free == 0 && g.Type != bpf.LRUHashMap && g.Type != bpf.LRUPerCPUHashMap:
		return E2BIG
	case e == 0:
		if e = free; e == 0 {
			e = g.Elems // an LRU hash makes room, here always in the first place
		}
		n := uint64(e-g.Elems)/g.size + 1
		used, err := s.ReadWord(g.Elems - hashHeader)
		if err == nil && n > used {
			err = s.WriteWord(g.Elems-hashHeader, n)
		}
		if err := errors.Join(err, s.WriteWord(e, 1), s.Write(e+HashKey, key)); err != nil {
			return err
		}
	}
	return s.Write(e+image.Addr(g.ValueOff()), value)
}

// Remove deletes a key (htab_map_delete_elem; arrays refuse). A refusal is an Errno.
func (g *Map) Remove(s *Memory, key []byte) error {
	if !g.Type.Hash() && g.Type != bpf.LPMTrie {
		return EINVAL
	}
	e, _, err := g.Find(s, key)
	if err == nil && e == 0 {
		return ENOENT
	}
	if err != nil {
		return err
	}
	return s.WriteWord(e, 0)
}

// longest finds the value of the longest prefix that matches (kernel/bpf/lpm_trie.c): keys are a
// length in bits and the bytes that it is of.
func (g *Map) longest(s *Memory, key []byte) (image.Addr, error) {
	used, err := s.ReadWord(g.Elems - hashHeader)
	if err != nil {
		return 0, err
	}
	most, best, k := uint32(0), image.Addr(0), make([]byte, g.KeySize)
	for i := uint64(0); i < used; i++ {
		at := g.Elems + image.Addr(i*g.size)
		live, err := s.ReadWord(at)
		if err == nil {
			err = s.Read(at+HashKey, k)
		}
		if err != nil {
			return 0, err
		}
		n := binary.LittleEndian.Uint32(k)
		if live != 0 && n <= binary.LittleEndian.Uint32(key) && (best == 0 || n >= most) && samePrefix(k[4:], key[4:], n) {
			most, best = n, at+image.Addr(g.ValueOff())
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

// Next returns the first element of a map that can be gone through whose place is from or later: its place, key and value.
// The value is 0 if there is none, the key of an array is.
func (g *Map) Next(s *Memory, from uint64) (place uint64, key, value image.Addr, err error) {
	switch g.Type {
	case bpf.ArrayMap, bpf.PerCPUArrayMap:
		if from >= uint64(g.MaxEntries) {
			return 0, 0, 0, nil
		}
		return from, 0, g.Element(uint32(from)), nil
	case bpf.HashMap, bpf.PerCPUHashMap, bpf.LRUHashMap, bpf.LRUPerCPUHashMap:
		used, err := s.ReadWord(g.Elems - hashHeader)
		for ; err == nil && from < used; from++ {
			at := g.Elems + image.Addr(from*g.size)
			var live uint64
			if live, err = s.ReadWord(at); live != 0 {
				return from, at + HashKey, at + image.Addr(g.ValueOff()), err
			}
		}
		return 0, 0, 0, err
	}
	return 0, 0, 0, fmt.Errorf("map %s of type %d cannot be gone through", g.Name, g.Type)
}

// PutInner stores the address of a map in a map of maps.
func (g *Map) PutInner(s *Memory, key []byte, inner image.Addr) error {
	if g.Type == bpf.HashOfMaps {
		return g.insert(s, key, binary.LittleEndian.AppendUint64(nil, uint64(inner)), UpdateAny)
	}
	i := binary.LittleEndian.Uint32(key)
	if i >= g.MaxEntries {
		return E2BIG
	}
	return s.WriteWord(g.Element(i), uint64(inner))
}

// Values returns where the first value is and how far from each other values are, if both are always the same: as this CPU sees
// an array, and in a hash, whose new elements get the lowest free place. Else both are 0.
func (g *Map) Values() (first image.Addr, apart uint64) {
	switch g.Type {
	case bpf.ArrayMap:
		return g.ValueAddr, g.size
	case bpf.PerCPUArrayMap:
		return g.Elems, g.size
	case bpf.HashMap, bpf.PerCPUHashMap, bpf.LRUHashMap, bpf.LRUPerCPUHashMap, bpf.LPMTrie:
		return g.Elems + image.Addr(g.ValueOff()), g.size
	}
	return 0, 0
}

// Memory returns where the values lie that programs may write. A prog array has none.
func (g *Map) Memory() []Span {
	switch g.Type {
	case bpf.ArrayMap:
		return []Span{{g.ValueAddr, uint64(g.MaxEntries) * g.size}}
	case bpf.RingBuf:
		return []Span{{g.Elems, uint64(g.MaxEntries)}}
	}
	if g.Elems == 0 || g.Type == bpf.HashOfMaps {
		return nil
	}
	return []Span{{g.Elems, uint64(g.MaxEntries) * g.size}}
}
