// SPDX-License-Identifier: GPL-2.0-only

package jit

import "github.com/tcsim/tcsim/jit/kernels"

// proposals are the designs that were proposed and not merged, and what-ifs, as targets of the same
// name, in the order of their mails. Their rows claim the design only. None has endbr64 unless its
// name asks for it.
func proposals() []kernelRow {
	return []kernelRow{
		rfc2020Row("pop-nop-push", "mail of 10 July 2020, second listing"),
		rfc2020Row("ip-aux", "RFC of 2 July 2020, first listing of the mail of 10 July"),
		rfc2020Row("jmp-always-valid", "sketch in the mail of 10 July 2020"),
		hierRow("hier-rfc1", "RFC of 5 October 2023, described"),
		hierRow("hier-rfc2", "RFC v2 of 11 October 2023, the patch"),
		hierRow("maciej-hidden16", "mail of 21 December 2023, listing of a main program; subprograms and tail calls are ours"),
		hierRow("hier-percpu", "v2 of 22 February 2024, described"),
		hierRow("hier-percpu-prog-a", "mails of 26 February 2024, described"),
		hierRow("hier-percpu-prog-b", "mails of 26 February 2024, described"),
		hierRow("hier-percpu-dec", "mail of 27 February 2024, described"),
		hierRow("hier-task", "v3 of April 2024, described"),
		noTrampolines(hierRow("hier-runctx", "v4 of May 2024, described")),
		hierRow("backprop-poke", "what-if: first way in the mail of 6 December 2023"),
		hierRow("backprop-check", "what-if: second way in the mail of 6 December 2023"),
	}
}

// proposalTargets are the targets made of proposals that are listed.
var proposalTargets = []string{
	"pop-nop-push", "ip-aux", "jmp-always-valid", "hier-rfc1", "hier-rfc2", "maciej-hidden16",
	"hier-percpu", "hier-percpu-prog-a", "hier-percpu-prog-b", "hier-percpu-dec", "hier-task", "hier-runctx",
	"backprop-poke", "backprop-check",
}

// rfc2020Row is a row for a design of July 2020: what became 5.10.
func rfc2020Row(scheme, source string) kernelRow {
	k := asRelease(kernels.Version{Major: 5, Minor: 10}, scheme, source)
	k.Emit.HelperReload = false
	k.features = []string{"retpoline", "lfence", "inline"}
	return k
}

// hierRow is a row for a design of 2023 and 2024, between 6.6 and 6.9. No capture is of these kernels:
// instructions are those of 6.1, which has what programs here need, without int3 behind returns, which
// no listing has.
func hierRow(scheme, source string) kernelRow {
	k := asRelease(kernels.Version{Major: 6, Minor: 1}, scheme, source)
	k.Emit.SLS, k.Emit.JumpSLS = false, false
	k.Emit.MaxRel8 = 127
	k.features = []string{"retpoline", "lfence", "endbr", "sls"}
	return k
}

// noTrampolines is a row whose trampolines nobody described: those of hier-runctx would have to wrap
// the context of tracing programs.
func noTrampolines(k kernelRow) kernelRow {
	k.Emit.Tramp = kernels.TrampNone
	return k
}
