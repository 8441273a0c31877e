// SPDX-License-Identifier: GPL-2.0-only

package jit

import (
	"github.com/tcsim/tcsim/jit/design"
	"github.com/tcsim/tcsim/jit/kernels"
)

// oldDesigns are the tail-call designs that no captured kernel has, as targets of the same name,
// oldest first. Everything else is as in one of the kernels that had them; proposals of 2019 are on
// the kernel that they were for.
func oldDesigns() []kernelRow {
	return []kernelRow{
		oldDesign(design.Classic44, kernels.Version{Major: 4, Minor: 9}),
		oldDesign(design.FPShift413, kernels.Version{Major: 4, Minor: 14}),
		oldDesign(design.JoshSimple, june2019),
		oldDesign(design.FPR12, june2019),
		oldDesign(design.FP40, june2019),
		oldDesign(design.FPDbl, june2019),
		oldDesign(design.FP53, kernels.Version{Major: 5, Minor: 4}),
		oldDesign(design.DirectPoke, kernels.Version{Major: 5, Minor: 8}, "nodirect"),
	}
}

// june2019 is the kernel that the proposals of June 2019 were for.
var june2019 = kernels.Version{Major: 5, Minor: 2}

// oldDesign is a design before 5.10, which knows the inline retpoline (4.15) at most.
func oldDesign(d design.ID, base kernels.Version, more ...string) kernelRow {
	k := asRelease(base, d)
	k.features = append([]string{"inline"}, more...)
	return k
}

// rowTargets names the targets made of designs that are listed: each design, and each combination
// with features that a listing confirms.
func rowTargets(rows []kernelRow) []string {
	var names []string
	for i := range rows {
		d := rows[i].Design.Traits()
		names = append(names, d.Name)
		for _, words := range d.Listings {
			if words != "" {
				names = append(names, combined(d.Name, words))
			}
		}
	}
	return names
}
