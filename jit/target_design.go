// SPDX-License-Identifier: GPL-2.0-only

package jit

import "github.com/tcsim/tcsim/jit/kernels"

// designs are the tail-call designs that no captured kernel has, as targets of the same name,
// oldest first. Their rows claim the design only: everything else is as 5.10 emits it, and structure
// fields are where the row says.
var designs = []kernelRow{
	oldDesign("classic-4.4", "4.4 to 4.12 (b52f00e6a715)", kernels.Verifier{NoSubprogs: true, NoDirect: true}),
	oldDesign("fpshift-4.13", "4.13 to 5.2 (177366bf7ceb)", verifierOneFrame),
	oldDesign("josh-simple", "patch 4/9 of June 2019, the \"-\" lines of the patch mailed on top of it", verifierOneFrame),
	oldDesign("fp-r12", "patch 6/9 of June 2019", verifierOneFrame),
	oldDesign("fp40", "patch in a mail of June 2019 (BPF_REG_FP is rbp - 40)", verifierOneFrame),
	oldDesign("fp-dbl", "idea of June 2019 (two frames)", verifierOneFrame),
	oldDesign("fp53", "5.3 and 5.4 (fe8d9571dc50)", verifierOneFrame),
	oldDesign("direct-poke", "5.5 to 5.9, listings in the message of 428d5df1fa4f", kernels.Verifier{TailCallDepth: 512, NoMix: true}, "nodirect"),
}

// designTargets are the targets made of designs that are listed.
var designTargets = []string{
	"classic-4.4", "fpshift-4.13", "josh-simple", "fp-r12", "fp40", "fp-dbl", "fp53",
	"direct-poke", "direct-poke-inline-nodirect",
}

// inListing are the targets that a listing of the machine code in a mail or a commit message
// confirms. The other rows have at most single instructions in theirs.
var inListing = []string{"direct-poke", "direct-poke-inline-nodirect", "pop-nop-push", "ip-aux", "maciej-hidden16"}

// verifierOneFrame is the verifier of 4.16 to 5.4, as far as it decides what the JIT is given.
var verifierOneFrame = kernels.Verifier{TailCallDepth: 512, NoMix: true, NoDirect: true}

// oldDesign is a design before 5.10. All of them tell limit from count by "above", jump through rax
// and know the inline retpoline (4.15) at most.
func oldDesign(scheme, source string, v kernels.Verifier, more ...string) kernelRow {
	k := designRow("5.10", scheme, source+"; rest as 5.10")
	k.Verifier = v
	k.Offsets = kernels.Offsets{MapMaxEntries: 0x24, ArrayPtrs: 0xd0, ProgBPFFunc: 0x30} // those of 5.5
	k.Emit.LimitAbove, k.Emit.HelperReload = true, false
	k.Emit.Tramp = kernels.TrampNone
	k.features = append([]string{"inline"}, more...)
	return k
}

// designRow is a row for a design with everything else as a kernel of the table has it.
func designRow(kernel, scheme, source string) kernelRow {
	for _, k := range kernelRows {
		if k.Name == kernel {
			k.Name, k.Scheme, k.Source = scheme, scheme, source
			return k
		}
	}
	panic("BUG: no kernel " + kernel)
}
