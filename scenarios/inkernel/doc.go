// SPDX-License-Identifier: GPL-2.0-only

// Package inkernel gives scenarios to a real kernel: what it is asked to load (Order), and what a scenario
// then does with it (Play). The kernel itself is reached through the interface Programs.
//
//	sc, err := inkernel.Order(built, text) // which live.Kernel loads
//	played, err := inkernel.Play(loaded, built)
//
// It must not import emu. Whether a kernel may run a scenario is for the emulator to say first:
// replay.Replayer.Unsafe.
package inkernel
