// SPDX-License-Identifier: GPL-2.0-only

package jit

// Target is everything that decides the bytes: a scheme plus kernel release, mitigations and
// struct offsets. Targets are data; nothing changes one after it was made.
type Target struct {
	Name   string // as given to --target, such as "6.12"
	Source string // where its facts come from
	// Limit is MAX_TAIL_CALL_CNT as an effective number: how many tail calls one invocation may
	// take, 33 on every kernel.
	Limit uint32

	Offsets Offsets
	Emit    Emission
}

// Offsets are positions of fields in kernel structures, in bytes.
type Offsets struct {
	MapMaxEntries int32 // struct bpf_map.max_entries
	ArrayPtrs     int32 // struct bpf_array.ptrs
	ProgBPFFunc   int32 // struct bpf_prog.bpf_func
}

// Emission holds the features other than the scheme that change bytes.
type Emission struct {
	ENDBR bool // CONFIG_X86_KERNEL_IBT: endbr64 at entry and at the tail-call landing
	SLS   bool // CONFIG_MITIGATION_SLS: int3 behind ret and indirect jmp
	BMI2  bool // shlx and friends
}
