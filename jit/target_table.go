// SPDX-License-Identifier: GPL-2.0-only

package jit

import (
	"fmt"
	"strings"
)

// defaultLimit is the effective MAX_TAIL_CALL_CNT of every kernel (include/linux/bpf.h).
const defaultLimit = 33

const (
	isa612 = ISAAtomics | ISAGotol | ISASignExtend | ISAPerCPU
	isa615 = isa612 | ISALoadAcquire
)

// kernels are the targets without mitigations; variants are made of them.
var kernels = []Target{
	{
		Name: "5.10", Source: "Debian 5.10.223, capture 5.10-off", Scheme: "rework-5.10", Limit: defaultLimit,
		Offsets: Offsets{MapMaxEntries: 0x24, ArrayPtrs: 0x110, ProgBPFFunc: 0x30},
		Emit: Emission{
			AX: 11, MaxRel8: 127, MulDiv: MulDivR11, Shift: ShiftSaveRCX, Probe: ProbeNone,
			LimitAbove: true, HelperReload: true,
		},
	},
	{
		Name: "6.1", Source: "Debian 6.1, capture 6.1-off", Scheme: "rework-5.10", Limit: defaultLimit,
		Offsets: Offsets{MapMaxEntries: 0x24, ArrayPtrs: 0x110, ProgBPFFunc: 0x30},
		Emit: Emission{
			SLS: true, JumpSLS: true,
			ISA: ISAAtomics | ISAGotol, AX: 11, MaxRel8: 123, PadJumps: true, MulDiv: MulDivShort, Shift: ShiftSaveRCX,
			Probe: ProbeLimit, LockXchg: true, HelperReload: true,
		},
	},
	{
		Name: "6.12", Source: "Debian 6.12.107, capture 6.12-off", Scheme: "hier-6.12", Limit: defaultLimit,
		Offsets: Offsets{MapMaxEntries: 0x24, ArrayPtrs: 0x108, ProgBPFFunc: 0x30},
		Emit: Emission{
			ENDBR: true, SLS: true, JumpSLS: true, BMI2: true,
			ISA: isa612, AX: 11, MaxRel8: 123, PadJumps: true, MulDiv: MulDivShort, Shift: ShiftLazy,
			Probe: ProbeOneLine, SignedImm64: true, LockXchg: true, HelperReload: true,
		},
	},
	{
		Name: "6.18", Source: "6.18.44, capture 6.18-host", Scheme: "hier-6.12", Limit: defaultLimit,
		Offsets: Offsets{MapMaxEntries: 0x4c, ArrayPtrs: 0x138, ProgBPFFunc: 0x48},
		Emit: Emission{
			JumpSLS: true, BMI2: true,
			ISA: isa615, AX: 11, MaxRel8: 123, PadJumps: true, MulDiv: MulDivShort, Shift: ShiftLazy,
			Probe: ProbeOneLine, SignedImm64: true, LockXchg: true,
		},
	},
	{
		Name: "7.2", Source: "Debian 7.2.13, capture 7.2-off", Scheme: "hier-6.12", Limit: defaultLimit,
		Offsets: Offsets{MapMaxEntries: 0x4c, ArrayPtrs: 0x130, ProgBPFFunc: 0x48},
		Emit: Emission{
			ENDBR: true, SLS: true, JumpSLS: true, BMI2: true,
			ISA: isa615, AX: 12, MaxRel8: 123, PadJumps: true, MulDiv: MulDivShort, Shift: ShiftLazy,
			Probe: ProbeOneLine, SignedImm64: true,
		},
	},
}

// TargetByName returns a target. The error of an unknown name lists the known ones.
func TargetByName(name string) (*Target, error) {
	for i := range kernels {
		if kernels[i].Name == name {
			t := kernels[i]
			return &t, nil
		}
	}
	return nil, fmt.Errorf("unknown target %q (known: %s)", name, strings.Join(TargetNames(), ", "))
}

// TargetNames returns the names that TargetByName knows, oldest kernel first.
func TargetNames() []string {
	var names []string
	for i := range kernels {
		names = append(names, kernels[i].Name)
	}
	return names
}
