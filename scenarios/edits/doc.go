// SPDX-License-Identifier: GPL-2.0-only

// Package edits makes random edits of machine code, and judges what they change.
//
//	e, ok := edits.Draw(rng, code, addr)
//	changed, ok := e.Splice(code, addr)
//	why, reached := edits.Differ(&e, f, ways, good, bad)
//
// It owns what campaigns of edits draw from, and a judge that knows no design and asks none of the checks: it runs edited and
// unedited code in the machine, with the same inputs, and compares how the runs end. Where no input comes to
// the edited place, branches on the way there are forced in both. Only tests import it.
package edits
