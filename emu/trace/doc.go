// SPDX-License-Identifier: GPL-2.0-only

// Package trace turns what the emulator reports into events: calls, returns, tail calls taken and
// refused, pokes.
//
// The machine states facts: the instructions that retired, and the registers at marked ones. This
// package knows, from the images, what these instructions mean. It keeps a shadow stack of
// activations, so that every event says whose frame it happened in. It never needs the engine and
// must not import it: a stream is a slice.
//
//	code, err := trace.NewCode(images, trace.Options{Marks: trace.MarkStart})
//	machine.Mark(code.SiteAddrs())    // the instructions at which registers are wanted
//	rec := trace.NewRecorder(code, trace.Config{})
//	for batch := range machine {      // both recording levels: Retired may be empty
//		if rec.Consume(batch) {       // true: enough seen, stop the machine
//			break
//		}
//	}
//	rec.Finish()
//	for i := range rec.Events() {
//		fmt.Println(trace.Line(code, &rec.Events()[i]))
//	}
package trace
