// SPDX-License-Identifier: GPL-2.0-only

// Package verify models what a kernel's verifier does between the program a user loads and the one its
// JIT is given: Rewrite removes dead code, guards divisions and inlines; Analyse finds stack depths,
// constant tail calls and what they reach; both refuse what the kernel refuses. It must not import the
// compiler.
//
//	xlated, err := verify.Rewrite(prog, &target.Kernel)
//	v, err := verify.Analyse(xlated, &target.Kernel)
package verify
