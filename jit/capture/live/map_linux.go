// SPDX-License-Identifier: GPL-2.0-only

package live

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"github.com/tcsim/tcsim/jit/bpf"
)

// createMap makes a map; nil stands in place of one of a type that the kernel does not know.
func (l *Loaded) createMap(m *bpf.Map) error {
	if !l.k.hasMapType(m.Type) {
		l.maps = append(l.maps, nil)
		return nil
	}
	spec, err := mapSpec(m)
	if err != nil {
		return err
	}
	if m.Inner > 0 {
		if spec.InnerMap, err = mapSpec(&l.sc.Maps[m.Inner-1].Map); err != nil {
			return err
		}
	}
	em, err := ebpf.NewMap(spec)
	if err != nil {
		return err
	}
	l.maps = append(l.maps, em)
	if m.Frozen != "" {
		if err := errors.Join(em.Put(uint32(0), []byte(m.Frozen)), em.Freeze()); err != nil {
			return err
		}
	}
	info, err := em.Info()
	if err != nil {
		return err
	}
	id, ok := info.ID()
	if !ok {
		return errors.New("the kernel tells no map id")
	}
	l.ids[uint32(id)] = len(l.maps) - 1
	return nil
}

// mapAt returns map m; the error is that the kernel does not know its type.
func (l *Loaded) mapAt(m int) (*ebpf.Map, error) {
	if l.maps[m] == nil {
		return nil, fmt.Errorf("the kernel has no maps of the type of %s", l.sc.Maps[m].Name)
	}
	return l.maps[m], nil
}

// hasMapType reports whether the kernel's own types name a type of maps; without them, it may.
func (k *Kernel) hasMapType(t bpf.MapType) bool {
	var types *btf.Enum
	if k.types == nil || k.types.TypeByName("bpf_map_type", &types) != nil {
		return true
	}
	return slices.ContainsFunc(types.Values, func(v btf.EnumValue) bool { return v.Value == uint64(t) })
}

// mapSpec describes a map for the kernel. Its name is made an identifier: .rodata by its own name would
// be frozen before it has its contents.
func mapSpec(m *bpf.Map) (*ebpf.MapSpec, error) {
	s := &ebpf.MapSpec{
		Name: identifier(m.Name), Type: ebpf.MapType(m.Type), KeySize: m.KeySize, ValueSize: m.ValueSize, MaxEntries: m.MaxEntries,
	}
	switch {
	case m.Frozen != "":
		s.Flags = unix.BPF_F_RDONLY_PROG
	case m.Type == bpf.LPMTrie:
		s.Flags = unix.BPF_F_NO_PREALLOC
	case m.Type == bpf.ArenaMap:
		const user = 0x7f00_0000_0000 // where user space would see it
		s.Flags, s.MapExtra = unix.BPF_F_MMAPABLE, user
	}
	if m.BTF == "" {
		return s, nil
	}
	types, err := btf.LoadSpecFromReader(strings.NewReader(m.BTF))
	if err != nil {
		return nil, fmt.Errorf("types of the map: %w", err)
	}
	if s.Key, err = types.TypeByID(btf.TypeID(m.KeyType)); err == nil {
		s.Value, err = types.TypeByID(btf.TypeID(m.ValueType))
	}
	return s, err
}
