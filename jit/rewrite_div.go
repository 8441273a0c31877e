// SPDX-License-Identifier: GPL-2.0-only

package jit

// The checks that the verifier puts around divisions, because the CPU faults where BPF has a
// result: x/0 is 0, x%0 is x, and the smallest number divided by -1 is itself
// (kernel/bpf/verifier.c, do_misc_fixups).

// guardDivision returns what replaces a division, and where in it the division itself is; nil if
// it stays as it is. ax is the verifier's own register.
func guardDivision(in Insn, ax uint8) (seq []Insn, at int) {
	if !in.isDivision() {
		return nil, 0
	}
	signed, wide := in.Off == 1, in.Class() == clsALU64
	if in.Op&srcReg == 0 {
		return divisionByMinusOne(in, signed)
	}
	jmp, alu := uint8(clsJmp32), uint8(clsALU)
	if wide {
		jmp, alu = clsJmp, clsALU64
	}
	zero := Insn{Op: clsALU | aluMov, Dst: in.Dst}
	skip := Insn{Op: clsJmp | jmpJA, Off: 1}
	trunc := Insn{Op: clsALU | srcReg | aluMov, Dst: in.Dst, Src: in.Dst}
	test := []Insn{
		{Op: clsALU64 | srcReg | aluMov, Dst: ax, Src: in.Src},
		{Op: alu | aluAdd, Dst: ax, Imm: 1},
	}
	switch mod := in.Op&0xf0 == aluMod; {
	case signed && !mod:
		// [0, 1] in ax are the divisors -1 and 0.
		zero.Op = alu | aluMov
		return append(test,
			Insn{Op: jmp | jmpGt, Dst: ax, Off: 4, Imm: 1},
			Insn{Op: jmp | jmpEq, Dst: ax, Off: 1},
			zero,
			Insn{Op: alu | aluNeg, Dst: in.Dst},
			skip, in), 7
	case signed && wide:
		return append(test,
			Insn{Op: jmp | jmpGt, Dst: ax, Off: 3, Imm: 1},
			Insn{Op: jmp | jmpEq, Dst: ax, Off: 3, Imm: 1},
			zero, skip, in), 6
	case signed:
		return append(test,
			Insn{Op: jmp | jmpGt, Dst: ax, Off: 3, Imm: 1},
			Insn{Op: jmp | jmpEq, Dst: ax, Off: 4, Imm: 1},
			zero, skip, in, skip, trunc), 6
	case !mod:
		return []Insn{
			{Op: jmp | jmpNe, Dst: in.Src, Off: 2},
			{Op: clsALU | srcReg | aluXor, Dst: in.Dst, Src: in.Dst},
			skip, in}, 3
	case wide:
		return []Insn{{Op: jmp | jmpEq, Dst: in.Src, Off: 1}, in}, 1
	}
	return []Insn{{Op: jmp | jmpEq, Dst: in.Src, Off: 2}, in, skip, trunc}, 1
}

// divisionByMinusOne replaces signed divisions by the constant -1.
func divisionByMinusOne(in Insn, signed bool) ([]Insn, int) {
	if !signed || in.Imm != -1 {
		return nil, 0
	}
	if in.Op&0xf0 == aluMod {
		return []Insn{{Op: clsALU | aluMov, Dst: in.Dst}}, -1
	}
	return []Insn{{Op: in.Class() | aluNeg, Dst: in.Dst}}, -1
}

// guard is a division with the checks around it, in a program that the verifier has rewritten.
type guard struct {
	div InsnIndex // slot of the division
	end InsnIndex // slot behind the last check
}

// findGuards finds the guarded divisions of a program, by first slot.
func findGuards(insns []Insn, ax uint8) map[InsnIndex]guard {
	var found map[InsnIndex]guard
	for i, in := range insns {
		if !in.isDivision() || in.Op&srcReg == 0 {
			continue
		}
		seq, at := guardDivision(in, ax)
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
				found = map[InsnIndex]guard{}
			}
			found[InsnIndex(first)] = guard{InsnIndex(i), InsnIndex(first + len(seq))}
		}
	}
	return found
}
