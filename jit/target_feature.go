// SPDX-License-Identifier: GPL-2.0-only

package jit

import (
	"errors"
	"slices"
	"sort"

	"github.com/tcsim/tcsim/jit/kernels"
)

// feature is one word after the kernel in the name of a target.
type feature struct {
	doc   string
	apply func(t *Target, k *kernelRow) error
	bug   bool // not a choice but a bug that some kernels have
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
	"retpoline": {doc: "indirect jumps through __x86_indirect_thunk_*", apply: branch(kernels.BranchThunk)},
	"lfence":    {doc: "lfence before indirect jumps", apply: branch(kernels.BranchLFENCE)},
	"inline":    {doc: "the retpoline inline, 17 bytes, as before 5.12", apply: branch(kernels.BranchRetpoline)},
	"its":       {doc: "aligned return thunk, and jump thunk if there is no retpoline", apply: its},
	"unret":     {doc: "return through retbleed_return_thunk", apply: returnThunk("retbleed_return_thunk")},
	"srso":      {doc: "return through srso_return_thunk", apply: returnThunk("srso_return_thunk")},
	"srsoalias": {doc: "return through srso_alias_return_thunk", apply: returnThunk("srso_alias_return_thunk")},
	"stuff":     {doc: "call depth tracking, with retpolines", apply: stuff},
	"nobmi2":    {doc: "shifts without BMI2", apply: noBMI2},
	"endbr": {doc: "endbr64 at entry and landing", apply: func(t *Target, _ *kernelRow) error {
		t.Emit.ENDBR = true
		return nil
	}},
	"noendbr": {doc: "no endbr64", apply: func(t *Target, _ *kernelRow) error {
		t.Emit.ENDBR = false
		return nil
	}},
	"sls": {doc: "int3 after returns and indirect jumps", apply: func(t *Target, _ *kernelRow) error {
		t.Emit.SLS, t.Emit.JumpSLS = true, true
		return nil
	}},
	"nosls": {doc: "no int3 after returns", apply: func(t *Target, _ *kernelRow) error {
		t.Emit.SLS = false
		return nil
	}},
	"nojumpsls": {doc: "no int3 after indirect jumps", apply: func(t *Target, _ *kernelRow) error {
		t.Emit.JumpSLS = false
		return nil
	}},
	"jumpsls": {doc: "int3 after indirect jumps", apply: func(t *Target, _ *kernelRow) error {
		t.Emit.JumpSLS = true
		return nil
	}},
	"unrounded": {doc: "the reload before calls uses the unrounded stack depth (bug before ff672c67ee76)", apply: func(t *Target, _ *kernelRow) error {
		t.Emit.UnroundedReload = true
		return nil
	}, bug: true},
	"losesrax": {doc: "trampolines do not keep rax for the traced function (bug before 2b5dcb31a19a)", apply: func(t *Target, _ *kernelRow) error {
		t.Emit.Tramp.LosesRAX = true
		return nil
	}, bug: true},
	"nodirect": {doc: "constant keys are not marked: all tail calls are indirect (until 5.4, or with constant blinding)", apply: func(t *Target, _ *kernelRow) error {
		t.Verifier.NoDirect = true
		return nil
	}},
	blindedWord: {doc: "constants are blinded, so that no key is constant (net.core.bpf_jit_harden)", apply: blind},
	"kcfi":      {doc: "kCFI preamble", apply: cfi(func(*kernelRow) kernels.CFIKind { return kernels.CFIKernel })},
	"fineibt":   {doc: "FineIBT preamble", apply: cfi(func(k *kernelRow) kernels.CFIKind { return k.release.FineIBT })},
	"bhi":       {doc: "FineIBT preamble with BHI clearing, after fineibt", apply: bhi},
}

// blindedWord is a feature of every row.
const blindedWord = "blinded"

func blind(t *Target, k *kernelRow) error {
	if k.release.Version.Before(kernels.Version{Major: 4, Minor: 7}) {
		return kernels.ErrUnsupported
	}
	t.Verifier.NoDirect, t.Emit.Blind = true, &kernels.Blinding{Seed: 1}
	return nil
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

// Unmitigated reports whether the target is a kernel or design as it is, perhaps with a bug: no feature
// was chosen.
func (t *Target) Unmitigated() bool {
	return !slices.ContainsFunc(t.Features, func(w string) bool { return !features[w].bug })
}

// FeatureDoc says in a few words what a feature of Features does; "" if it is unknown.
func FeatureDoc(word string) string { return features[word].doc }
