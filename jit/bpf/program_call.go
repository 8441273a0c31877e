// SPDX-License-Identifier: GPL-2.0-only

package bpf

import "fmt"

// TailCallLimit is how many tail calls one invocation may take: MAX_TAIL_CALL_CNT (include/linux/bpf.h) as
// an effective number. Up to 5.16 the constant was one less, and compared with "above".
const TailCallLimit = 33

// throwKfunc is the kernel function that throws; a path of a program ends with its call.
const ThrowKfunc = "bpf_throw"

// kfunc returns the name of the kernel function that in calls, "" if it calls none or an unknown one.
func (p *Program) Kfunc(in Insn) string {
	if in.Op != OpCall || in.Src != PseudoKfunc {
		return ""
	}
	if name, ok := p.HelperNames[in.Imm]; ok {
		return name
	}
	if in.Imm >= 0 && int(in.Imm) < len(p.Kfuncs) {
		return p.Kfuncs[in.Imm]
	}
	return ""
}

// calledName is kfunc for calls that the verifier has put in as well.
func (p *Program) CalledName(in Insn) string {
	if in.Op == OpCall && in.Src == 0 {
		return p.HelperNames[in.Imm]
	}
	return p.Kfunc(in)
}

// throws reports whether the program calls bpf_throw (bpf_verifier_env.seen_exception).
func (p *Program) Throws() bool {
	for i := InsnIndex(0); int(i) < len(p.Insns); i += p.Insns[i].Width() {
		if p.Kfunc(p.Insns[i]) == ThrowKfunc {
			return true
		}
	}
	return false
}

// arena returns the index of the arena that the program refers to, -1 without one. The verifier
// allows one.
func (p *Program) Arena() (int, error) {
	arena := -1
	for i := InsnIndex(0); int(i) < len(p.Insns); i += p.Insns[i].Width() {
		in := p.Insns[i]
		if !in.IsLdImm64() || in.Src != PseudoMap || in.Imm < 0 || int(in.Imm) >= len(p.Maps) || p.Maps[in.Imm].Type != ArenaMap {
			continue
		}
		if arena >= 0 && arena != int(in.Imm) {
			return 0, fmt.Errorf("insn %d (%s): the program has another arena, map %d", i, TextAt(p.Insns, i), arena)
		}
		arena = int(in.Imm)
	}
	return arena, nil
}
