// SPDX-License-Identifier: GPL-2.0-only

package kernel

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/tcsim/tcsim/emu/guest"
	"github.com/tcsim/tcsim/emu/helper"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
)

// Load replaces everything in memory by a setup. After an error nothing is loaded.
func (k *Kernel) Load(s guest.Setup) error {
	k.Clear()
	k.Setup = s
	k.VoidRAX, k.Tramp, k.PktType = s.VoidRAX, s.Tramp, cmp.Or(s.PktType, kernels.UsualPktType)
	k.Packet = helper.Packet{Len: len(s.Packet)}
	for _, step := range []func() error{
		k.loadStack, k.loadSymbols, k.loadRoutines, k.loadModules, k.loadText, k.loadMaps, k.loadData, k.loadSlots,
	} {
		if err := step(); err != nil {
			k.Clear()
			return err
		}
	}
	return nil
}

// Clear empties memory.
func (k *Kernel) Clear() {
	k.Mem.Clear()
	*k = *New(k.Mem, k.stackSize)
	k.Code = k
}

func (k *Kernel) loadStack() error {
	bottom := guest.StackTop - image.Addr(k.stackSize)
	if err := k.Mem.MapRange(bottom, k.stackSize, guest.Writable); err != nil {
		return err
	}
	fill := bytes.Repeat(binary.LittleEndian.AppendUint64(nil, guest.StackFill), int(k.stackSize/8))
	if err := k.Mem.Write(bottom, fill); err != nil {
		return err
	}
	if err := errors.Join(k.Mem.WriteWord(guest.OutsideRBP, 0), k.Mem.WriteWord(guest.OutsideRBP+8, 0)); err != nil {
		return err
	}
	// The outside caller: an indirect call, and where it returns to, the end of the run.
	if err := k.Mem.PlaceText(guest.OutsideReturn-2, []byte{0xff, 0xd0, 0xf4}); err != nil {
		return err
	}
	return k.Mem.MapRange(guest.TaskAddr, guest.TaskSize, guest.Writable)
}

// loadModules puts what came with images beside them, once for all images that share it.
func (k *Kernel) loadModules() error {
	seen := map[image.Addr][]byte{}
	place := func(p image.Piece, text bool) error {
		if old, again := seen[p.Addr]; again || len(p.Bytes) == 0 {
			if again && text && !bytes.Equal(old, p.Bytes) {
				return fmt.Errorf("another one is at %#x", uint64(p.Addr))
			}
			return nil
		}
		seen[p.Addr] = p.Bytes
		if text {
			return k.Mem.PlaceText(p.Addr, p.Bytes)
		}
		return errors.Join(k.Mem.MapRange(p.Addr, uint64(len(p.Bytes)), guest.Writable), k.Mem.Write(p.Addr, p.Bytes))
	}
	for i, img := range k.Setup.Images {
		if img.Module == nil {
			continue
		}
		errs := []error{place(img.Module.Text, true)}
		for _, p := range img.Module.Data {
			errs = append(errs, place(p, false))
		}
		for _, p := range img.Module.PerCPU {
			errs = append(errs, place(image.Piece{Addr: guest.GSBase + p.Addr, Bytes: p.Bytes}, false))
		}
		if err := errors.Join(errs...); err != nil {
			return fmt.Errorf("image %d: module: %w", i, err)
		}
	}
	return nil
}

// ModuleMemory returns where the variables are that came with images.
func (k *Kernel) ModuleMemory() []guest.Span {
	var out []guest.Span
	for _, img := range k.Setup.Images {
		if img.Module == nil {
			continue
		}
		for _, p := range img.Module.Data {
			out = append(out, guest.Span{Addr: p.Addr, Size: uint64(len(p.Bytes))})
		}
		for _, p := range img.Module.PerCPU {
			out = append(out, guest.Span{Addr: guest.GSBase + p.Addr, Size: uint64(len(p.Bytes))})
		}
	}
	slices.SortFunc(out, func(a, b guest.Span) int { return cmp.Compare(a.Addr, b.Addr) })
	return slices.Compact(out)
}

