// SPDX-License-Identifier: GPL-2.0-only

package interp

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"syscall"

	"github.com/tcsim/tcsim/emu/interp/kernlib"
	"github.com/tcsim/tcsim/jit/bpf"
)

// maxMapBytes bounds the values of one map.
const maxMapBytes = 1 << 29

// Flags of map updates (include/uapi/linux/bpf.h).
const (
	Any     = 0
	NoExist = 1
	Exist   = 2
)

// mapState is a map and its contents. Values are stride bytes apart: the value size rounded up to 8,
// as in struct bpf_array. A per-CPU array holds the values of CPU 0 first. A hash map gives a new
// element the lowest free place.
type mapState struct {
	def    bpf.Map
	index  int
	handle uint64 // address of struct bpf_map
	base   uint64 // address of data
	stride uint64
	data   []byte
	gaps   gaps            // between values, as addresses have them
	pages  map[uint64]bool // of large data those that may have been written; nil of other data
	cpus   uint32

	places map[string]uint32 // hash: key -> place
	keys   map[uint32]string // hash: place -> key
	used   []bool            // hash: by place
	progs  []int             // prog array: -1 is empty
	inner  map[string]uint64 // map of maps: key -> handle
	ring   uint64            // ring buffer: bytes used
	fifo   [][]byte          // queue and stack: the oldest first
}

// keyed reports whether keys are of any kind.
func (s *mapState) keyed() bool { return s.def.Type.Hash() || s.def.Type == bpf.LPMTrie }

func newMapState(def bpf.Map, cfg *Config, i int) (*mapState, error) {
	s := &mapState{
		def: def, index: i, cpus: 1, stride: uint64(def.ValueSize+7) &^ 7,
		handle: cfg.Layout.Handle[i], base: cfg.Layout.Values[i],
	}
	switch def.Type {
	case bpf.ArenaMap:
		return s, nil
	case bpf.PerCPUArrayMap:
		s.cpus = cfg.CPUs
	case bpf.ArrayOfMaps, bpf.HashOfMaps:
		s.inner = map[string]uint64{}
		return s, nil
	case bpf.RingBuf:
		s.data = make([]byte, def.MaxEntries)
		return s, nil
	case bpf.ArrayMap, bpf.ProgArray, bpf.LPMTrie:
	default:
		if def.Type.Opaque() {
			return s, nil
		}
		if !def.Type.Hash() {
			return nil, fmt.Errorf("map type %d is not modelled", def.Type)
		}
	}
	if def.MaxEntries == 0 || def.KeySize == 0 || def.ValueSize == 0 {
		return nil, fmt.Errorf("key size %d, value size %d, %d entries: none may be zero", def.KeySize, def.ValueSize, def.MaxEntries)
	}
	if !s.keyed() && def.KeySize != 4 {
		return nil, fmt.Errorf("key size %d, an array needs 4", def.KeySize)
	}
	size := s.stride * uint64(def.MaxEntries) * uint64(s.cpus)
	if uint64(def.ValueSize) > maxMapBytes || size > maxMapBytes {
		return nil, fmt.Errorf("values of %d bytes, more than %d", size, maxMapBytes)
	}
	if def.Type == bpf.ProgArray {
		s.progs = make([]int, def.MaxEntries)
	} else {
		s.data = make([]byte, size)
	}
	if apart := cfg.Layout.Apart[i]; s.keyed() && apart != 0 {
		s.gaps = gaps{s.stride, apart}
	}
	if size >= largeMap {
		s.pages = map[uint64]bool{}
	}
	s.reset()
	return s, nil
}

// largeMap is from how many bytes on only those parts of values are zeroed that were written: the others cost no memory.
const largeMap = 1 << 24

// pageSize is the size of such a part.
const pageSize = 4096

// touch notes that n bytes at off may be written.
func touch(pages map[uint64]bool, off uint64, n int) {
	if pages == nil {
		return
	}
	for p := off / pageSize; p*pageSize < off+uint64(n); p++ {
		pages[p] = true
	}
}

