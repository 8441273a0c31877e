// SPDX-License-Identifier: GPL-2.0-only

// Package capture reads what real kernels did with eBPF programs (fixtures/kernels/README.md
// describes the format) and compares it with what our compiler makes of the same programs.
//
// It owns the file format, its checks and the comparison. It must not run code: executing a
// capture is the emulator's business.
package capture
