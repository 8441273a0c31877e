// SPDX-License-Identifier: GPL-2.0-only

// Package reach says what playing a case reached, as numbers: ways through an emitter, by what it made of an instruction
// that was executed; what the verifier met at an instruction; the operands that an instruction had, by classes; and
// sequences of events. Two cases that reach the same numbers tell the same of a JIT, as far as is known. It does not
// look at how an emitter is written, so that numbers count for a kernel's C file as well.
package reach
