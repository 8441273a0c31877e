// SPDX-License-Identifier: GPL-2.0-only

package guest

import (
	"errors"
	"fmt"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
)

// Setup is what a machine is loaded with: plain data, from the project's own compiler or from a
// capture. Load copies what it needs, except the images, which must not change while loaded.
type Setup struct {
	// Images are the programs. Image i gets a struct bpf_prog of its own, for prog arrays.
	Images []*image.Image
	// Maps are in the order that programs and the update functions refer to.
	Maps []MapSpec
	// Symbols are the kernel symbols that code refers to: helpers, thunks, variables. For per-CPU
	// variables the address is the displacement from the gs base. Helpers that are not modelled
	// may be named: only calling one is an error.
	Symbols map[string]image.Addr
	// Routines are those that code of tail-call designs refers to.
	Routines map[image.Routine]image.Addr
	// Offsets are the positions in the kernel's structures.
	Offsets kernels.Offsets
	// Tramp is how its trampolines look, which decides what the functions do that they call.
	Tramp kernels.Tramp
	// PktType is where struct sk_buff has pkt_type; 0 is where kernels of distributions have it.
	PktType int16
	// Slots are the contents of the prog arrays.
	Slots []Slot
	// Inner are the contents of the maps of maps.
	Inner []Inner
	// Data is further memory, such as the context. Regions may share pages, but not bytes.
	Data []Region
	// Packet is placed at PacketAddr, readable and writable; helpers such as skb_load_bytes read it.
	Packet []byte
	// VoidRAX is what kernel functions that return nothing leave in rax: those that trampolines call.
	// Designs before 6.7 take it for tail_call_cnt.
	VoidRAX uint64
	// Marks are the instructions at which registers are recorded. nil marks the entry, calls,
	// returns and the Jump and End of each tail call of every image.
	Marks []image.Addr
}

// MapSpec is a map at its addresses. An address that is 0 is chosen by the machine.
type MapSpec struct {
	bpf.Map
	Addr      image.Addr // struct bpf_map
	ValueAddr image.Addr // first value of an array
}

// Slot is one entry of a prog array.
type Slot struct {
	Map  int // index into Setup.Maps
	Key  uint32
	Prog int // index into Setup.Images
}

// Inner is one entry of a map of maps. Map and Inner are indexes into Setup.Maps.
type Inner struct {
	Map   int
	Key   []byte
	Inner int
}

// Region is initialised memory.
type Region struct {
	Addr     image.Addr
	Bytes    []byte
	ReadOnly bool
}

// HashKey is the offset of the key in struct htab_elem, on every kernel from 5.10 to 7.2; the
// value follows it, aligned to 8 bytes (kernel/bpf/hashtab.c).
const HashKey = 48

// Check finds all mistakes in a setup that can be seen before loading.
func (s *Setup) Check() error {
	var errs []error
	for i, m := range s.Maps {
		if err := checkMap(m); err != nil {
			errs = append(errs, fmt.Errorf("map %d (%s): %w", i, m.Name, err))
		}
	}
	for i, img := range s.Images {
		if img == nil || len(img.Funcs) == 0 {
			errs = append(errs, fmt.Errorf("image %d: no functions", i))
			continue
		}
		for _, f := range img.Funcs {
			if len(f.Code) == 0 || int(f.Entry) >= len(f.Code) {
				errs = append(errs, fmt.Errorf("image %d: function %s: entry +%#x in %d bytes of code",
					i, f.Name, int(f.Entry), len(f.Code)))
			}
		}
	}
	for i, sl := range s.Slots {
		if err := s.CheckSlot(sl); err != nil {
			errs = append(errs, fmt.Errorf("slot %d: %w", i, err))
		}
	}
	for i, in := range s.Inner {
		n := len(s.Maps)
		if in.Map < 0 || in.Map >= n || in.Inner < 0 || in.Inner >= n || len(in.Key) != int(s.Maps[in.Map].KeySize) ||
			s.Maps[in.Map].Type != bpf.ArrayOfMaps && s.Maps[in.Map].Type != bpf.HashOfMaps {
			errs = append(errs, fmt.Errorf("inner map %d: no map %d in map %d", i, in.Inner, in.Map))
		}
	}
	return errors.Join(errs...)
}

