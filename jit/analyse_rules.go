// SPDX-License-Identifier: GPL-2.0-only

package jit

import "fmt"

// admit refuses what the kernel's verifier does not let through. Tail calls may have either form.
func admit(r *Verifier, insns []Insn, funcs []FuncInfo) error {
	if len(funcs) == 1 || !r.NoMix && !r.NoSubprogs {
		return nil
	}
	if r.NoSubprogs {
		return fmt.Errorf("bpf-to-bpf calls (4.16 and later): %w", ErrUnsupported)
	}
	for i := InsnIndex(0); int(i) < len(insns); i += insns[i].width() {
		if in := insns[i]; in.Op == OpTailCall || in.Op == opCall && in.Src == 0 && in.Imm == HelperTailCall {
			return fmt.Errorf("insn %d (%s): tail calls in programs with bpf-to-bpf calls (5.10 and later): %w",
				i, TextAt(insns, i), ErrUnsupported)
		}
	}
	return nil
}

// handedOut is how the address of a kernel object is trusted that the kernel hands to a program.
func handedOut(v *Verifier) objectKind {
	if v.Trusted {
		return trusted
	}
	return untrusted
}