// at is the address of what data has at off.
func (s *mapState) at(off uint64) uint64 { return s.base + s.gaps.addr(off) }

func (s *mapState) reset() {
	if s.pages == nil {
		clear(s.data)
	}
	for p := range s.pages {
		clear(s.data[p*pageSize : min((p+1)*pageSize, uint64(len(s.data)))])
	}
	clear(s.pages)
	for i := range s.progs {
		s.progs[i] = -1
	}
	s.ring, s.fifo = 0, nil
	if s.keyed() {
		s.places, s.keys = map[string]uint32{}, map[uint32]string{}
		s.used = make([]bool, s.def.MaxEntries)
	}
}

// find returns where in data the value of key begins; ok is false if there is none.
func (s *mapState) find(key []byte, cpu uint32) (off uint64, ok bool) {
	if s.keyed() {
		place, ok := s.places[string(key)]
		return uint64(place) * s.stride, ok
	}
	i := binary.LittleEndian.Uint32(key)
	if i >= s.def.MaxEntries {
		return 0, false
	}
	if s.def.Type != bpf.PerCPUArrayMap {
		cpu = 0
	}
	return (uint64(cpu)*uint64(s.def.MaxEntries) + uint64(i)) * s.stride, true
}

// update is map_update_elem (kernel/bpf/arraymap.c, hashtab.c). It returns 0 or an errno.
func (s *mapState) update(key, value []byte, flags uint64, cpu uint32) syscall.Errno {
	if flags > Exist {
		return syscall.EINVAL
	}
	off, ok := s.find(key, cpu)
	switch {
	case !ok && !s.keyed():
		return syscall.E2BIG
	case s.def.Type == bpf.LPMTrie && binary.LittleEndian.Uint32(key) > 8*(s.def.KeySize-4):
		return syscall.EINVAL
	case ok && flags == NoExist:
		return syscall.EEXIST
	case !ok && flags == Exist:
		return syscall.ENOENT
	case !ok:
		place := slices.Index(s.used, false)
		if place < 0 {
			if place = s.evict(); place < 0 {
				return syscall.E2BIG
			}
		}
		s.used[place] = true
		s.places[string(key)], s.keys[uint32(place)] = uint32(place), string(key)
		off = uint64(place) * s.stride
	}
	touch(s.pages, off, int(s.def.ValueSize))
	copy(s.data[off:off+uint64(s.def.ValueSize)], value)
	return 0
}

// evict gives up a place of a full LRU hash, the first; -1 if the map is not one. Which element a kernel
// gives up is nothing that programs can rely on.
func (s *mapState) evict() int {
	if s.def.Type != bpf.LRUHashMap && s.def.Type != bpf.LRUPerCPUHashMap {
		return -1
	}
	delete(s.places, s.keys[0])
	return 0
}

// longest finds the entry of an LPM trie whose prefix is the longest one that key begins with. Keys
// are the number of bits and the bits.
func (s *mapState) longest(key []byte) (off uint64, ok bool) {
	bits := min(binary.LittleEndian.Uint32(key), 8*(s.def.KeySize-4))
	for n := int(bits); n >= 0; n-- {
		for k, place := range s.places {
			if binary.LittleEndian.Uint32([]byte(k)) == uint32(n) && kernlib.Prefix(k[4:], n) == kernlib.Prefix(string(key[4:]), n) {
				return uint64(place) * s.stride, true
			}
		}
	}
	return 0, false
}

// fillInner puts maps into maps of maps.
func (m *Machine) fillInner() {
	for _, in := range m.cfg.Inner {
		m.maps[in.Map].inner[string(in.Key)] = m.maps[in.Inner].handle
	}
}

// remove is map_delete_elem.
func (s *mapState) remove(key []byte) syscall.Errno {
	if !s.keyed() {
		return syscall.EINVAL
	}
	place, ok := s.places[string(key)]
	if !ok {
		return syscall.ENOENT
	}
	s.used[place] = false
	delete(s.places, string(key))
	delete(s.keys, place)
	return 0
}