func (k *Kernel) loadText() error {
	for i, img := range k.Setup.Images {
		for f := range img.Funcs {
			fn := &img.Funcs[f]
			if err := k.Mem.PlaceText(fn.Addr, fn.Code); err != nil {
				return fmt.Errorf("image %d: function %s: %w", i, fn.Name, err)
			}
			k.Funcs = append(k.Funcs, Func{fn, i})
			if err := k.loadSpecial(fn); err != nil {
				return fmt.Errorf("image %d: function %s: %w", i, fn.Name, err)
			}
		}
		// struct bpf_prog, in which only bpf_func matters.
		at := k.ProgAddr(i)
		if err := k.Mem.MapRange(at, guest.PageSize, guest.Writable); err != nil {
			return err
		}
		entry := img.Funcs[0].Addr + image.Addr(img.Funcs[0].Entry)
		if err := k.Mem.WriteWord(at+image.Addr(k.Setup.Offsets.ProgBPFFunc), uint64(entry)); err != nil {
			return err
		}
	}
	slices.SortFunc(k.Funcs, func(a, b Func) int {
		if a.Addr < b.Addr {
			return -1
		}
		return 1
	})
	for i := 1; i < len(k.Funcs); i++ {
		if a, b := k.Funcs[i-1], k.Funcs[i]; a.End() > b.Addr {
			return fmt.Errorf("functions %s and %s overlap at %#x", a.Name, b.Name, uint64(b.Addr))
		}
	}
	return nil
}

// ProgAddr returns the address of the struct bpf_prog of image i.
func (k *Kernel) ProgAddr(i int) image.Addr { return guest.ProgBase + image.Addr(i)*guest.PageSize }

func (k *Kernel) loadMaps() error {
	k.Maps = make([]guest.Map, len(k.Setup.Maps))
	for i, s := range k.Setup.Maps {
		k.Maps[i] = guest.Map{MapSpec: s}
		if s.Type == bpf.ArenaMap {
			continue
		}
		if err := k.Maps[i].Place(k.Mem, k.Setup.Offsets); err != nil {
			return fmt.Errorf("map %d (%s): %w", i, s.Name, err)
		}
	}
	return nil
}

func (k *Kernel) loadData() error {
	regions := k.Setup.Data
	if len(k.Setup.Packet) != 0 {
		room := make([]byte, guest.PacketMemory(len(k.Setup.Packet)))
		copy(room[guest.PacketHeadroom:], k.Setup.Packet)
		regions = append(slices.Clone(regions), guest.Region{Addr: guest.PacketAddr - guest.PacketHeadroom, Bytes: room})
	}
	for i, r := range regions {
		pr := guest.Writable
		if r.ReadOnly {
			pr = guest.ReadOnly
		}
		err := k.Mem.MapRange(r.Addr, uint64(len(r.Bytes)), pr)
		if err == nil {
			err = k.Mem.Write(r.Addr, r.Bytes)
		}
		if err != nil {
			return fmt.Errorf("data region %d: %w", i, err)
		}
	}
	return nil
}

func (k *Kernel) loadSlots() error {
	for _, s := range k.Setup.Inner {
		if err := k.Maps[s.Map].PutInner(k.Mem, s.Key, k.Maps[s.Inner].Addr); err != nil {
			return fmt.Errorf("map %s: %w", k.Maps[s.Map].Name, err)
		}
	}
	for _, s := range k.Setup.Slots {
		if err := k.SetSlot(s.Map, s.Key, s.Prog); err != nil {
			return err
		}
	}
	return nil
}

// loadSpecial makes the entries of the exception table for a function, and its private stack.
func (k *Kernel) loadSpecial(f *image.FuncImage) error {
	for _, s := range f.Faults {
		k.fixups[f.Addr+image.Addr(s.Off)] = Fixup{f.Addr + image.Addr(s.Next), s.Clear}
	}
	if f.Frame.PrivateFP == 0 {
		return nil
	}
	s := guest.PrivateStack(f)
	return k.Mem.MapRange(s.Addr, s.Size, guest.Writable)
}
