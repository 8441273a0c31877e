// SPDX-License-Identifier: GPL-2.0-only

// Package stack says what lies on the stack at one moment of a run, and draws it in the manner of
// the drawings that kernel developers send each other.
//
// A layout needs the activations that a trace.Recorder keeps, the frame descriptions of the images
// and the memory as it is at that moment. Emulated memory cannot be read back in time, so a
// drawing is made by running again and stopping at the moment, which is exact because a run is
// deterministic:
//
//	at, err := stack.ParseAt("tailcall:33")
//	moments, err := at.Resolve(stack.Run{Events: rec.Events(), Deepest: rec.Deepest()})
//	... run again up to moments[0].Seq and, if Until is not 0, on until rip is there ...
//	l, err := stack.Dump(stack.Input{
//		Code: code, Mem: mem, RIP: rip, RSP: rsp, RBP: rbp, Acts: rec.StackAt(rip, rsp),
//	})
//	fmt.Print(l.Picture(stack.Options{}))
//
// The package must not import the engine.
package stack
