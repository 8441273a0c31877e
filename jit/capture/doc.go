// SPDX-License-Identifier: GPL-2.0-only

// Package capture reads and writes what real kernels did with eBPF programs; fixtures/kernels/README.md
// describes the format.
//
// It owns the file format, its checks, and what is derived of the code by decoding. It must not run code:
// executing a capture is the emulator's business.
package capture
