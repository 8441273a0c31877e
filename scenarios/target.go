// SPDX-License-Identifier: GPL-2.0-only

package scenarios

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tcsim/tcsim/jit"
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
)

// TargetNames returns the names by which "on" can mean a target: its own name, the kernel without
// features ("6.1" of "6.1-retpoline"), each feature ("retpoline"), its scheme and the classes of that.
func TargetNames(t *jit.Target) []string {
	names := []string{t.Name, t.Scheme}
	if v, patch, _, ok := kernels.ParseVersion(t.Name); ok {
		names = append(names, v.String())
		if patch > 0 {
			names = append(names, fmt.Sprintf("%s.%d", v, patch))
		}
	}
	for _, word := range strings.Split(t.Name, "-")[1:] {
		if jit.FeatureDoc(word) != "" {
			names = append(names, word)
		}
	}
	if t.Emit.Tramp == kernels.Tramp510 || t.Emit.TrampLosesRAX {
		names = append(names, ClassLosesRAX)
	}
	switch {
	case strings.HasPrefix(t.Scheme, "rework"):
		names = append(names, ClassByValue, ClassBurnsEmpty)
	case slices.Contains(rejected2020, t.Scheme):
		names = append(names, ClassByValue, ClassBurnsEmpty, ClassPerFunction)
	case t.Scheme != "hier-6.12": // the first to count only tail calls that are taken
		names = append(names, ClassBurnsEmpty)
	}
	if t.Policy.GuardsReplaced {
		names = append(names, ClassGuardsReplaced)
	}
	if t.Scheme == "hier-rfc1" {
		names = append(names, ClassBelowRSP)
	}
	return names
}

// rejected2020 are the designs of July 2020 that came before rework-5.10, which hands the count to
// subprograms as they do not.
var rejected2020 = []string{"pop-nop-push", "ip-aux", "jmp-always-valid"}
