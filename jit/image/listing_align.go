// SPDX-License-Identifier: GPL-2.0-only

package image

import (
	"fmt"
	"github.com/tcsim/tcsim/jit/bpf"
)

// NoInsn is the number of a BPF instruction that a program does not have.
const NoInsn bpf.InsnIndex = -2

// unit is a BPF instruction, or the prologue, on both sides of a comparison.
type unit struct{ a, b bpf.InsnIndex }

// unitNumbers are numbers of instructions that both sides understand. Slots without a listing line of
// their own have the number 0.
type unitNumbers struct{ a, b map[bpf.InsnIndex]int }

// alignInsns pairs the instructions of two listings. The numbers of instructions are the same in both
// if the program is; else they are paired by what they do.
func alignInsns(la, lb []ListingLine, pa, pb *bpf.Program) (units []unit) {
	sa, sb := insnsOf(la), insnsOf(lb)
	ka, kb := make([]string, len(sa)), make([]string, len(sb))
	same := pa == nil || pb == nil || samePrograms(pa, pb)
	for i, n := range sa {
		ka[i] = insnKey(pa, n, same)
	}
	for i, n := range sb {
		kb[i] = insnKey(pb, n, same)
	}
	i, j := 0, 0
	gap := func(toA, toB int) {
		for ; i < toA; i++ {
			units = append(units, unit{sa[i], NoInsn})
		}
		for ; j < toB; j++ {
			units = append(units, unit{NoInsn, sb[j]})
		}
	}
	for _, m := range align(ka, kb) {
		gap(m[0], m[1])
		units = append(units, unit{sa[i], sb[j]})
		i, j = i+1, j+1
	}
	gap(len(sa), len(sb))
	return units
}

// insnsOf lists the instructions of a listing in its order.
func insnsOf(l []ListingLine) (out []bpf.InsnIndex) {
	for i := range l {
		if i == 0 || l[i].Insn != l[i-1].Insn {
			out = append(out, l[i].Insn)
		}
	}
	return out
}

// samePrograms reports whether instructions have the same numbers: whether only immediates and offsets
// differ.
func samePrograms(a, b *bpf.Program) bool {
	if a == b {
		return true
	}
	if len(a.Insns) != len(b.Insns) {
		return false
	}
	for i := range a.Insns {
		if a.Insns[i].Op != b.Insns[i].Op {
			return false
		}
	}
	return true
}

// insnKey is what makes an instruction comparable across programs: its number if they are the same,
// else all of it but distances.
func insnKey(p *bpf.Program, i bpf.InsnIndex, same bool) string {
	if same || i < 0 || int(i) >= len(p.Insns) {
		return fmt.Sprint(i)
	}
	in := p.Insns[i]
	const jump, jump32, gotol = 0x05, 0x06, 0x06 // classes, and the opcode of a jump by 32 bits
	switch class := in.Class(); {
	case in.IsSubCall(), in.Op == gotol:
		in.Imm = 0
	case class == jump || class == jump32:
		in.Off = 0
	}
	return fmt.Sprint(in)
}

// numberUnits numbers units from 1 in their order.
func numberUnits(units []unit) *unitNumbers {
	n := &unitNumbers{map[bpf.InsnIndex]int{}, map[bpf.InsnIndex]int{}}
	for i, u := range units {
		if u.a != NoInsn {
			n.a[u.a] = i + 1
		}
		if u.b != NoInsn {
			n.b[u.b] = i + 1
		}
	}
	return n
}
