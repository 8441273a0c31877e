// SPDX-License-Identifier: GPL-2.0-only

package jit

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/nearest"
)

const (
	isa612 = kernels.ISAAtomics | kernels.ISAGotol | kernels.ISASignExtend | kernels.ISAPerCPU | kernels.ISAExceptions | kernels.ISAArena
	isa618 = isa612 | kernels.ISALoadAcquire | kernels.ISAArenaSignExtend
)

// kernelRow is a kernel without mitigations and what features of it need.
type kernelRow struct {
	Target
	// callDepth is the symbol of the per-CPU word of call depth tracking; "" if the kernel has none.
	callDepth  string
	callThunks []string
	fineIBT    kernels.CFIKind // CFINone if the kernel's JIT knows no CFI
	features   []string        // that make sense for the row; nil for all
}

// kernels are the rows that targets are made of, oldest first.
var kernelRows = []kernelRow{
	{
		Target: Target{
			Name: "5.10", Source: "Debian 5.10.223", Scheme: "rework-5.10", Limit: bpf.TailCallLimit,
			Kernel: kernels.Kernel{
				Verifier: kernels.Verifier510, Context: kernels.Context510,
				Offsets: kernels.Offsets{MapMaxEntries: 0x24, ArrayPtrs: 0x110, ProgBPFFunc: 0x30},
				Emit: kernels.Emission{
					AX: 11, MaxRel8: 127, MulDiv: kernels.MulDivR11, Shift: kernels.ShiftSaveRCX, Probe: kernels.ProbeNone,
					LimitAbove: true, HelperReload: true, Tramp: kernels.Tramp510,
				},
			},
		},
	},
	{
		Target: Target{
			Name: "6.1", Source: "Debian 6.1.176", Scheme: "rework-6.7", Limit: bpf.TailCallLimit,
			Kernel: kernels.Kernel{
				Verifier: kernels.Verifier61, Context: kernels.Context61,
				Offsets: kernels.Offsets{MapMaxEntries: 0x24, ArrayPtrs: 0x110, ProgBPFFunc: 0x30},
				Emit: kernels.Emission{
					SLS: true, JumpSLS: true,
					ISA: kernels.ISAAtomics | kernels.ISAGotol, AX: 11, MaxRel8: 123, PadJumps: true, MulDiv: kernels.MulDivShort, Shift: kernels.ShiftSaveRCX,
					Probe: kernels.ProbeLimit, LockXchg: true, HelperReload: true, Tramp: kernels.Tramp61,
				},
			},
		},
	},
	{
		Target: Target{
			Name: "6.12", Source: "Debian 6.12.107", Scheme: "hier-6.12", Limit: bpf.TailCallLimit,
			Kernel: kernels.Kernel{
				Verifier: kernels.Verifier612, Context: kernels.Context612,
				Offsets: kernels.Offsets{MapMaxEntries: 0x24, ArrayPtrs: 0x108, ProgBPFFunc: 0x30},
				Emit: kernels.Emission{
					ENDBR: true, SLS: true, JumpSLS: true, BMI2: true,
					ISA: isa612, AX: 11, MaxRel8: 123, PadJumps: true, MulDiv: kernels.MulDivShort, Shift: kernels.ShiftLazy,
					Probe: kernels.ProbeOneLine, SignedImm64: true, LockXchg: true, HelperReload: true, Tramp: kernels.Tramp612,
				},
			},
		},
		callDepth: "const_pcpu_hot+0x10", callThunks: []string{"htab_map_update_elem"}, fineIBT: kernels.CFIFine,
	},
	{
		Target: Target{
			Name: "6.18", Source: "6.18.44", Scheme: "hier-6.12", Limit: bpf.TailCallLimit,
			Kernel: kernels.Kernel{
				Verifier: kernels.Verifier618, Context: kernels.Context618, Policy: kernels.Policy{GuardsReplaced: true},
				Offsets: kernels.Offsets{MapMaxEntries: 0x4c, ArrayPtrs: 0x138, ProgBPFFunc: 0x48},
				Emit: kernels.Emission{
					JumpSLS: true, BMI2: true,
					ISA: isa618, AX: 11, MaxRel8: 123, PadJumps: true, MulDiv: kernels.MulDivShort, Shift: kernels.ShiftLazy,
					Probe: kernels.ProbeOneLine, SignedImm64: true, LockXchg: true, Tramp: kernels.Tramp612,
				},
			},
		},
		callDepth: "__x86_call_depth", fineIBT: kernels.CFIFineEAX,
	},
	{
		Target: Target{
			Name: "7.2", Source: "Debian 7.2.13", Scheme: "hier-6.12", Limit: bpf.TailCallLimit,
			Kernel: kernels.Kernel{
				Verifier: kernels.Verifier72, Context: kernels.Context72, Policy: kernels.Policy{GuardsReplaced: true},
				Offsets: kernels.Offsets{MapMaxEntries: 0x4c, ArrayPtrs: 0x130, ProgBPFFunc: 0x48},
				Emit: kernels.Emission{
					ENDBR: true, SLS: true, JumpSLS: true, BMI2: true,
					ISA: isa618, AX: 12, MaxRel8: 123, PadJumps: true, MulDiv: kernels.MulDivShort, Shift: kernels.ShiftLazy,
					Probe: kernels.ProbeOneLine, SignedImm64: true, Tramp: kernels.Tramp72,
				},
			},
		},
		callDepth: "__x86_call_depth", callThunks: []string{"__htab_map_lookup_elem"}, fineIBT: kernels.CFIFineEAX,
	},
}

