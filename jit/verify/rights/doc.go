// SPDX-License-Identifier: GPL-2.0-only

// Package rights is what a path has to give back before it ends: references, locks, interrupts that are off, RCU sections
// and preemption (struct bpf_reference_state and its like in kernel/bpf/verifier.c). It must not import the verifier.
//
//	held.Take(rights.Ref{Kind: rights.Lock, ID: 1, Owner: 2})
//	err := held.Unlock(rights.Ref{Kind: rights.Lock, ID: 1, Owner: 2})
package rights
