// SPDX-License-Identifier: GPL-2.0-only

package jit

import (
	"fmt"
	"slices"
	"strings"
)

// defaultLimit is the effective MAX_TAIL_CALL_CNT of every kernel (include/linux/bpf.h).
const defaultLimit = 33

const (
	isa612 = ISAAtomics | ISAGotol | ISASignExtend | ISAPerCPU
	isa615 = isa612 | ISALoadAcquire
)

// kernelRow is a kernel without mitigations and what features of it need.
type kernelRow struct {
	Target
	// callDepth is the symbol of the per-CPU word of call depth tracking; "" if the kernel has none.
	callDepth  string
	callThunks []string
	fineIBT    CFIKind // CFINone if the kernel's JIT knows no CFI
}

// kernels are the rows that targets are made of, oldest first.
var kernels = []kernelRow{
	{
		Target: Target{
			Name: "5.10", Source: "Debian 5.10.223", Scheme: "rework-5.10", Limit: defaultLimit,
			Verifier: verifier510, Context: context510,
			Offsets: Offsets{MapMaxEntries: 0x24, ArrayPtrs: 0x110, ProgBPFFunc: 0x30},
			Emit: Emission{
				AX: 11, MaxRel8: 127, MulDiv: MulDivR11, Shift: ShiftSaveRCX, Probe: ProbeNone,
				LimitAbove: true, HelperReload: true,
			},
		},
	},
	{
		Target: Target{
			Name: "6.1", Source: "Debian 6.1.176", Scheme: "rework-6.7", Limit: defaultLimit,
			Verifier: verifier61, Context: context61,
			Offsets: Offsets{MapMaxEntries: 0x24, ArrayPtrs: 0x110, ProgBPFFunc: 0x30},
			Emit: Emission{
				SLS: true, JumpSLS: true,
				ISA: ISAAtomics | ISAGotol, AX: 11, MaxRel8: 123, PadJumps: true, MulDiv: MulDivShort, Shift: ShiftSaveRCX,
				Probe: ProbeLimit, LockXchg: true, HelperReload: true,
			},
		},
	},
	{
		Target: Target{
			Name: "6.12", Source: "Debian 6.12.107", Scheme: "hier-6.12", Limit: defaultLimit,
			Verifier: verifier612, Context: context612,
			Offsets: Offsets{MapMaxEntries: 0x24, ArrayPtrs: 0x108, ProgBPFFunc: 0x30},
			Emit: Emission{
				ENDBR: true, SLS: true, JumpSLS: true, BMI2: true,
				ISA: isa612, AX: 11, MaxRel8: 123, PadJumps: true, MulDiv: MulDivShort, Shift: ShiftLazy,
				Probe: ProbeOneLine, SignedImm64: true, LockXchg: true, HelperReload: true,
			},
		},
		callDepth: "const_pcpu_hot+0x10", callThunks: []string{"htab_map_update_elem"}, fineIBT: CFIFine,
	},
	{
		Target: Target{
			Name: "6.18", Source: "6.18.44", Scheme: "hier-6.12", Limit: defaultLimit,
			Verifier: verifier618, Context: context618,
			Offsets: Offsets{MapMaxEntries: 0x4c, ArrayPtrs: 0x138, ProgBPFFunc: 0x48},
			Emit: Emission{
				JumpSLS: true, BMI2: true,
				ISA: isa615, AX: 11, MaxRel8: 123, PadJumps: true, MulDiv: MulDivShort, Shift: ShiftLazy,
				Probe: ProbeOneLine, SignedImm64: true, LockXchg: true,
			},
		},
		callDepth: "__x86_call_depth", fineIBT: CFIFineEAX,
	},
	{
		Target: Target{
			Name: "7.2", Source: "Debian 7.2.13", Scheme: "hier-6.12", Limit: defaultLimit,
			Verifier: verifier72, Context: context72,
			Offsets: Offsets{MapMaxEntries: 0x4c, ArrayPtrs: 0x130, ProgBPFFunc: 0x48},
			Emit: Emission{
				ENDBR: true, SLS: true, JumpSLS: true, BMI2: true,
				ISA: isa615, AX: 12, MaxRel8: 123, PadJumps: true, MulDiv: MulDivShort, Shift: ShiftLazy,
				Probe: ProbeOneLine, SignedImm64: true,
			},
		},
		callDepth: "__x86_call_depth", callThunks: []string{"__htab_map_lookup_elem"}, fineIBT: CFIFineEAX,
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

// TargetNames returns the targets that are listed: those with captures, then source-only ones.
// TargetByName knows more: every combination of a kernel and features.
func TargetNames() []string { return append(slices.Clone(captured), sourceOnly...) }

// TargetByName returns a target of its own for the caller. A name is a kernel and features, joined
// by hyphens, such as "6.12-retpoline-its"; Features lists them. The error of an unknown name says
// what is known.
func TargetByName(name string) (*Target, error) {
	words := strings.Split(name, "-")
	i := slices.IndexFunc(kernels, func(k kernelRow) bool { return k.Name == words[0] })
	if i < 0 {
		return nil, fmt.Errorf("unknown target %q (known: %s)", name, strings.Join(TargetNames(), ", "))
	}
	k := kernels[i]
	t := k.Target
	t.Name = name
	for _, w := range words[1:] {
		f, ok := features[w]
		if !ok {
			return nil, fmt.Errorf("target %q: unknown feature %q (known: %s)", name, w, strings.Join(Features(), ", "))
		}
		if err := f.apply(&t, &k); err != nil {
			return nil, fmt.Errorf("target %q: feature %q: %w", name, w, err)
		}
	}
	if !slices.Contains(captured, name) {
		t.Evidence = BySource
	}
	return &t, nil
}
