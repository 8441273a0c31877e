// SPDX-License-Identifier: GPL-2.0-only

// Package kernels owns what a kernel release and its configuration decide apart from the tail-call
// design: struct offsets, emission, what the verifier knows, how contexts are laid out. Everything
// in it is data; it must not import the compiler or the verifier's model, which read it.
package kernels