func (m *Machine) mapByHandle(addr uint64) *mapState {
	for _, s := range m.maps {
		if s.handle == addr {
			return s
		}
	}
	return nil
}

// dataMap returns a map that has values and checks the key.
func (m *Machine) dataMap(mp int, key []byte) (*mapState, error) {
	if mp < 0 || mp >= len(m.maps) {
		return nil, fmt.Errorf("map %d of %d", mp, len(m.maps))
	}
	s := m.maps[mp]
	if s.data == nil {
		return nil, fmt.Errorf("map %d %q has no values", mp, s.def.Name)
	}
	if len(key) != int(s.def.KeySize) {
		return nil, fmt.Errorf("map %d %q: key of %d bytes, want %d", mp, s.def.Name, len(key), s.def.KeySize)
	}
	return s, nil
}

// Update sets a value as the map update system call does, on the machine's CPU. An error from the
// map itself is a syscall.Errno.
func (m *Machine) Update(mp int, key, value []byte, flags uint64) error {
	s, err := m.dataMap(mp, key)
	if err != nil {
		return fmt.Errorf("update: %w", err)
	}
	if len(value) != int(s.def.ValueSize) {
		return fmt.Errorf("update: map %d %q: value of %d bytes, want %d", mp, s.def.Name, len(value), s.def.ValueSize)
	}
	if e := s.update(key, value, flags, m.cfg.CPU); e != 0 {
		return fmt.Errorf("update: map %d %q: %w", mp, s.def.Name, e)
	}
	return nil
}

// Delete removes a key as the system call does.
func (m *Machine) Delete(mp int, key []byte) error {
	s, err := m.dataMap(mp, key)
	if err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	if e := s.remove(key); e != 0 {
		return fmt.Errorf("delete: map %d %q: %w", mp, s.def.Name, e)
	}
	return nil
}

// Lookup returns the value of key on the machine's CPU, or nil. The slice is the map's own memory
// and may be written to.
func (m *Machine) Lookup(mp int, key []byte) []byte {
	s, err := m.dataMap(mp, key)
	if err != nil {
		return nil
	}
	off, ok := s.find(key, m.cfg.CPU)
	if !ok {
		return nil
	}
	touch(s.pages, off, int(s.def.ValueSize))
	return s.data[off : off+uint64(s.def.ValueSize) : off+uint64(s.def.ValueSize)]
}

// Entry is one element of a map. Value of a prog array is empty and Prog the program; else Prog
// is -1. Value of a per-CPU array has the values of all CPUs in order.
type Entry struct {
	Key, Value []byte
	Prog       int
}

// Entries returns copies of the elements of a map in the order of their keys: all of an array,
// the occupied ones of a prog array.
func (m *Machine) Entries(mp int) []Entry {
	if mp < 0 || mp >= len(m.maps) {
		return nil
	}
	s := m.maps[mp]
	var list []Entry
	if s.keyed() {
		for k := range s.places {
			list = append(list, Entry{Key: []byte(k), Value: slices.Clone(m.Lookup(mp, []byte(k))), Prog: -1})
		}
		slices.SortFunc(list, func(a, b Entry) int { return cmp.Compare(string(a.Key), string(b.Key)) })
		return list
	}
	for i := range s.def.MaxEntries {
		e := Entry{Key: binary.LittleEndian.AppendUint32(nil, i), Prog: -1}
		if s.progs != nil {
			if e.Prog = s.progs[i]; e.Prog >= 0 {
				list = append(list, e)
			}
			continue
		}
		for cpu := range s.cpus {
			off, ok := s.find(e.Key, cpu)
			if ok && s.data != nil {
				e.Value = append(e.Value, s.data[off:off+uint64(s.def.ValueSize)]...)
			}
		}
		list = append(list, e)
	}
	return list
}