// captured are the targets whose bytes captures confirm, in the order in which they are listed.
var captured = []string{
	"5.10", "5.10-retpoline", "5.10-lfence", "5.10-retpoline-srso",
	"6.1", "6.1-retpoline", "6.1-lfence", "6.1-retpoline-its", "6.1-retpoline-srso",
	"6.12", "6.12-retpoline", "6.12-lfence", "6.12-retpoline-its", "6.12-retpoline-srso", "6.12-stuff", "6.12-nobmi2",
	"6.18",
	"7.2", "7.2-retpoline", "7.2-retpoline-its", "7.2-its", "7.2-retpoline-unret", "7.2-stuff", "7.2-nobmi2",
}

// sourceOnly are named combinations that no capture has.
var sourceOnly = []string{"5.10-unrounded", "5.10-inline-unrounded", "6.12-kcfi", "6.12-fineibt", "7.2-kcfi", "7.2-fineibt", "7.2-fineibt-bhi"}

// TargetNames returns the targets that are listed: those with captures, then source-only ones, then
// the designs that no captured kernel has. TargetByName knows more: every combination of a kernel
// or design and features.
func TargetNames() []string {
	names := append(slices.Clone(captured), sourceOnly...)
	return slices.Concat(names, designTargets, proposalTargets)
}

// row returns the kernel or design that a target's name begins with: the longest one, as some have
// hyphens themselves. rest is what is behind it: "" or features, each with a hyphen before it.
func row(name string) (k kernelRow, rest string, ok bool) {
	for _, rows := range [][]kernelRow{kernelRows, designs, proposals} {
		for i := range rows {
			r, found := strings.CutPrefix(name, rows[i].Name)
			if found && (r == "" || r[0] == '-') && (!ok || len(r) < len(rest)) {
				k, rest, ok = rows[i], r, true
			}
		}
	}
	return k, rest, ok
}

// ErrNoTarget says that a name begins neither with a kernel nor with a design.
var ErrNoTarget = errors.New("unknown target")

// TargetByName returns a target of its own for the caller. A name is a kernel or a design and
// features, joined by hyphens, such as "6.12-retpoline-its"; Features lists them. The error of an
// unknown name wraps ErrNoTarget, or says which features are known.
func TargetByName(name string) (*Target, error) {
	k, rest, ok := row(name)
	if !ok {
		return nil, fmt.Errorf("%w %q%s", ErrNoTarget, name, nearest.DidYouMean(name, TargetNames()))
	}
	t := k.Target
	t.Name = name
	for _, w := range strings.Split(rest, "-")[1:] {
		f, ok := features[w]
		if !ok {
			return nil, fmt.Errorf("target %q: unknown feature %q (known: %s)", name, w, strings.Join(Features(), ", "))
		}
		if k.features != nil && !slices.Contains(k.features, w) {
			return nil, fmt.Errorf("target %q: feature %q: %w (it knows: %s)", name, w, kernels.ErrUnsupported, strings.Join(k.features, ", "))
		}
		if err := f.apply(&t, &k); err != nil {
			return nil, fmt.Errorf("target %q: feature %q: %w", name, w, err)
		}
	}
	t.Evidence = evidence(name)
	return &t, nil
}

// evidence is that of a target's name: a feature can take it away.
func evidence(name string) Evidence {
	switch {
	case slices.Contains(captured, name):
		return ByCapture
	case slices.Contains(inListing, name):
		return ByListing
	}
	return BySource
}
