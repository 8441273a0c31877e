// SPDX-License-Identifier: GPL-2.0-only

package kernel

import (
	"fmt"

	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/emu/helper"
	"github.com/tcsim/tcsim/jit/image"
)

// SetSlot makes a prog array entry point to program prog, -1 empties it. Only the pointer that
// indirect tail calls read is written: poking the code of direct ones is for WriteText.
func (k *Kernel) SetSlot(mp int, key uint32, prog int) error {
	if prog == -1 {
		if err := k.Setup.CheckSlot(guest.Slot{Map: mp, Key: key}); err != nil {
			return fmt.Errorf("set slot: %w", err)
		}
		return k.Mem.WriteWord(k.slotAddr(mp, key), 0)
	}
	if err := k.Setup.CheckSlot(guest.Slot{Map: mp, Key: key, Prog: prog}); err != nil {
		return fmt.Errorf("set slot: %w", err)
	}
	return k.Mem.WriteWord(k.slotAddr(mp, key), uint64(k.ProgAddr(prog)))
}

func (k *Kernel) slotAddr(mp int, key uint32) image.Addr {
	return k.Maps[mp].ValueAddr + image.Addr(key)*8
}

// mapFor checks a map index and the key's size.
func (k *Kernel) mapFor(mp int, key []byte) (*guest.Map, error) {
	if mp < 0 || mp >= len(k.Maps) {
		return nil, fmt.Errorf("no map %d", mp)
	}
	g := &k.Maps[mp]
	if len(key) != int(g.KeySize) {
		return nil, fmt.Errorf("map %s: key of %d bytes, want %d", g.Name, len(key), g.KeySize)
	}
	return g, nil
}

// LookupElem returns a copy of a value as BPF_MAP_LOOKUP_ELEM does on one CPU. A key that is not
// there is guest.ENOENT.
func (k *Kernel) LookupElem(mp int, key []byte) ([]byte, error) {
	g, err := k.mapFor(mp, key)
	if err != nil {
		return nil, err
	}
	at, err := g.Lookup(k.Mem, key)
	if err != nil {
		return nil, err
	}
	if at == 0 {
		return nil, guest.ENOENT
	}
	v := make([]byte, g.ValueSize)
	return v, k.Mem.Read(at, v)
}

// UpdateElem stores a value as BPF_MAP_UPDATE_ELEM does. A refusal is an guest.Errno. Prog arrays are
// for SetSlot.
func (k *Kernel) UpdateElem(mp int, key, value []byte, flags guest.UpdateFlags) error {
	g, err := k.mapFor(mp, key)
	if err != nil {
		return err
	}
	if len(value) != int(g.ValueSize) {
		return fmt.Errorf("map %s: value of %d bytes, want %d", g.Name, len(value), g.ValueSize)
	}
	return g.Update(k.Mem, key, value, flags)
}

// DeleteElem removes a key as BPF_MAP_DELETE_ELEM does. A refusal is an guest.Errno.
func (k *Kernel) DeleteElem(mp int, key []byte) error {
	g, err := k.mapFor(mp, key)
	if err != nil {
		return err
	}
	return g.Remove(k.Mem, key)
}

// MapAddr returns the address of a map's structure and of its first value, 0 if it has none at a
// fixed place.
func (k *Kernel) MapAddr(mp int) (addr, value image.Addr) {
	return k.Maps[mp].Addr, k.Maps[mp].ValueAddr
}

// MapValues is guest.Map.Values of a map.
func (k *Kernel) MapValues(mp int) (first image.Addr, apart uint64) { return k.Maps[mp].Values() }

// MapMemory returns where the values of a map lie that programs may write. A prog array has none.
func (k *Kernel) MapMemory(mp int) []guest.Span { return k.Maps[mp].Memory() }

// SetPacket replaces the packet, between runs; programs see it from byte from on. It must not be
// longer than Setup.Packet was; the room around it is zeroed. xdp says that the context is a struct
// xdp_buff, whose packet helpers move.
func (k *Kernel) SetPacket(p []byte, from int, xdp bool) error {
	room := cap(k.Setup.Packet)
	if len(p) > room || from > len(p) {
		return fmt.Errorf("set packet: %d bytes from %d, room for %d", len(p), from, room)
	}
	k.Setup.Packet = k.Setup.Packet[:len(p):room]
	k.Packet = helper.Packet{Len: len(p), From: from, XDP: xdp}
	if room == 0 {
		return nil
	}
	b := make([]byte, guest.PacketMemory(room))
	copy(b[guest.PacketHeadroom:], p)
	return k.Mem.Write(guest.PacketAddr-guest.PacketHeadroom, b)
}
