// SPDX-License-Identifier: GPL-2.0-only

// Package design holds the tail-call designs, of kernels and proposed: one file each, with the picture of its frame, its
// code, and what is true of it besides (Traits).
package design
