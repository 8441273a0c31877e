// SPDX-License-Identifier: GPL-2.0-only

// Package bare makes measured sequences of runs of scenarios, so that a processor without a kernel can
// execute them: a loop that calls the program, with the code, the maps and the stack that a run touches moved
// to where a process may have them.
//
// Only runs that use nothing of a kernel can be moved: no helpers, no per-CPU data, no interrupts. What was
// moved is executed in the emulator and must retire, trip after trip, the instructions of the run itself.
package bare
