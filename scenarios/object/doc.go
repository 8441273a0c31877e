// SPDX-License-Identifier: GPL-2.0-only

// Package object reads BPF object files (ELF, as clang builds them) and makes scenarios of them:
// programs in the form in which the kernel would be given them, maps with their first contents and
// prog arrays as their BTF declarations fill them. ELF, BTF and linking are cilium/ebpf's. It also
// reads the packets that such a scenario runs on.
//
// It never talks to a kernel and runs nothing.
//
//	f, err := object.Open("prog.o")
//	...
//	b, err := f.Scenario(object.Options{Entry: "tc/ingress"})
//	c, err := runner.Compile(b, target)
package object
