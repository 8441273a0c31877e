// SPDX-License-Identifier: GPL-2.0-only

package scenarios

import (
	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/design"
	"github.com/tcsim/tcsim/jit/kernels"
)

// Classes of targets that scenario files can name in "on".
const (
	// ClassByValue are designs in which each frame holds the counter by value: what a subprogram
	// counts never reaches its caller.
	ClassByValue = "by-value"
	// ClassBurnsEmpty are designs that write the incremented counter before they look at the slot,
	// so that a tail call to an empty one uses up budget.
	ClassBurnsEmpty = "burns-empty"
	// ClassPerFunction are designs in which every function that has a tail call begins to count at 0
	// when it is called.
	ClassPerFunction = "per-function"
	// ClassGuardsReplaced are kernels that keep programs with replaced functions out of prog arrays.
	ClassGuardsReplaced = "guards-replaced"
	// ClassBelowRSP are designs that keep tail_call_cnt below rsp while one program hands over to
	// another. Every run with a tail call in its programs can show it, so that files need not say it:
	// see Built.Check.
	ClassBelowRSP = "keeps-below-rsp"
	// ClassLosesRAX are targets whose trampolines do not keep what a traced function needs in rax.
	ClassLosesRAX = "loses-rax"
	// ClassWideIndex are kernels that do not cut the index of a tail call to 32 bits.
	ClassWideIndex = "wide-index"
)

// TargetNames returns the names by which "on" can mean a target: its own name, its design, the kernel
// without features ("6.1" of "6.1-retpoline"), each feature ("retpoline") and the classes.
func TargetNames(t *jit.Target) []string {
	names := []string{t.Name, t.Design.String()}
	if t.Version != (kernels.Version{}) && !t.Decoded {
		names = append(names, t.Version.String())
		if t.Base != t.Version.String() { // a level of the stable tree
			names = append(names, t.Base)
		}
	}
	names = append(names, t.Features...)
	if t.Emit.Tramp.LosesRAX {
		names = append(names, ClassLosesRAX)
	}
	d := t.Design.Traits()
	if d.Counting.PerFrame() {
		names = append(names, ClassByValue)
	}
	if d.Empty == design.EmptyCounts {
		names = append(names, ClassBurnsEmpty)
	}
	if d.Counting == design.CountByFunction {
		names = append(names, ClassPerFunction)
	}
	if t.Emit.WideBounds {
		names = append(names, ClassWideIndex)
	}
	if t.Policy.GuardsReplaced {
		names = append(names, ClassGuardsReplaced)
	}
	if d.Always() == belowRSP {
		names = append(names, ClassBelowRSP)
	}
	return names
}
