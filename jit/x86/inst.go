// SPDX-License-Identifier: GPL-2.0-only

package x86

import "math/bits"

// Inst is one decoded instruction with what recording, timing, counting and recognition need to
// know of it. It holds no pointers: it may be copied and compared with ==.
type Inst struct {
	PC  Addr  // address of the first byte
	Len uint8 // bytes, 1 to 15

	// Op is the mnemonic in lower case without prefixes: "mov" (movabs too), "je", "endbr64".
	Op string
	// Operands are in Intel order, destination first; N of them are valid.
	Operands [4]Operand
	N        uint8
	// OpBits is the width of the operation in bits: that of the first register or memory operand,
	// 64 for push, pop, call, ret, jmp and leave.
	OpBits uint16

	// HasMem says that Mem is an explicit memory operand. Load and Store say whether it is read
	// or written; both are false for lea, nops and prefetches.
	HasMem, Load, Store bool
	Mem                 Mem
	// Stack is the implicit stack access of push, pop, call, ret and leave.
	Stack StackAccess

	// Reads and Writes are the general purpose registers, address registers and implicit ones
	// included. A register whose low 8 or 16 bits alone are written is in Reads too; the operands of
	// a zero idiom are not. cmov reads its destination.
	Reads, Writes RegSet
	// ReadsFlags and WritesFlags are status flags and DF; undefined ones count as written, and
	// shifts by cl, which keep the flags if cl is 0, read what they write.
	ReadsFlags, WritesFlags Flags

	Branch Branch
	Target Addr // of direct branches and calls; 0 otherwise
	// Cond is the condition of jcc, setcc and cmovcc; CondNone otherwise.
	Cond Cond

	Lock       bool // locked, also the xchg with memory that has no prefix
	LockPrefix bool
	Rep        bool // a repeated string instruction
	NoTrack    bool // notrack prefix on an indirect branch
	IsNop      bool // any form of nop, endbr64 not included
	ZeroIdiom  bool // xor or sub of a 32- or 64-bit register with itself
	Trap       bool // int3, ud1, ud2, hlt: never continues
	Fence      bool // lfence, mfence, sfence

	// Known says that all attributes are exact. If it is false, the mnemonic, operands, length
	// and branch kind still are, but the instruction may read or write more than is said here.
	Known bool
}

// Next returns the address after the instruction.
func (i *Inst) Next() Addr { return i.PC + Addr(i.Len) }

// Ops returns the valid operands.
func (i *Inst) Ops() []Operand { return i.Operands[:i.N] }

// Imm returns the last operand if it is an immediate: ok is false otherwise.
func (i *Inst) Imm() (v int64, ok bool) {
	if i.N == 0 || i.Operands[i.N-1].Kind != OpImm {
		return 0, false
	}
	return i.Operands[i.N-1].Imm, true
}

// Is reports whether the mnemonic is op and the operands are the given registers, all at full
// 64-bit width.
func (i *Inst) Is(op string, regs ...Reg) bool {
	if i.Op != op || int(i.N) != len(regs) {
		return false
	}
	for n, r := range regs {
		if o := i.Operands[n]; o.Kind != OpReg || o.Bits != 64 || o.Reg != r {
			return false
		}
	}
	return true
}

// OperandKind says what an Operand is.
type OperandKind uint8

// The operand kinds.
const (
	OpNone  OperandKind = iota
	OpReg               // general purpose register: Reg, Bits, High
	OpMem               // memory: Inst.Mem, or the second address of a string instruction
	OpImm               // immediate: Imm, sign-extended as the instruction does
	OpRel               // branch target: Inst.Target
	OpOther             // segment, control, vector or FPU register
)

// Operand is one explicit operand.
type Operand struct {
	Kind OperandKind
	Reg  Reg    // OpReg
	Bits uint16 // width of a register or memory operand in bits
	High bool   // ah, ch, dh or bh
	// Imm is the immediate; for OpOther the decoder's number of the register.
	Imm int64
}

// Seg is a segment override that changes the address.
type Seg uint8

// The segment overrides.
const (
	SegNone Seg = iota
	SegFS
	SegGS
)

// Mem is a memory operand. The zero value is [rax+rax*0]: it means something only with Inst.HasMem.
type Mem struct {
	Base, Index Reg   // RegNone if absent
	Scale       uint8 // 1, 2, 4 or 8; 0 without index
	Seg         Seg
	RIPRel      bool   // Disp counts from the end of the instruction
	Addr32      bool   // address-size prefix: the sum is truncated to 32 bits
	Size        uint16 // bytes accessed; 0 for lea
	Disp        int64
}

// StackAccess is an implicit access to 8 bytes of the stack. The zero value means none.
type StackAccess struct {
	Load, Store bool
	// Base and Off give the address from register values before the instruction: [rsp-8] for push
	// and call, [rsp] for pop and ret, [rbp] for leave.
	Base Reg
	Off  int8
	// Delta is what is added to rsp; for leave, rsp becomes rbp plus Delta.
	Delta int32
}

// Any reports whether there is an access.
func (s StackAccess) Any() bool { return s.Load || s.Store }

// Branch says how an instruction may leave the straight line.
type Branch uint8

// The branch kinds. Traps are not branches.
const (
	BranchNone Branch = iota
	BranchJump
	BranchCond // jcc, loop, jrcxz
	BranchCall
	BranchRet
	BranchJumpIndirect
	BranchCallIndirect
)

// Direct reports whether Inst.Target is known.
func (b Branch) Direct() bool { return b == BranchJump || b == BranchCond || b == BranchCall }

// Cond is a condition code as encoded in the low 4 bits of jcc (Intel SDM vol. 1, appendix B).
type Cond uint8

// The condition codes.
const (
	CondO Cond = iota
	CondNO
	CondB
	CondAE
	CondE
	CondNE
	CondBE
	CondA
	CondS
	CondNS
	CondP
	CondNP
	CondL
	CondGE
	CondLE
	CondG
	CondNone Cond = 0xff
)

// Flags is a set of bits of the flags register.
type Flags uint8

// The flags.
const (
	FlagCF Flags = 1 << iota
	FlagPF
	FlagAF
	FlagZF
	FlagSF
	FlagOF
	FlagDF
	FlagsStatus = FlagCF | FlagPF | FlagAF | FlagZF | FlagSF | FlagOF
)

// RegSet is a set of general purpose registers.
type RegSet uint16

// RegSetOf returns the set of the given registers; RegNone is ignored.
func RegSetOf(regs ...Reg) RegSet {
	var s RegSet
	for _, r := range regs {
		s = s.With(r)
	}
	return s
}

// With returns the set with r added; RegNone adds nothing.
func (s RegSet) With(r Reg) RegSet {
	if r > R15 {
		return s
	}
	return s | 1<<r
}

// Has reports whether r is in the set.
func (s RegSet) Has(r Reg) bool { return r <= R15 && s>>r&1 != 0 }

// Len returns the number of registers in the set.
func (s RegSet) Len() int { return bits.OnesCount16(uint16(s)) }

// All yields the registers in ascending order.
func (s RegSet) All(yield func(Reg) bool) {
	for ; s != 0; s &= s - 1 {
		if !yield(Reg(bits.TrailingZeros16(uint16(s)))) {
			return
		}
	}
}
