// SPDX-License-Identifier: GPL-2.0-only

// Package origin follows the instructions of a path back, from numbers that matter to the registers and slots of stacks that they
// come from (backtrack_insn, kernel/bpf/verifier.c). It knows nothing of what these hold.
//
//	m.Add(frame, reg)
//	walk.Back(&step, frame, &m) // m is what mattered before the step
package origin
