// SPDX-License-Identifier: GPL-2.0-only

// Package rewrite makes of a program that the verifier takes what it gives to the JIT: dead code is removed, divisions are
// guarded, accesses to contexts and calls of helpers are replaced. It must not import the compiler.
//
//	xlated, err := rewrite.Program(prog, &target.Kernel)
//	v, err := verify.Analyse(xlated, &target.Kernel)
package rewrite
