// SPDX-License-Identifier: GPL-2.0-only

// Package ranges is what a kernel's verifier knows of a number, and how arithmetic and comparisons change it. The
// functions are named after their twins in kernel/bpf/verifier.c and tnum.c. kernels.RangeRules say in which points
// kernels differ.
package ranges
