// SPDX-License-Identifier: GPL-2.0-only

// Package replay runs machine code that real kernels made: scenarios of captures, whose results are compared
// with the kernel's own, and code that other tools recorded (Import).
//
//	r, err := replay.New(runner.Options{})
//	defer r.Close()
//	c, err := replay.Capture(src, target, i)
//	res, err := r.Run(ctx, c)
//
// It owns what can be known of such code: its design, its sites, what stands for what a record does not hold.
// How a run is recorded and judged is runner's. It must not import campaign or interleave, and compiles
// nothing: what runs is the kernel's. A Replayer belongs to one goroutine.
package replay