// Placed reports maps whose addresses a setup gives and which lie in the machine's own memory, or where no
// kernel has any. The error names all.
func (s *Setup) Placed() error {
	own := []struct {
		what     string
		from, to image.Addr
	}{
		{"the kernel stack", StackTop - defaultStack - PageSize, StackTop + PageSize},
		{"the context", ContextAddr, DeviceAddr + PageSize},
		{"the packet", PacketAddr - PacketHeadroom, PacketAddr + image.Addr(PacketMemory(len(s.Packet)))},
		{"the current task", TaskAddr, TaskAddr + TaskSize},
	}
	var errs []error
	for i, m := range s.Maps {
		for _, at := range []image.Addr{m.Addr, m.ValueAddr} {
			if at == 0 {
				continue
			}
			if high := at >> 47; high != 0 && high != 1<<17-1 {
				errs = append(errs, fmt.Errorf("map %d (%s): address %#x is not canonical", i, m.Name, uint64(at)))
			}
			for _, o := range own {
				if at >= o.from && at < o.to {
					errs = append(errs, fmt.Errorf("map %d (%s): address %#x lies in %s", i, m.Name, uint64(at), o.what))
				}
			}
		}
	}
	return errors.Join(errs...)
}

// defaultStack is the size of the kernel stack in bytes (THREAD_SIZE).
const defaultStack = 16 << 10

func checkMap(m MapSpec) error {
	size, limit := uint64(m.MaxEntries)*(uint64(m.KeySize)+uint64(m.ValueSize)+HashKey), uint64(1<<26)
	switch m.Type {
	case bpf.ArrayMap:
		size, limit = uint64(m.MaxEntries)*Stride(m.ValueSize), MaxArray
		if m.KeySize != 4 {
			return fmt.Errorf("key size %d, want 4", m.KeySize)
		}
	case bpf.PerCPUArrayMap, bpf.ProgArray, bpf.ArrayOfMaps:
		if m.KeySize != 4 {
			return fmt.Errorf("key size %d, want 4", m.KeySize)
		}
	case bpf.HashMap, bpf.PerCPUHashMap, bpf.LRUHashMap, bpf.LRUPerCPUHashMap, bpf.LPMTrie, bpf.HashOfMaps:
		if m.KeySize == 0 {
			return errors.New("key size 0")
		}
	case bpf.ArenaMap:
		return nil
	default:
		if !m.Type.Opaque() {
			return fmt.Errorf("map type %d is not modelled", m.Type)
		}
		switch m.Type {
		case bpf.RingBuf:
			size = uint64(m.MaxEntries)
		case bpf.QueueMap, bpf.StackMap:
			size = uint64(m.MaxEntries) * Stride(m.ValueSize)
		default:
			return nil
		}
	}
	switch {
	case m.MaxEntries == 0:
		return errors.New("no entries")
	case m.Type != bpf.ProgArray && m.Type != bpf.RingBuf && m.ValueSize == 0:
		return errors.New("value size 0")
	case size > limit:
		return fmt.Errorf("%d entries of %d+%d bytes are more than the machine holds", m.MaxEntries, m.KeySize, m.ValueSize)
	}
	return nil
}

func (s *Setup) CheckSlot(sl Slot) error {
	switch {
	case sl.Map < 0 || sl.Map >= len(s.Maps):
		return fmt.Errorf("no map %d", sl.Map)
	case s.Maps[sl.Map].Type != bpf.ProgArray:
		return fmt.Errorf("map %d is no prog array", sl.Map)
	case sl.Key >= s.Maps[sl.Map].MaxEntries:
		return fmt.Errorf("key %d of %d", sl.Key, s.Maps[sl.Map].MaxEntries)
	case sl.Prog < 0 || sl.Prog >= len(s.Images):
		return fmt.Errorf("no program %d", sl.Prog)
	}
	return nil
}
