// SPDX-License-Identifier: GPL-2.0-only

package jit

// Instruction classes and whole opcodes (RFC 9669, section 3).
const (
	clsLD    = 0
	clsLDX   = 1
	clsST    = 2
	clsSTX   = 3
	clsALU   = 4
	clsJmp   = 5
	clsJmp32 = 6
	clsALU64 = 7

	srcReg = 0x08 // source bit: register

	modeImm     = 0x00
	modeAbs     = 0x20 // ld; in ldx PROBE_MEM of the kernel's own
	modeInd     = 0x40
	modeMem     = 0x60
	modeMemSX   = 0x80
	modeProbe32 = 0xa0
	modeAtomic  = 0xc0

	modeProbeAtomic = 0xe0 // BPF_PROBE_ATOMIC

	opLdImm64 = 0x18
	opExit    = 0x95
	opCall    = 0x85
	opCallX   = 0x8d

	atomicFetch   = 0x01
	atomicXchg    = 0xe1
	atomicCmpXchg = 0xf1
	atomicLoadAcq = 0x100
	atomicStRel   = 0x110
)

// ALU operation bits of an opcode (RFC 9669, section 4.1).
const (
	aluAdd  = 0x00
	aluSub  = 0x10
	aluMul  = 0x20
	aluDiv  = 0x30
	aluOr   = 0x40
	aluAnd  = 0x50
	aluLsh  = 0x60
	aluRsh  = 0x70
	aluNeg  = 0x80
	aluMod  = 0x90
	aluXor  = 0xa0
	aluMov  = 0xb0
	aluArsh = 0xc0
	aluEnd  = 0xd0
)

// Jump operation bits of an opcode (RFC 9669, section 4.3).
const (
	jmpJA   = 0x00
	jmpEq   = 0x10
	jmpGt   = 0x20
	jmpGe   = 0x30
	jmpSet  = 0x40
	jmpNe   = 0x50
	jmpSgt  = 0x60
	jmpSge  = 0x70
	jmpCall = 0x80
	jmpExit = 0x90
	jmpLt   = 0xa0
	jmpLe   = 0xb0
	jmpSlt  = 0xc0
	jmpSle  = 0xd0
	jmpCond = 0xe0 // may_goto

	// jmpClear is the condition of a jset that is not taken; no instruction has it.
	jmpClear = 0xf0
)

// Opcodes and fields that only the compiler meets (include/linux/filter.h); the others are beside
// the analysis.
const (
	opJA     = 0x05
	opJA32   = 0x06
	opNoSpec = 0xc2 // BPF_ST | BPF_NOSPEC

	modeProbeMem   = 0x20 // BPF_PROBE_MEM in a load
	modeProbeMemSX = 0x40 // BPF_PROBE_MEMSX
	modeArenaSX    = 0xc0 // BPF_PROBE_MEM32SX in a load

	percpuAddr    = -1 // BPF_ADDR_PERCPU, in Off of a 64-bit register move
	addrSpaceCast = 1  // BPF_ADDR_SPACE_CAST, likewise
)

// Sizes in the opcode of loads and stores.
const (
	sizeW  = 0x00
	sizeH  = 0x08
	sizeB  = 0x10
	sizeDW = 0x18

	sizeMask = 0x18
	modeMask = 0xe0
)

// Imm of an address space cast: to user space's address of a byte of the arena, or to the kernel's,
// which the verifier makes a move of 32 bits.
const (
	castUserImm   = 1 << 16
	castKernelImm = 1
)

// regFP is BPF_REG_FP, the frame pointer of programs.
const regFP = 10

// OpTailCall is BPF_JMP | BPF_TAIL_CALL (include/linux/filter.h), the opcode that the verifier
// puts in place of a call of helper 12.
const OpTailCall = 0xf5

// HelperTailCall is the number of the bpf_tail_call helper in Program.Insns.
const HelperTailCall = 12
