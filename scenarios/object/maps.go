// SPDX-License-Identifier: GPL-2.0-only

package object

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/bits"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/scenarios"
)

// hashRoom is how many entries of a hash are emulated, hashBytes how many bytes of entries if those are large: nothing that
// programs see depends on the rest before they have stored so many. maxArray is the largest array.
const (
	hashRoom  = 1 << 14
	hashBytes = 1 << 25
	maxArray  = 1 << 29
)

func (r *reader) readMaps() {
	for _, name := range slices.Sorted(maps.Keys(r.spec.Maps)) {
		r.addMap(name, r.spec.Maps[name])
	}
	if kc := r.kernelConfig(); kc != nil {
		r.addMap(kconfig, kc)
	}
}

// addMap notes a map and why it is not modelled, if so. A map of maps has the one that it is declared
// with added after it.
func (r *reader) addMap(name string, m *ebpf.MapSpec) int {
	i := len(r.file.Maps)
	r.maps[name] = i
	out := bpf.Map{Name: name, Type: bpf.MapType(m.Type), KeySize: m.KeySize, ValueSize: m.ValueSize, MaxEntries: m.MaxEntries}
	r.file.Maps = append(r.file.Maps, out)
	r.file.mapErrs = append(r.file.mapErrs, nil)
	if err := r.completeMap(&out, m); err != nil {
		r.file.mapErrs[i] = fmt.Errorf("map %s: %w", name, err)
	}
	if out.Type == bpf.ArrayOfMaps || out.Type == bpf.HashOfMaps {
		if m.InnerMap == nil {
			r.file.mapErrs[i] = fmt.Errorf("map %s: no declaration of the maps in it: expected __array(values, struct …)", name)
		} else {
			inner := r.addMap(name+".inner", m.InnerMap)
			out.Inner = inner + 1
			if err := r.file.mapErrs[inner]; err != nil {
				r.file.mapErrs[i] = err
			}
		}
	}
	if err := typed(&out, m); err != nil && r.file.mapErrs[i] == nil {
		r.file.mapErrs[i] = fmt.Errorf("map %s: %w", name, err)
	}
	const forReading, forWriting = 1 << 7, 1 << 8 // BPF_F_RDONLY_PROG, BPF_F_WRONLY_PROG
	out.NoWrite, out.NoRead = m.Flags&forReading != 0, m.Flags&forWriting != 0
	const inner = 1 << 12 // BPF_F_INNER_MAP
	out.Special, out.Varies = r.owned.special(m.Value), m.Flags&inner != 0
	r.file.Maps[i] = out
	return i
}

// typed notes the types of keys and values of a map whose kernel side looks at them: it finds locks, timers and pointers in
// values by them (map_check_btf, kernel/bpf/syscall.c).
func typed(out *bpf.Map, m *ebpf.MapSpec) error {
	looks := out.Type.Hash() || out.Type == bpf.ArrayMap || out.Type == bpf.PerCPUArrayMap || out.Type == bpf.LPMTrie
	if !looks || m.Key == nil || m.Value == nil {
		return nil
	}
	var b btf.Builder
	key, err := b.Add(m.Key)
	if err != nil {
		return err
	}
	value, err := b.Add(m.Value)
	if err != nil {
		return err
	}
	raw, err := b.Marshal(nil, nil)
	if err != nil {
		return err
	}
	out.BTF, out.KeyType, out.ValueType = string(raw), uint32(key), uint32(value)
	return nil
}

const pageSize = 4096

// ringSize is the size of a ring buffer that loaders make of one that is asked for: the next power of two of at least a page
// (adjust_ringbuf_sz, tools/lib/bpf/libbpf.c). ok is false if there is none.
func ringSize(n uint32) (size uint32, ok bool) {
	if n == 0 || n > 1<<31 {
		return 0, false
	}
	return max(pageSize, uint32(1)<<bits.Len32(n-1)), true
}

