// SPDX-License-Identifier: GPL-2.0-only

package jit

import (
	"github.com/tcsim/tcsim/jit/design"
	"github.com/tcsim/tcsim/jit/kernels"
)

// proposals are the designs that were proposed and not merged, and what-ifs, as targets of the same
// name, in the order of their mails. Their rows claim the design only. None has endbr64 unless its
// name asks for it.
func proposals() []kernelRow {
	return []kernelRow{
		rfc2020Row(design.PopNopPush),
		rfc2020Row(design.IPAux),
		rfc2020Row(design.JmpAlwaysValid),
		hierRow(design.HierRFC1),
		hierRow(design.HierRFC2),
		hierRow(design.MaciejHidden16),
		hierRow(design.HierPerCPU),
		hierRow(design.HierPerCPUProgA),
		hierRow(design.HierPerCPUProgB),
		hierRow(design.HierPerCPUDec),
		hierRow(design.HierTask),
		noTrampolines(hierRow(design.HierRunCtx)),
		hierRow(design.BackpropPoke),
		hierRow(design.BackpropCheck),
	}
}

// rfc2020Row is a row for a design of July 2020: what became 5.10.
func rfc2020Row(d design.ID) kernelRow {
	k := asRelease(kernels.Version{Major: 5, Minor: 10}, d)
	k.Emit.HelperReload = false
	k.features = []string{"retpoline", "lfence", "inline"}
	return k
}

// hierRow is a row for a design of 2023 and 2024, between 6.6 and 6.9. No capture is of these kernels:
// instructions are those of 6.1, which has what programs here need, without int3 after returns, which
// no listing has.
func hierRow(d design.ID) kernelRow {
	k := asRelease(kernels.Version{Major: 6, Minor: 1}, d)
	k.Emit.SLS, k.Emit.JumpSLS = false, false
	k.Emit.MaxRel8 = 127
	k.features = []string{"retpoline", "lfence", "endbr", "sls"}
	return k
}

// noTrampolines is a row whose trampolines were never described: those of hier-runctx would have to wrap
// the context of tracing programs.
func noTrampolines(k kernelRow) kernelRow {
	k.Emit.Tramp = kernels.Tramp{Place: k.Emit.Tramp.Place}
	return k
}
