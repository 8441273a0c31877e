// SPDX-License-Identifier: GPL-2.0-only

// Package asm reads BPF assembly in the syntax of the verifier log, bpftool and clang, and the words that
// it shares with scenario files: numbers, registers, names of helpers. It knows nothing of YAML.
//
//	u, errs := asm.Assemble("r0 = 1\nexit", asm.Pos{Line: 1, Col: 1})
package asm
