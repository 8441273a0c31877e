// SPDX-License-Identifier: GPL-2.0-only

// Package jit turns eBPF instructions into the x86-64 machine code that a given kernel emits.
//
// It owns targets: a tail-call design of package design together with everything else that decides bytes, by name or
// by the description of a kernel. Package emit does the work. It must not import the emulator or anything that
// interprets a run.
package jit

//go:generate go test -run ^TestDesignsDoc$ . -args -update
