// SPDX-License-Identifier: GPL-2.0-only

package scenarios

import (
	"fmt"
	"slices"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/scenarios/asm"
)

// RawProgram makes a program from instruction bytes, 8 per slot, as bpf_conformance and object
// files hold them. Functions begin where BPF-to-BPF calls lead. The type is socket filter; there
// are no maps.
func RawProgram(insns []byte) (*bpf.Program, error) {
	if len(insns) == 0 || len(insns)%bpf.InsnSize != 0 {
		return nil, fmt.Errorf("raw program: expected a multiple of %d bytes, found %d", bpf.InsnSize, len(insns))
	}
	p := &bpf.Program{Name: "raw", Type: bpf.SocketFilter}
	for ; len(insns) > 0; insns = insns[bpf.InsnSize:] {
		p.Insns = append(p.Insns, bpf.DecodeInsn(insns))
	}
	second := asm.SecondHalves(p.Insns)
	starts := []int{0}
	for i, in := range p.Insns {
		if !asm.IsPseudoCall(in) || second[i] {
			continue
		}
		to := i + 1 + int(in.Imm)
		if to < 0 || to >= len(p.Insns) || second[to] {
			return nil, fmt.Errorf("raw program: insn %d calls slot %d, which is not an instruction", i, to)
		}
		starts = append(starts, to)
	}
	slices.Sort(starts)
	for _, at := range slices.Compact(starts) {
		name := "raw"
		if at != 0 {
			name = fmt.Sprintf("raw_%d", at)
		}
		p.Funcs = append(p.Funcs, bpf.Func{Name: name, Start: bpf.InsnIndex(at)})
	}
	return p, nil
}
