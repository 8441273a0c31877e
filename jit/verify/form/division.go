// SPDX-License-Identifier: GPL-2.0-only

package form

import "github.com/tcsim/tcsim/jit/bpf"

// The checks that the verifier puts around divisions, because the CPU faults where BPF has a
// result: x/0 is 0, x%0 is x, and the smallest number divided by -1 is itself
// (kernel/bpf/verifier.c, do_misc_fixups).

// GuardDivision returns what replaces a division, and where in it the division itself is; nil if
// it stays as it is. ax is the verifier's own register.
func GuardDivision(in bpf.Insn, ax uint8) (seq []bpf.Insn, at int) {
	if !in.IsDivision() {
		return nil, 0
	}
	signed, wide := in.Off == 1, in.Class() == bpf.ClassALU64
	if in.Op&bpf.SrcReg == 0 {
		return divisionByMinusOne(in, signed)
	}
	jmp, alu := uint8(bpf.ClassJmp32), uint8(bpf.ClassALU)
	if wide {
		jmp, alu = bpf.ClassJmp, bpf.ClassALU64
	}
	zero := bpf.Insn{Op: bpf.ClassALU | bpf.ALUMov, Dst: in.Dst}
	skip := bpf.Insn{Op: bpf.ClassJmp | bpf.JmpJA, Off: 1}
	trunc := bpf.Insn{Op: bpf.ClassALU | bpf.SrcReg | bpf.ALUMov, Dst: in.Dst, Src: in.Dst}
	test := []bpf.Insn{
		{Op: bpf.ClassALU64 | bpf.SrcReg | bpf.ALUMov, Dst: ax, Src: in.Src},
		{Op: alu | bpf.ALUAdd, Dst: ax, Imm: 1},
	}
	switch mod := in.Op&0xf0 == bpf.ALUMod; {
	case signed && !mod:
		// [0, 1] in ax are the divisors -1 and 0.
		zero.Op = alu | bpf.ALUMov
		return append(test,
			bpf.Insn{Op: jmp | bpf.JmpGt, Dst: ax, Off: 4, Imm: 1},
			bpf.Insn{Op: jmp | bpf.JmpEq, Dst: ax, Off: 1},
			zero,
			bpf.Insn{Op: alu | bpf.ALUNeg, Dst: in.Dst},
			skip, in), 7
	case signed && wide:
		return append(test,
			bpf.Insn{Op: jmp | bpf.JmpGt, Dst: ax, Off: 3, Imm: 1},
			bpf.Insn{Op: jmp | bpf.JmpEq, Dst: ax, Off: 3, Imm: 1},
			zero, skip, in), 6
	case signed:
		return append(test,
			bpf.Insn{Op: jmp | bpf.JmpGt, Dst: ax, Off: 3, Imm: 1},
			bpf.Insn{Op: jmp | bpf.JmpEq, Dst: ax, Off: 4, Imm: 1},
			zero, skip, in, skip, trunc), 6
	case !mod:
		return []bpf.Insn{
			{Op: jmp | bpf.JmpNe, Dst: in.Src, Off: 2},
			{Op: bpf.ClassALU | bpf.SrcReg | bpf.ALUXor, Dst: in.Dst, Src: in.Dst},
			skip, in}, 3
	case wide:
		return []bpf.Insn{{Op: jmp | bpf.JmpEq, Dst: in.Src, Off: 1}, in}, 1
	}
	return []bpf.Insn{{Op: jmp | bpf.JmpEq, Dst: in.Src, Off: 2}, in, skip, trunc}, 1
}

// divisionByMinusOne replaces signed divisions by the constant -1.
func divisionByMinusOne(in bpf.Insn, signed bool) ([]bpf.Insn, int) {
	if !signed || in.Imm != -1 {
		return nil, 0
	}
	if in.Op&0xf0 == bpf.ALUMod {
		return []bpf.Insn{{Op: bpf.ClassALU | bpf.ALUMov, Dst: in.Dst}}, -1
	}
	return []bpf.Insn{{Op: in.Class() | bpf.ALUNeg, Dst: in.Dst}}, -1
}

// Guard is a division with the checks around it, in a program that the verifier has rewritten.
type Guard struct {
	Div bpf.InsnIndex // slot of the division
	End bpf.InsnIndex // slot after the last check
}

// FindGuards finds the guarded divisions of a program, by first slot.
func FindGuards(insns []bpf.Insn, ax uint8) map[bpf.InsnIndex]Guard {
	var found map[bpf.InsnIndex]Guard
	for i, in := range insns {
		if !in.IsDivision() || in.Op&bpf.SrcReg == 0 {
			continue
		}
		seq, at := GuardDivision(in, ax)
		first := i - at
		if first < 0 || first+len(seq) > len(insns) {
			continue
		}
		same := true
		for j := range seq {
			same = same && insns[first+j] == seq[j]
		}
		if same {
			if found == nil {
				found = map[bpf.InsnIndex]Guard{}
			}
			found[bpf.InsnIndex(first)] = Guard{bpf.InsnIndex(i), bpf.InsnIndex(first + len(seq))}
		}
	}
	return found
}
