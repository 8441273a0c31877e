// SPDX-License-Identifier: GPL-2.0-only

// Package emit turns verified eBPF instructions into the x86-64 machine code that a kernel emits, given a tail-call
// design (Design) and everything else that decides bytes (Config).
//
// It owns the compiler's passes, the code of each instruction, the plans of text pokes that a map update causes, and
// trampolines. What a design has to supply is the interface Code; the designs are in package design.
package emit
