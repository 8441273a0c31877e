// SPDX-License-Identifier: GPL-2.0-only

package capture

import (
	"math"

	"github.com/tcsim/tcsim/jit/bpf"
)

// unblind puts the constants back into the blinded instructions of a program, and corrects what was recorded
// of their places. A program that cannot be put back stays as it is.
func (p *Prog) unblind() {
	u := unblinder{old: p.Xlated, at: make([]bpf.InsnIndex, len(p.Xlated)+1)}
	for i := 0; i < len(u.old); {
		n := u.one(i)
		for k := range n {
			u.at[i+k] = -1 // inside of what is one instruction now
		}
		u.at[i] = bpf.InsnIndex(u.starts[len(u.starts)-1])
		i += n
	}
	u.at[len(u.old)] = bpf.InsnIndex(len(u.out))
	if !u.relink() {
		return
	}
	p.Xlated = u.out
	kept := p.InsnMap[:0]
	for _, m := range p.InsnMap {
		if int(m.Xlated) >= len(u.old) || u.at[m.Xlated] < 0 {
			continue
		}
		m.Xlated = u.at[m.Xlated]
		kept = append(kept, m)
		p.putMap(m)
	}
	p.InsnMap = kept
}

// putMap says again what a 16-byte load loads, which the blinded instructions do not.
func (p *Prog) putMap(m InsnPos) {
	if int(m.Insn)+1 >= len(p.Insns) || int(m.Xlated)+1 >= len(p.Xlated) {
		return
	}
	asked, in := p.Insns[m.Insn], &p.Xlated[m.Xlated]
	if asked.IsLdImm64() && in.IsLdImm64() && (asked.Src == bpf.PseudoMap || asked.Src == bpf.PseudoMapValue) {
		in.Src, in.Imm = asked.Src, asked.Imm
		p.Xlated[m.Xlated+1].Imm = p.Insns[m.Insn+1].Imm
	}
}

type unblinder struct {
	old, out []bpf.Insn
	starts   []int           // of the instructions in out, in the order of those they come from
	from     []int           // slot in old of the last one that each slot of out comes from
	at       []bpf.InsnIndex // by slot of old
}

// constant reads a constant that is put together in BPF_REG_AX at slot i.
func (u *unblinder) constant(i int) (imm int32, ok bool) {
	if i+2 >= len(u.old) {
		return 0, false
	}
	mov, xor := u.old[i], u.old[i+1]
	w := mov.Class()
	ok = (w == bpf.ClassALU || w == bpf.ClassALU64) && mov.Op == w|bpf.ALUMov && xor.Op == w|bpf.ALUXor && mov.Dst > bpf.RegFP && xor.Dst == mov.Dst
	return mov.Imm ^ xor.Imm, ok
}

// one puts back the instruction at slot i and returns how many slots it had.
func (u *unblinder) one(i int) int {
	u.starts = append(u.starts, len(u.out))
	add := func(last int, ins ...bpf.Insn) {
		for _, in := range ins {
			u.out, u.from = append(u.out, in), append(u.from, last)
		}
	}
	imm, ok := u.constant(i)
	if !ok {
		if in := u.old[i]; in.IsLdImm64() && i+1 < len(u.old) {
			add(i, in)
			add(i+1, u.old[i+1])
			return 2
		}
		add(i, u.old[i])
		return 1
	}
	ax, in := u.old[i].Dst, u.old[i+2]
	switch c := in.Class(); {
	case in.Op == bpf.ClassALU64|bpf.ALULsh && in.Dst == ax && i+6 < len(u.old):
		if low, ok := u.constant(i + 4); ok {
			add(i+6, bpf.Insn{Op: bpf.OpLdImm64, Dst: u.old[i+3].Dst, Imm: low}, bpf.Insn{Imm: imm})
			return 7
		}
	case in.Src != ax:
	case c == bpf.ClassSTX && in.Op&bpf.ModeMask == bpf.ModeMem:
		in.Op, in.Src, in.Imm = in.Op&^7|bpf.ClassST, 0, imm
		add(i+2, in)
		return 3
	case c == bpf.ClassALU || c == bpf.ClassALU64 || c == bpf.ClassJmp || c == bpf.ClassJmp32:
		in.Op, in.Src, in.Imm = in.Op&^bpf.SrcReg, 0, imm
		add(i+2, in)
		return 3
	}
	add(i, u.old[i])
	return 1
}

// relink sets the distances of jumps.
func (u *unblinder) relink() bool {
	for n := range u.out {
		in := &u.out[n]
		c, op := in.Class(), in.Op&0xf0
		if c != bpf.ClassJmp && c != bpf.ClassJmp32 || op == bpf.JmpCall || op == bpf.JmpExit {
			continue
		}
		wide := in.Op == bpf.OpJA32
		d := int(in.Off)
		if wide {
			d = int(in.Imm)
		}
		to := u.from[n] + 1 + d
		if to < 0 || to >= len(u.at) || u.at[to] < 0 {
			return false
		}
		d = int(u.at[to]) - n - 1
		switch {
		case wide:
			in.Imm = int32(d)
		case d < math.MinInt16 || d > math.MaxInt16:
			return false
		default:
			in.Off = int16(d)
		}
	}
	return true
}
