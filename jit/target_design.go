// SPDX-License-Identifier: GPL-2.0-only

package jit

import "github.com/tcsim/tcsim/jit/kernels"

// designs are the tail-call designs that no captured kernel has, as targets of the same name,
// oldest first. Everything else is as in one of the kernels that had them; proposals of 2019 are on
// the kernel that they were for.
func designs() []kernelRow {
	return []kernelRow{
		oldDesign("classic-4.4", "4.5 to 4.12 (b52f00e6a715)", kernels.Version{Major: 4, Minor: 9}),
		oldDesign("fpshift-4.13", "4.13 to 5.2 (177366bf7ceb)", kernels.Version{Major: 4, Minor: 14}),
		oldDesign("josh-simple", "patch 4/9 of June 2019, the \"-\" lines of the patch mailed on top of it", june2019),
		oldDesign("fp-r12", "patch 6/9 of June 2019", june2019),
		oldDesign("fp40", "patch in a mail of June 2019 (BPF_REG_FP is rbp - 40)", june2019),
		oldDesign("fp-dbl", "idea of June 2019 (two frames)", june2019),
		oldDesign("fp53", "5.3 and 5.4 (fe8d9571dc50)", kernels.Version{Major: 5, Minor: 4}),
		oldDesign("direct-poke", "5.5 to 5.9, listings in the message of 428d5df1fa4f", kernels.Version{Major: 5, Minor: 8}, "nodirect"),
	}
}

// june2019 is the kernel that the proposals of June 2019 were for.
var june2019 = kernels.Version{Major: 5, Minor: 2}

// designTargets are the targets made of designs that are listed.
var designTargets = []string{
	"classic-4.4", "fpshift-4.13", "josh-simple", "fp-r12", "fp40", "fp-dbl", "fp53",
	"direct-poke", "direct-poke-inline-nodirect",
}

// inListing are the targets that a listing of the machine code in a mail or a commit message
// confirms. The other rows have at most single instructions in theirs.
var inListing = []string{"direct-poke", "direct-poke-inline-nodirect", "pop-nop-push", "ip-aux", "maciej-hidden16"}

// oldDesign is a design before 5.10, which knows the inline retpoline (4.15) at most.
func oldDesign(scheme, source string, base kernels.Version, more ...string) kernelRow {
	k := asRelease(base, scheme, source)
	k.features = append([]string{"inline"}, more...)
	return k
}
