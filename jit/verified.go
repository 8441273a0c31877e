// SPDX-License-Identifier: GPL-2.0-only

package jit

// Verified is a program with everything the verifier tells the JIT. Analyse makes it; Compile reads it.
type Verified struct {
	Program *Program
	// Insns are Program.Insns with each tail call turned into OpTailCall, Imm being the index into
	// Pokes plus one (direct) or 0 (indirect), and with the function's index in Imm of each
	// PseudoCall call. Slots are the same.
	Insns []Insn
	Funcs []FuncInfo
	Pokes []PokeDesc
}

// OpTailCall is BPF_JMP | BPF_TAIL_CALL (include/linux/filter.h), the opcode that the verifier
// puts in place of a call of helper 12.
const OpTailCall = 0xf5

// HelperTailCall is the number of the bpf_tail_call helper in Program.Insns.
const HelperTailCall = 12

// FuncInfo is what the verifier knows of one function.
type FuncInfo struct {
	Name       string
	Start, End InsnIndex // slots [Start, End)
	// StackDepth is the deepest byte of the BPF stack below r10 that is used, unrounded.
	StackDepth int32
	// TailCallReachable is the verifier's flag (kernel-version dependent, see Analyse).
	TailCallReachable bool
}

// PokeDesc is a tail call with a constant key (struct bpf_jit_poke_descriptor).
type PokeDesc struct {
	Insn InsnIndex
	Map  int // index into Program.Maps
	Key  uint32
}
