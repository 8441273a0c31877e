// SPDX-License-Identifier: GPL-2.0-only

// Package reach says what playing a case reached, as numbers: ways through an emitter, by what it made of an instruction
// that was executed; what the verifier met at an instruction; the operands that an instruction had, by classes; and
// sequences of events. Two cases that reach the same numbers tell the same of a JIT, as far as is known. What
// emitters tell of their ways are lines of their source, of our own as of a kernel's C file.
package reach
