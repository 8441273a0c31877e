// SPDX-License-Identifier: GPL-2.0-only

// Package explain compares the code of a function with code that is known to be right, and explains each
// difference or reports it: another encoding, instructions in another order, other registers for temporary
// values, a nop more do the same; what is not shown to do the same is reported. It executes both pieces in a small abstract
// machine on values of its own choice, so code is judged whether or not any run reaches it.
//
// It owns the alignment and the abstract machine. It must not emit code or know designs.
package explain
