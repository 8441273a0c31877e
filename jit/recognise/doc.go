// SPDX-License-Identifier: GPL-2.0-only

// Package recognise is the way back from bytes: it decodes machine code that a JIT emitted and finds
// its prologue, frame, tail-call sites and calls, which design it is of, and where a site differs from
// what its design needs. It shares no code with emission, so that each can judge the other.
package recognise
