// SPDX-License-Identifier: GPL-2.0-only

package emit

import (
	"strings"

	"github.com/tcsim/tcsim/jit/kernels"
)

// MaxLimit is the largest limit that code can be emitted for: the comparisons have room for a signed byte.
const MaxLimit = 127

// Config is what decides bytes besides the design: kernel release, mitigations, struct offsets, the limit. It is data;
// nothing changes one after it was made.
type Config struct {
	// Limit is MAX_TAIL_CALL_CNT as an effective number: how many tail calls one invocation may
	// take, 33 on every kernel. It is 1 to MaxLimit.
	Limit uint32

	kernels.Kernel

	// Variant, if not nil, changes what the design does.
	Variant *Variant

	// Ways, if not nil, is told each way through the emitter that is taken: places in its source, as numbers. They are the same
	// whatever processor and program it is, and more than once what is taken more than once.
	Ways func(way uint64)
}

// Symbols returns the kernel symbols that code can refer to, besides what helper
// calls name: what Env.Symbol can be asked for. The order is fixed.
func (t *Config) Symbols() []string {
	var names []string
	if t.Emit.ISA&kernels.ISAPerCPU != 0 {
		names = append(names, "this_cpu_off")
	}
	if n := branchSymbols[t.Emit.Branch]; n != "" {
		names = append(names, n)
	}
	if t.Emit.ReturnThunk != "" {
		names = append(names, t.Emit.ReturnThunk)
	}
	if t.Emit.CallDepth != "" {
		name, _, _ := strings.Cut(t.Emit.CallDepth, "+")
		names = append(names, name)
	}
	if t.Emit.CFI == kernels.CFIFineEAXBHI {
		names = append(names, bhiSymbol)
	}
	return names
}

// branchSymbols are the thunks for rcx.
var branchSymbols = [...]string{
	kernels.BranchThunk:     "__x86_indirect_thunk_rcx",
	kernels.BranchDepth:     "__x86_indirect_jump_thunk_rcx",
	kernels.BranchITS:       "__x86_indirect_its_thunk_rcx",
	kernels.BranchRetpoline: "",
}

const bhiSymbol = "__bhi_args"