// completeMap fills in what loaders choose, and checks sizes.
func (r *reader) completeMap(out *bpf.Map, m *ebpf.MapSpec) error {
	entries := uint64(m.MaxEntries)
	switch {
	case m.Type == ebpf.UnspecifiedMap:
		return errors.New("no type: expected __uint(type, …)")
	case out.Type == bpf.ProgArray: // sizes may be left out, the kernel has one choice
		out.KeySize, out.ValueSize = 4, 4
	case out.Type == bpf.PerfEventArray:
		out.KeySize, out.ValueSize, out.MaxEntries = 4, 4, max(1, out.MaxEntries) // one for each CPU
		return nil
	case out.Type == bpf.RingBuf:
		n, ok := ringSize(m.MaxEntries)
		if !ok {
			return fmt.Errorf("a ring buffer of %d bytes: the kernel takes powers of two from %d on (user space can size maps: --map %s.max_entries=N)", m.MaxEntries, pageSize, out.Name)
		}
		out.MaxEntries = min(n, maxSection)
		return nil
	case out.Type == bpf.ArrayOfMaps || out.Type == bpf.HashOfMaps:
		out.ValueSize = 4
	case out.Type == bpf.QueueMap || out.Type == bpf.StackMap:
		if out.KeySize != 0 || out.ValueSize == 0 || out.MaxEntries == 0 {
			return fmt.Errorf("%d entries of %d+%d bytes: the kernel refuses it (user space can size maps: --map %s.max_entries=N)", entries, out.KeySize, out.ValueSize, out.Name)
		}
		out.MaxEntries = min(out.MaxEntries, max(1, uint32(hashBytes/((uint64(out.ValueSize)+7)&^7))))
		return nil
	case out.Type.Opaque(), out.Type == bpf.ArenaMap:
		return nil
	}
	const overhead = 64 // of an entry of a hash
	if out.Type.Hash() || out.Type == bpf.LPMTrie || out.Type == bpf.HashOfMaps {
		out.MaxEntries = min(out.MaxEntries, hashRoom, uint32(max(1, hashBytes/(uint64(out.KeySize)+uint64(out.ValueSize)+overhead))))
	}
	hash := out.Type.Hash() || out.Type == bpf.HashOfMaps || out.Type == bpf.LPMTrie || out.Type == bpf.DevMapHash
	most := uint64(hashBytes)
	if out.Type == bpf.ArrayMap {
		most = maxArray
	}
	const largest = 1 << 22 // KMALLOC_MAX_SIZE, which keys and values of a hash fit in
	switch {
	case hash && uint64(out.KeySize)+uint64(out.ValueSize) >= largest-overhead:
		return fmt.Errorf("entries of %d+%d bytes: the kernel takes fewer than %d (E2BIG)", out.KeySize, out.ValueSize, largest)
	case (uint64(out.ValueSize)+7)&^7*uint64(out.MaxEntries) > most:
		return fmt.Errorf("%d entries of %d+%d bytes are more than the emulator holds: size it with --map %s.max_entries=N", entries, out.KeySize, out.ValueSize, out.Name)
	case out.MaxEntries == 0 || out.ValueSize == 0 || out.KeySize == 0 || !hash && out.KeySize != 4,
		out.Type == bpf.LPMTrie && (out.KeySize < 5 || out.KeySize > 260):
		return fmt.Errorf("%d entries of %d+%d bytes: the kernel refuses it (user space can size maps: --map %s.max_entries=N)", entries, out.KeySize, out.ValueSize, out.Name)
	}
	if v, ok := frozen(m); ok && uint32(len(v)) <= m.ValueSize {
		out.Frozen = string(v) + string(make([]byte, int(m.ValueSize)-len(v)))
	}
	return nil
}

// frozen returns the contents of a section of constants, which loaders freeze.
func frozen(m *ebpf.MapSpec) ([]byte, bool) {
	const readOnlyForPrograms = 1 << 7 // BPF_F_RDONLY_PROG
	if m.Type != ebpf.Array || m.MaxEntries != 1 || m.Flags&readOnlyForPrograms == 0 || len(m.Contents) != 1 {
		return nil, false
	}
	v, ok := m.Contents[0].Value.([]byte)
	return v, ok
}

// readContents reads what maps hold before the first run.
func (r *reader) readContents() {
	for _, name := range slices.Sorted(maps.Keys(r.spec.Maps)) {
		i := r.maps[name]
		m := &r.file.Maps[i]
		if r.file.mapErrs[i] != nil {
			continue
		}
		for _, kv := range r.spec.Maps[name].Contents {
			if err := r.content(i, m, kv); err != nil {
				r.file.mapErrs[i] = fmt.Errorf("map %s: %w", name, err)
			}
		}
	}
	r.judge()
}

// content notes one entry of map i.
func (r *reader) content(i int, m *bpf.Map, kv ebpf.MapKV) error {
	key, ok := keyBytes(kv.Key, m.KeySize)
	if !ok {
		return fmt.Errorf("contents by %T are not modelled", kv.Key)
	}
	index := binary.LittleEndian.Uint32(append(bytes.Clone(key), 0, 0, 0, 0))
	switch v := kv.Value.(type) {
	case []byte:
		if len(v) > int(m.ValueSize) {
			return fmt.Errorf("contents of %d bytes", len(v))
		}
		r.file.Values = append(r.file.Values, scenarios.Stored{Map: i, Key: key, Data: v})
		return nil
	case string:
		if m.Type != bpf.HashOfMaps && index >= m.MaxEntries {
			return fmt.Errorf("slot %d is declared, but there are only %d", index, m.MaxEntries)
		}
		if inner, known := r.maps[v]; known && m.Inner > 0 {
			r.file.Inner = append(r.file.Inner, scenarios.Inner{Map: i, Key: key, Inner: inner})
			return r.file.mapErrs[inner]
		}
		p, known := r.progs[v]
		if !known || m.Type != bpf.ProgArray {
			return fmt.Errorf("slot %d is to hold %q, which is not a program of the file", index, v)
		}
		r.file.Slots = append(r.file.Slots, scenarios.Slot{Map: i, Key: index, Program: p})
		return nil
	}
	return fmt.Errorf("contents %T are not modelled", kv.Value)
}

// keyBytes is a key as it is in memory.
func keyBytes(key any, size uint32) ([]byte, bool) {
	switch k := key.(type) {
	case uint32:
		return binary.LittleEndian.AppendUint32(nil, k), size == 4
	case []byte:
		return k, len(k) == int(size)
	}
	return nil, false
}

// judge blames programs for the maps that they use.
func (r *reader) judge() {
	f := r.file
	for i := range f.Programs {
		var errs []error
		for m := range f.usedMaps(i) {
			errs = append(errs, f.mapErrs[m])
		}
		if err := errors.Join(errs...); err != nil {
			f.progErrs[i] = errors.Join(f.progErrs[i], fmt.Errorf("program %s: %w", f.Programs[i].Name, err))
		}
	}
}

// usedMaps yields the maps that a program refers to, once each and in order.
func (f *File) usedMaps(prog int) func(func(int) bool) {
	seen := map[int]bool{}
	insns := f.Programs[prog].Insns
	for n := 0; n < len(insns); n++ {
		in := insns[n]
		if in.Op != bpf.OpLdImm64 {
			continue
		}
		n++
		if in.Src == bpf.PseudoMap || in.Src == bpf.PseudoMapValue {
			seen[int(in.Imm)] = true
		}
	}
	return slices.Values(slices.Sorted(maps.Keys(seen)))
}
