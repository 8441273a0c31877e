// SPDX-License-Identifier: GPL-2.0-only

// Package image owns machine code with what is known about it: functions at their addresses, frames,
// tail-call sites, calls, the text patches that a poke consists of, and listings that show BPF beside
// x86-64. The compiler fills an Image completely, recognition as far as decoding tells. It must not
// import what makes images or runs them.
package image
