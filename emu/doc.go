// SPDX-License-Identifier: GPL-2.0-only

// Package emu runs machine code of BPF programs in an emulated kernel: page tables, kernel-like
// addresses, maps, prog arrays, a context with its packet, helper stubs.
//
// It states facts: the instructions that retired with their memory operands (record.Retired), the
// registers at marked instructions (record.Site), faults. What these mean is for emu/trace to say;
// the machine does not know what a tail call is. It is the only package that needs cgo and the
// Unicorn engine. It imports jit, jit/x86, emu/record and emu/timing, and must not import emu/trace,
// emu/stack or scenarios.
//
//	m, err := emu.New(emu.Config{})
//	defer m.Close()
//	err = m.Load(emu.Setup{Images: images, Maps: maps, Symbols: symbols, Offsets: target.Offsets})
//	err = m.SetSlot(1, 0, 0) // prog array 1, key 0: program 0
//	res, err := m.Run(ctx, emu.Run{Level: emu.LevelRetired, Observer: o})
//	var f *emu.Fault
//	if errors.As(err, &f) { … }
//	m.Reset() // memory and text are again as after Load, or the last Checkpoint
package emu
