// SPDX-License-Identifier: GPL-2.0-only

// Package inside is what the only process of a virtual machine of package vm does around its work: it mounts what
// programs look at, turns the JIT on, sends its answer and ends the machine.
package inside
