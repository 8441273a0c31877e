// SPDX-License-Identifier: GPL-2.0-only

// Package measure finds out what a loaded machine does and costs in numbers: exact counts of runs of any
// length (Count), cycles of a run (Clock) and of one in a loop (Invocation.Loop), where they go
// (Invocation.Profile), and cycles of measured sequences (Sequence).
//
//	c, err := measure.Count(ctx, m, run, measure.CountOptions{})
//	fmt.Println(c.Insns, "instructions")
//
// It knows machines and what is loaded into them, no scenarios: package runner brings a machine to where a
// run begins and compares what comes out. Nothing here is safe for concurrent use on one machine.
package measure
