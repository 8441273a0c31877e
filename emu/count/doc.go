// SPDX-License-Identifier: GPL-2.0-only

// Package count finds out exactly how much a run does without doing all of it.
//
// Execution is deterministic, so a call that starts from the same relevant state does the same
// thing again. While a call runs, every register and memory word is followed as a constant, as the
// entry rsp plus a constant, or as the value some location had at entry plus a constant. Whatever
// else a value is used for pins the locations it came from to the values they had. When the call
// returns, the pinned locations are the precondition of a summary, and what was written is its
// effect; a later call whose state satisfies a stored precondition is not executed, its effect and
// its numbers are applied. The same way of looking at one round of a loop of tail calls proves
// that it never ends. docs/counting.md gives the argument.
//
// The package steps a machine through the CPU interface and must not import the engine.
package count
