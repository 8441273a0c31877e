// SPDX-License-Identifier: GPL-2.0-only

// Package lockstep runs programs of package progen as a target compiles them and compares each instruction of
// BPF with the reference interpreter: before it, the registers that BPF says something of and the bytes of
// the stack that were written must be the same; at the end, the result and the maps.
//
//	p := lockstep.New(0)
//	defer p.Close()
//	verdicts, err := p.Play(ctx, programs, target)
//
// A player keeps one machine; many programs at a time are loaded together.
package lockstep
