// SPDX-License-Identifier: GPL-2.0-only

// Package jit turns eBPF instructions into the x86-64 machine code that a given kernel emits.
//
// It owns the pieces that decide bytes: instruction slots, the analysis of what the verifier would
// hand to the JIT, the compiler passes, one file per tail-call design, and the plans of text pokes
// that a map update causes. It must not import the emulator or anything that interprets a run.
package jit

//go:generate go test -run ^TestDesignsDoc$ . -args -update
