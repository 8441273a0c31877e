// SPDX-License-Identifier: GPL-2.0-only

package jit

import (
	"errors"
	"github.com/tcsim/tcsim/jit/kernels"
	"sort"
	"strings"
)

// feature is one word behind the kernel in the name of a target.
type feature struct {
	doc   string
	apply func(t *Target, k *kernelRow) error
}

var errConflict = errors.New("conflicts with another feature")

func branch(kind kernels.BranchKind) func(*Target, *kernelRow) error {
	return func(t *Target, _ *kernelRow) error {
		if t.Emit.Branch != kernels.BranchPlain {
			return errConflict
		}
		t.Emit.Branch = kind
		return nil
	}
}

func returnThunk(symbol string) func(*Target, *kernelRow) error {
	return func(t *Target, _ *kernelRow) error {
		if t.Emit.ReturnThunk != "" {
			return errConflict
		}
		t.Emit.ReturnThunk = symbol
		return nil
	}
}

func cfi(kind func(k *kernelRow) kernels.CFIKind) func(*Target, *kernelRow) error {
	return func(t *Target, k *kernelRow) error {
		if k.release.FineIBT == kernels.CFINone {
			return kernels.ErrUnsupported
		}
		t.Emit.CFI = kind(k)
		if t.Emit.CFI != kernels.CFIKernel && !t.Emit.ENDBR {
			return errors.New("needs an IBT build")
		}
		// The hashes are decided by the kernel build; these stand in for them.
		t.Emit.CFIHashes = kernels.CFIHashes{Main: 0x6d61696e, Subprog: 0x73756270}
		return nil
	}
}

// features are the words; the kernel's choice of them is in TargetFor.
var features = map[string]feature{
	"retpoline": {"indirect jumps through __x86_indirect_thunk_*", branch(kernels.BranchThunk)},
	"lfence":    {"lfence before indirect jumps", branch(kernels.BranchLFENCE)},
	"inline":    {"the retpoline inline, 17 bytes, as before 5.12", branch(kernels.BranchRetpoline)},
	"its":       {"aligned return thunk, and jump thunk if there is no retpoline", its},
	"unret":     {"return through retbleed_return_thunk", returnThunk("retbleed_return_thunk")},
	"srso":      {"return through srso_return_thunk", returnThunk("srso_return_thunk")},
	"srsoalias": {"return through srso_alias_return_thunk", returnThunk("srso_alias_return_thunk")},
	"stuff":     {"call depth tracking, with retpolines", stuff},
	"nobmi2":    {"shifts without BMI2", noBMI2},
	"endbr": {"endbr64 at entry and landing", func(t *Target, _ *kernelRow) error {
		t.Emit.ENDBR = true
		return nil
	}},
	"noendbr": {"no endbr64", func(t *Target, _ *kernelRow) error {
		t.Emit.ENDBR = false
		return nil
	}},
	"sls": {"int3 behind returns and indirect jumps", func(t *Target, _ *kernelRow) error {
		t.Emit.SLS, t.Emit.JumpSLS = true, true
		return nil
	}},
	"nosls": {"no int3 behind returns", func(t *Target, _ *kernelRow) error {
		t.Emit.SLS = false
		return nil
	}},
	"nojumpsls": {"no int3 behind indirect jumps", func(t *Target, _ *kernelRow) error {
		t.Emit.JumpSLS = false
		return nil
	}},
	"jumpsls": {"int3 behind indirect jumps", func(t *Target, _ *kernelRow) error {
		t.Emit.JumpSLS = true
		return nil
	}},
	"unrounded": {"the reload before calls uses the unrounded stack depth (bug before ff672c67ee76)", func(t *Target, _ *kernelRow) error {
		t.Emit.UnroundedReload = true
		return nil
	}},
	"losesrax": {"trampolines do not keep rax for the traced function (bug before 2b5dcb31a19a)", func(t *Target, _ *kernelRow) error {
		t.Emit.TrampLosesRAX = true
		return nil
	}},
	"nodirect": {"constant keys are not marked: all tail calls are indirect (until 5.4, or with constant blinding)", func(t *Target, _ *kernelRow) error {
		t.Verifier.NoDirect = true
		return nil
	}},
	"kcfi":    {"kCFI preamble", cfi(func(*kernelRow) kernels.CFIKind { return kernels.CFIKernel })},
	"fineibt": {"FineIBT preamble", cfi(func(k *kernelRow) kernels.CFIKind { return k.release.FineIBT })},
	"bhi":     {"FineIBT preamble with BHI clearing, behind fineibt", bhi},
}

// its is X86_FEATURE_INDIRECT_THUNK_ITS, which retpolines make superfluous, and its return thunk
// (its_apply_mitigation, arch/x86/kernel/cpu/bugs.c).
func its(t *Target, k *kernelRow) error {
	if t.Emit.Branch == kernels.BranchPlain {
		t.Emit.Branch = kernels.BranchITS
	}
	return returnThunk("its_return_thunk")(t, k)
}

func stuff(t *Target, k *kernelRow) error {
	if k.release.CallDepth == "" {
		return kernels.ErrUnsupported
	}
	t.Emit.CallDepth, t.Emit.CallThunks = k.release.CallDepth, k.release.Kernel.Emit.CallThunks
	if err := branch(kernels.BranchDepth)(t, k); err != nil {
		return err
	}
	return returnThunk("call_depth_return_thunk")(t, k)
}

func noBMI2(t *Target, _ *kernelRow) error {
	if !t.Emit.BMI2 {
		return errors.New("this kernel's JIT does not use BMI2")
	}
	t.Emit.BMI2 = false
	return nil
}

func bhi(t *Target, _ *kernelRow) error {
	if t.Emit.CFI != kernels.CFIFineEAX {
		return errors.New("needs fineibt before it, of a kernel that compares eax")
	}
	t.Emit.CFI = kernels.CFIFineEAXBHI
	return nil
}

// Features returns the words that can follow a kernel in the name of a target, sorted.
func Features() []string {
	words := make([]string, 0, len(features))
	for w := range features {
		words = append(words, w)
	}
	sort.Strings(words)
	return words
}

// FeatureDoc says in a few words what a feature of Features does; "" if it is unknown.
func FeatureDoc(word string) string { return features[word].doc }

// Symbols returns the kernel symbols that code for the target can refer to, beside what helper
// calls name and the counters of programs by name (hier-percpu-prog): what Env.Symbol can be asked
// for. The order is fixed.
func (t *Target) Symbols() []string {
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
	if s, ok := schemes[t.Scheme].(callsKernel); ok {
		names = append(names, s.symbols(t)...)
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
