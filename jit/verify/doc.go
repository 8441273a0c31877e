// SPDX-License-Identifier: GPL-2.0-only

// Package verify models what a kernel's verifier finds out about programs: Accept follows one as users write it,
// which package rewrite then rewrites; Analyse finds stack depths, constant tail calls and what they reach in one that
// the verifier has rewritten; both refuse what the kernel refuses. It must not import the compiler.
//
//	xlated, err := rewrite.Program(prog, &target.Kernel)
//	v, err := verify.Analyse(xlated, &target.Kernel)
package verify
