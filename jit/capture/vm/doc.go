// SPDX-License-Identifier: GPL-2.0-only

// Package vm boots a kernel in QEMU with one program as its only process and brings back what that
// program says. It knows nothing of captures: cmd/tcsim/guest is the program, and what goes in and
// comes out are bytes.
//
//	out, err := vm.Boot(ctx, vm.Options{Kernel: "bzImage", Init: program, Files: files})
package vm
