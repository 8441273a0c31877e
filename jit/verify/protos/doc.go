// SPDX-License-Identifier: GPL-2.0-only

// Package protos is what kernels offer to programs, as data: helpers with their arguments and the program types that
// may call them, kernel functions with their flags, the fields of contexts and of sockets, and the results that hooks
// take. It decides nothing about states of a program and must not import the verifier.
//
//	h := protos.Helpers[1]
//	if !h.For(bpf.XDP, &target.Verifier) { ... }
package protos
