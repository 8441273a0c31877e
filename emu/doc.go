// SPDX-License-Identifier: GPL-2.0-only

// Package emu runs machine code of BPF programs in an emulated kernel, whose memory, helpers and other
// code are packages of their own (emu/guest, emu/helper, emu/kernel).
//
// It states facts: the instructions that retired with their memory operands (record.Retired), the
// registers at marked instructions (record.Site), faults. What these mean is for emu/trace to say. It is
// the only package that needs cgo and the Unicorn engine.
//
//	m, err := emu.New(emu.Config{})
//	defer m.Close()
//	err = m.Load(guest.Setup{Images: images, Maps: maps, Symbols: symbols, Offsets: target.Offsets})
//	err = m.SetSlot(1, 0, 0) // prog array 1, key 0: program 0
//	res, err := m.Run(ctx, emu.Run{Level: emu.LevelRetired, Observer: o})
//	var f *emu.Fault
//	if errors.As(err, &f) { … }
//	m.Reset() // memory and text are again as after Load, or the last Checkpoint
package emu
