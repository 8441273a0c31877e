// SPDX-License-Identifier: GPL-2.0-only

package shape

import (
	"fmt"

	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/kernels"
)

// Admit refuses what the kernel's verifier does not let through. Tail calls may have either form.
func Admit(r *kernels.Verifier, insns []bpf.Insn, funcs []FuncInfo) error {
	if len(funcs) == 1 || !r.NoMix && !r.NoSubprogs {
		return nil
	}
	if r.NoSubprogs {
		return fmt.Errorf("bpf-to-bpf calls (4.16 and later): %w", kernels.ErrUnsupported)
	}
	for i := bpf.InsnIndex(0); int(i) < len(insns); i += insns[i].Width() {
		if in := insns[i]; in.Op == bpf.OpTailCall || in.Op == bpf.OpCall && in.Src == 0 && in.Imm == bpf.HelperTailCall {
			return fmt.Errorf("insn %d (%s): tail calls in programs with bpf-to-bpf calls (5.10 and later): %w",
				i, bpf.TextAt(insns, i), kernels.ErrUnsupported)
		}
	}
	return nil
}
