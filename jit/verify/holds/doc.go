// SPDX-License-Identifier: GPL-2.0-only

// Package holds is what verifiers know of what a register or a slot of a stack holds (struct bpf_reg_state), and how they compare
// and judge that by itself. It must not import the verifier.
//
//	v := holds.Of(ranges.ConstScalar(1))
//	err := holds.Unmoved(1, &v)
package holds
