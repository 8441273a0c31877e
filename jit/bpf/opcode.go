// SPDX-License-Identifier: GPL-2.0-only

package bpf

// Instruction classes and whole opcodes (RFC 9669, section 3).
const (
	ClassLD    = 0
	ClassLDX   = 1
	ClassST    = 2
	ClassSTX   = 3
	ClassALU   = 4
	ClassJmp   = 5
	ClassJmp32 = 6
	ClassALU64 = 7

	SrcReg = 0x08 // source bit: register

	modeImm     = 0x00
	ModeAbs     = 0x20 // ld; in ldx PROBE_MEM of the kernel's own
	ModeInd     = 0x40
	ModeMem     = 0x60
	ModeMemSX   = 0x80
	ModeProbe32 = 0xa0
	ModeAtomic  = 0xc0

	ModeProbeAtomic = 0xe0 // BPF_PROBE_ATOMIC

	OpLdImm64 = 0x18
	OpExit    = 0x95
	OpCall    = 0x85
	OpCallX   = 0x8d

	AtomicFetch   = 0x01
	AtomicXchg    = 0xe1
	AtomicCmpXchg = 0xf1
	AtomicLoadAcq = 0x100
	AtomicStRel   = 0x110
)

// ALU operation bits of an opcode (RFC 9669, section 4.1).
const (
	ALUAdd  = 0x00
	ALUSub  = 0x10
	ALUMul  = 0x20
	ALUDiv  = 0x30
	ALUOr   = 0x40
	ALUAnd  = 0x50
	ALULsh  = 0x60
	ALURsh  = 0x70
	ALUNeg  = 0x80
	ALUMod  = 0x90
	ALUXor  = 0xa0
	ALUMov  = 0xb0
	ALUArsh = 0xc0
	ALUEnd  = 0xd0
)

// Jump operation bits of an opcode (RFC 9669, section 4.3).
const (
	JmpJA   = 0x00
	JmpEq   = 0x10
	JmpGt   = 0x20
	JmpGe   = 0x30
	JmpSet  = 0x40
	JmpNe   = 0x50
	JmpSgt  = 0x60
	JmpSge  = 0x70
	JmpCall = 0x80
	JmpExit = 0x90
	JmpLt   = 0xa0
	JmpLe   = 0xb0
	JmpSlt  = 0xc0
	JmpSle  = 0xd0
	JmpCond = 0xe0 // may_goto

	// jmpClear is the condition of a jset that is not taken; no instruction has it.
	JmpClear = 0xf0
)

// Opcodes and fields that only the compiler meets (include/linux/filter.h); the others are next to
// the analysis.
const (
	OpJA      = 0x05
	OpJA32    = 0x06
	OpMayGoto = 0xe5 // BPF_JCOND
	OpMov     = ClassALU64 | ALUMov
	OpMovReg  = OpMov | SrcReg
	OpNoSpec  = 0xc2 // BPF_ST | BPF_NOSPEC

	ModeProbeMem   = 0x20 // BPF_PROBE_MEM in a load
	ModeProbeMemSX = 0x40 // BPF_PROBE_MEMSX
	ModeArenaSX    = 0xc0 // BPF_PROBE_MEM32SX in a load

	PercpuAddr    = -1 // BPF_ADDR_PERCPU, in Off of a 64-bit register move
	AddrSpaceCast = 1  // BPF_ADDR_SPACE_CAST, likewise
)

// Sizes in the opcode of loads and stores.
const (
	SizeW  = 0x00
	SizeH  = 0x08
	SizeB  = 0x10
	SizeDW = 0x18

	SizeMask = 0x18
	ModeMask = 0xe0
)

// Imm of an address space cast: to user space's address of a byte of the arena, or to the kernel's,
// which the verifier makes a move of 32 bits.
const (
	CastUserImm   = 1 << 16
	CastKernelImm = 1
)

// regFP is BPF_REG_FP, the frame pointer of programs.
const RegFP = 10

// OpTailCall is BPF_JMP | BPF_TAIL_CALL (include/linux/filter.h), the opcode that the verifier
// puts in place of a call of helper 12.
const OpTailCall = 0xf5

// HelperTailCall is the number of the bpf_tail_call helper in Program.Insns.
const HelperTailCall = 12
