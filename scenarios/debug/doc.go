// SPDX-License-Identifier: GPL-2.0-only

// Package debug is a run of a scenario as a debugger sees it: a machine that goes forward and back, by
// instructions, to breakpoints and to accesses of memory.
//
//	s, err := debug.New(walk)
//	err = gdb.Serve(ctx, conn, s)
//
// A place in the run is the number of instructions that have retired. The run is the same each time, so going
// back is beginning anew and stopping earlier, which costs about 30 ms per million instructions.
// Nothing can be written: what has happened stays as it was.
package debug
