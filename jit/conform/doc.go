// SPDX-License-Identifier: GPL-2.0-only

// Package conform compares what our JIT makes of the programs of a capture with what the kernel made of them, byte for
// byte, in every state of the prog arrays.
package conform
