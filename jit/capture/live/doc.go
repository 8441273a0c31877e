// SPDX-License-Identifier: GPL-2.0-only

// Package live captures from the running kernel: it loads programs through bpf(2), reads what the
// JIT made of them, and unloads them. It needs Linux and the rights that Open checks; it is built
// without cgo, so that it can be the only program of a virtual machine.
//
// Nothing that it loads is pinned, and what is attached is attached to programs of its own only: everything belongs to file descriptors of the
// process and is gone when that ends, however it ends. Programs run only if Loaded.Run is called, but
// for one of this package that copies kernel memory.
//
//	k, err := live.Open(live.Options{})
//	l, err := k.Load(&scenario) // submitted form: Maps, Progs[].Insns and Funcs, ProgArrays
//	defer l.Close()
//	err = l.Record()            // now scenario is what the kernel made of it
package live
