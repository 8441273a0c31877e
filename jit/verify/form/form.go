// SPDX-License-Identifier: GPL-2.0-only

// Package form is what is known of a BPF program by its form alone, before and after the verifier has followed it: where
// control goes, jumps that constants decide, the checks around divisions, its operands. It must not import the verifier.
//
//	fall, to, jumps := form.Flow(p.Insns, i)
package form

import (
	"errors"

	"github.com/tcsim/tcsim/jit/bpf"
)

// Flow returns where control goes from a slot: on to the next instruction, to a target, or both.
func Flow(insns []bpf.Insn, i bpf.InsnIndex) (fall bool, to bpf.InsnIndex, jumps bool) {
	in := insns[i]
	switch c := in.Class(); {
	case c != bpf.ClassJmp && c != bpf.ClassJmp32:
		return true, 0, false
	case in.Op == bpf.OpExit:
		return false, 0, false
	case in.Op == bpf.OpCall || in.Op == bpf.OpTailCall || in.Op == bpf.OpCallX:
		return true, 0, false
	case in.Op&0xf0 == bpf.JmpJA && c == bpf.ClassJmp32:
		return false, i + 1 + bpf.InsnIndex(in.Imm), true
	case in.Op&0xf0 == bpf.JmpJA:
		return false, i + 1 + bpf.InsnIndex(in.Off), true
	}
	return true, i + 1 + bpf.InsnIndex(in.Off), true
}

// Stores reports whether an instruction may write memory: it is a store or a call.
func Stores(in bpf.Insn) bool {
	k := in.Class()
	return k == bpf.ClassST || k == bpf.ClassSTX || in.Op == bpf.OpCall
}

// Operands refuses an instruction whose operands are wrong, which verifiers look at where a path leads only.
func Operands(in bpf.Insn) error {
	if why := in.Malformed(false); why != "" {
		return errors.New(why)
	}
	if _, writes := in.RegUse(); writes&(1<<10) != 0 {
		return errors.New("r10 is read only (frame pointer is read only)")
	}
	return nil
}

// TimedMayGoto is what the verifier puts calls of into loops with may_goto; only BPF_REG_AX changes.
const TimedMayGoto = "arch_bpf_timed_may_goto"

// MayGotoCount is how often a program may take its may_goto (BPF_MAX_LOOPS), MayGotoTimed how often between looks at the
// clock (BPF_MAX_TIMED_LOOPS).
const (
	MayGotoCount = 8 << 20
	MayGotoTimed = 0xffff
)
